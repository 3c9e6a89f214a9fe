"""Trials about the worst moments: around every commit and every file of an analysis in parts, and in transactions."""

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import httpx
import numpy as np
from sqlalchemy import update

from contract.database import clock
from contract.tables import jobs
from tests.faults import history
from tests.faults.halts import KEEP
from tests.faults.invariants import torn_files
from tests.faults.load import SUCCEEDED, Order, slow
from tests.faults.stand import LEASE_SECONDS
from tests.faults.trials import Trial, until_busy

_PARTS = 9  # of an analysis; the last makes the report
_HOUR = 3600.0
_MEANWHILE_SECONDS = 60.0
# What a worker does for an analysis in parts → how often.
_PLACES = {"Attempts.claim": _PARTS + 1, "Parts.split": 1, KEEP: _PARTS, "Parts.succeed": _PARTS}
# The first two and the last two times: those between are alike.
_ALL = [(place, n + 1) for place, count in _PLACES.items() for n in range(count) if n < 2 or n >= count - 2]
# Between the last result and the report, and between its file and its row: drawn in every run.
_ALWAYS = [("after", "Parts.succeed", _PARTS - 1), ("after", KEEP, _PARTS)]


def _moments(trial: Trial, short: int, *, within: bool = True) -> list[tuple[str, str, int]]:
    """Return all moments around commits and files, or some; unless `within` none in which a transaction is open."""
    sides = [(side, *each) for each in _ALL for side in ("before", "after")]
    found = [each for each in sides if within or each[0] == "after" or each[1] == KEEP]
    some = _ALWAYS + trial.random.sample([each for each in found if each not in _ALWAYS], short)
    return found if trial.long else some


def killed_in_the_worst_moment(trial: Trial) -> None:
    """The only worker is killed right before or after a commit or a file of an analysis; the next one goes on."""
    moments = _moments(trial, 2)
    with _one_worker(trial):
        for side, place, number in moments:
            _halted(trial, f"kill:{side}:{place}:{number}", Order("parts", trial.random.randint(5, 15)))
    others = [(trial.stand.services[0], "Jobs._submit")]
    others += [(role, "Jobs.announced") for role in trial.stand.dispatchers]
    for role, place in others:
        for side in ("before", "after"):
            _killed_while_jobs_come(trial, role, f"kill:{side}:{place}:1")
    trial.note = f"{len(moments)} of {2 * len(_ALL)} moments of a worker, {2 * len(others)} of others"


def canceled_in_the_worst_moment(trial: Trial) -> None:
    """An analysis is canceled while its worker stands between a commit and a file; what was answered is true."""
    said: list[str] = []
    ends = (*SUCCEEDED, ("canceled", "canceled"))
    with _one_worker(trial):
        for side, place, number in _moments(trial, 1, within=False):
            order = Order("parts", 10, ends)
            _halted(trial, f"stop:{side}:{place}:{number}", order, lambda job: said.append(trial.load.cancel(job)))
    trial.stand.until(lambda: not history.open_parts(trial.stand.database), "canceled parts to be left")
    trial.note = ", ".join(f"{said.count(each)} {each.replace('_', ' ')}" for each in sorted(set(said)))


def killed_as_a_file_appears(trial: Trial) -> None:
    """Whoever stores a file is killed as soon as anything can be seen under its name; then all of it can be seen."""
    stand = trial.stand

    def look(what: str) -> None:
        trial.found += [f"{each}, {what}" for each in torn_files(stand)]

    with _one_worker(trial):
        for kind in ("slow", "parts"):  # a report, the result of a part
            _halted(trial, f"kill:at:{KEEP}:1", Order(kind, 10), lambda _: look("when its worker was killed"))
    content = io.BytesIO()
    np.savez(content, labels=np.repeat([0, 1], 8), layer=np.arange(64.0).reshape(16, 4) + trial.random.random())
    service = stand.services[0]
    stand.halting(service, f"kill:at:{KEEP}:1")
    broken = _ask(trial, "PUT", "/v1/artifacts", content=content.getvalue())
    trial.expect(broken == 0, f"a service that was killed has answered with {broken}")
    stand.until(lambda: stand.has_halted(service), "the service to store the file")
    look("when its service was killed")
    stand.go_on(service)
    again = trial.load.request("PUT", "/v1/artifacts", content=content.getvalue())
    trial.expect(again.is_success, f"the same file was then answered with {again.status_code}")


def frozen_in_a_transaction(trial: Trial) -> None:
    """A worker stands still inside a transaction and holds its locks.

    PostgreSQL takes them away. SQLite cannot: writers are refused, and readers served, until the worker goes on.
    """
    stand = trial.stand

    def others_go_on(job: str) -> None:
        stand.start(stand.workers[1])
        stand.until_ended({job})

    def others_are_told(job: str) -> None:
        refused = _ask(trial, "POST", f"/v1/analyses/{job}/cancel")
        trial.expect(refused == 503, f"a writer was answered with {refused} while the database was locked")
        served = _ask(trial, "GET", f"/v1/analyses/{job}")
        trial.expect(served == 200, f"a reader was answered with {served} while the database was locked")

    for place in trial.random.sample(["Attempts.claim", "Parts.split", "Parts.succeed"], trial.size(2, 3)):
        with _one_worker(trial):
            meanwhile = others_go_on if stand.cluster else others_are_told
            # It stands still until the others are through, or have waited in vain.
            _halted(trial, f"stop:before:{place}:1", Order("parts", 10), meanwhile, seconds=None)
    trial.note = "others went on meanwhile" if stand.cluster else "writers were refused, readers served"


def _ask(trial: Trial, method: str, path: str, content: bytes | None = None) -> int:
    """Send a request once, and return the status, or 0 for a broken connection."""
    url, headers = trial.stand.urls[0] + path, {"Authorization": f"Bearer {trial.stand.keys['a']}"}
    try:
        return httpx.request(method, url, headers=headers, content=content, timeout=trial.stand.patience).status_code
    except httpx.TransportError:
        return 0


@contextmanager
def _one_worker(trial: Trial) -> Iterator[None]:
    """Have one worker alone while the block runs."""
    stand, (_, second) = trial.stand, trial.stand.workers
    trial.load.artifact("a")
    stand.end(second)
    try:
        yield
    finally:
        if second not in stand.running:
            stand.start(second)


def _halted(
    trial: Trial,
    halt: str,
    order: Order,
    meanwhile: Callable[[str], None] = lambda _: None,
    *,
    seconds: float | None = _MEANWHILE_SECONDS,
) -> None:
    """Run one analysis on a worker that halts in a moment, at most for some seconds; then it goes on."""
    stand, role = trial.stand, trial.stand.workers[0]
    stand.halting(role, halt)
    job = trial.load.submit(order)
    stand.until(lambda: stand.has_halted(role), f"the moment {halt}")
    with ThreadPoolExecutor(1) as pool:
        # Another thread of the worker may have been in a transaction, which others then wait for.
        doing = pool.submit(meanwhile, job)
        wait([doing], seconds)
        stand.go_on(role)
        doing.result()
    stand.until_ended({job})


def _killed_while_jobs_come(trial: Trial, role: str, halt: str) -> None:
    """A process dies around a commit that follows a submission; clients ask again, and there is one analysis each."""
    stand, died = trial.stand, threading.Event()

    def submit() -> None:
        while not died.is_set():
            trial.load.submit(Order("slow", 5))

    stand.halting(role, halt)
    with ThreadPoolExecutor(1) as pool:
        submitting = pool.submit(submit)
        try:
            stand.until(lambda: stand.has_halted(role), f"the moment {halt}")
        finally:
            died.set()
        stand.go_on(role)
        submitting.result()


def clock_jumps(trial: Trial) -> None:
    """The clock of the database jumps by an hour, back and forth, right after workers were killed.

    All that a jump does to the jobs is done: the leases that run are an hour older, or younger.
    """
    stand, random = trial.stand, trial.random

    def jump(seconds: float) -> None:
        with stand.database.write() as connection:
            running = jobs.c.state == "running"
            connection.execute(update(jobs).where(running).values(lease_until=jobs.c.lease_until - seconds))

    def too_long() -> bool:
        with stand.database.read() as connection:
            lasts = jobs.c.lease_until > clock() + LEASE_SECONDS + 1
            return connection.execute(jobs.select().where(jobs.c.state == "running", lasts)).first() is not None

    def faults() -> None:
        for number in range(trial.size(3, 12)):
            trial.pause(0.3, 1.5)
            role = random.choice(stand.workers)
            until_busy(trial, role)
            stand.kill(role)
            jump(_HOUR if number % 2 else -_HOUR)  # what it had must not wait for an hour
            stand.until(lambda: not too_long(), "leases to be as long as they should")

    trial.during(slow(random, trial.size(12, 50), 100, 2000), faults)
