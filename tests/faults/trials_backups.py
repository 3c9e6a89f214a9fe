"""Trials about backups: an installation is copied and brought back elsewhere while it works."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
from pydantic import SecretStr
from sqlalchemy import select

from contract.backup import damage
from contract.database import Database
from contract.settings import Settings
from contract.tables import UNFINISHED, jobs
from tests.faults import history
from tests.faults.halts import COPY
from tests.faults.invariants import of_changes
from tests.faults.load import Order, slow
from tests.faults.servers import programs
from tests.faults.signals import send_signal, state_of
from tests.faults.stand import LEASE_SECONDS, ROOT, Stand
from tests.faults.trials import Trial


def backups(trial: Trial) -> None:
    """The installation is copied and brought back elsewhere while it works; there, too, every job ends."""
    size = trial.size(40, 60)
    known: list[int] = []
    for number in range(trial.size(1, 5)):
        trial.during(slow(trial.random, size, 20, 300), partial(_copy, trial, f"{number}", known))
    trial.load.submit(Order("slow", 50))
    trial.stand.until_ended(set(trial.load.accepted))
    _copy(trial, "halted", known, halt=f"stop:after:{COPY}:1", meanwhile=lambda: _end_one(trial))
    trial.note = f"{len(known)} copies made under load, with {sum(known)} jobs"


def _end_one(trial: Trial) -> None:
    """Have a job end whose files were not there when the backup listed them."""
    trial.stand.until_ended({trial.load.submit(Order("slow", 50))})


def _copy(
    trial: Trial, name: str, known: list[int], *, halt: str = "", meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Make a copy, bring it back, let a worker of it work, and note how many jobs it has."""
    stand = trial.stand
    if not halt:
        trial.pause(0.5, 1.5)
    before = set(trial.load.accepted)
    backup, data = stand.folder / f"backup-{name}", stand.folder / f"restored-{name}"
    url = _dumped(stand, name) if stand.cluster else None
    arguments = ("backup", "--data", str(stand.data), "--to", str(backup))
    copied = _interlayer(trial, stand.url, *arguments, halt=halt, meanwhile=meanwhile)
    if not copied or not _interlayer(trial, url, "restore", str(backup), "--data", str(data)):
        return
    settings = Settings(data_dir=data, database_url=None if url is None else SecretStr(url))
    database = Database(settings)
    try:
        with _worker(settings, url):
            stand.until(lambda: not _unfinished(database), "the jobs of the copy to end")
        by_job = history.by_job(database)
        trial.found += [f"{job} had been accepted and is not in the copy" for job in before - by_job.keys()]
        trial.found += [f"in the copy, {problem}" for problem in damage(settings, database)]
        trial.found += [f"in the copy, {job} {each}" for job, found in by_job.items() for each in of_changes(found)]
    finally:
        database.close()
    known.append(len(by_job))


def _interlayer(
    trial: Trial, url: str | None, *arguments: str, halt: str = "", meanwhile: Callable[[], None] = lambda: None
) -> bool:
    """Run a command of the product, as an operator does; with `halt`, something happens while it stands still."""
    stand = trial.stand
    options = [] if stand.without is None else ["--without", stand.without]
    options += ["--halt", halt] if halt else []
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.launch", *options, "interlayer.__main__", *arguments],
        cwd=ROOT,
        env=os.environ | ({} if url is None else {"INTERLAYER_DATABASE_URL": url}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if halt:
            stand.until(lambda: state_of(process.pid) in "TZ", f"the moment {halt}")
            meanwhile()
            send_signal(process.pid, signal.SIGCONT)
        _, said = process.communicate()
    trial.expect(process.returncode == 0, f"interlayer {arguments[0]}: {said.strip()[-300:]}")
    return process.returncode == 0


def _dumped(stand: Stand, copy: str) -> str:
    """Dump the database and bring it back under another name; return the URL of that."""
    assert stand.url is not None
    source, name, dump = stand.url.replace("+psycopg", ""), f"restored_{copy}", stand.folder / f"dump-{copy}"
    target = source.replace("/postgres?", f"/{name}?")
    assert target != source
    subprocess.run([programs() / "pg_dump", "--format=custom", f"--dbname={source}", f"--file={dump}"], check=True)
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    subprocess.run([programs() / "pg_restore", "--no-owner", f"--dbname={target}", dump], check=True)
    return target.replace("postgresql:", "postgresql+psycopg:")


@contextmanager
def _worker(settings: Settings, url: str | None) -> Iterator[None]:
    """Have a worker of another installation while the block runs."""
    more = {"INTERLAYER_DATA_DIR": str(settings.data_dir), "INTERLAYER_LEASE_SECONDS": str(LEASE_SECONDS)}
    more |= {} if url is None else {"INTERLAYER_DATABASE_URL": url}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.launch", "worker.poll"],
        cwd=ROOT,
        env=os.environ | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _unfinished(database: Database) -> bool:
    with database.read() as connection:
        return connection.execute(select(jobs.c.id).where(UNFINISHED).limit(1)).first() is not None
