"""What expires goes, with its files; nothing goes early; whoever sweeps may be killed at any point."""

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from contract.artifacts import Artifacts
from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Jobs, NewJob
from contract.retention import Retention, has_expired
from contract.settings import Settings
from contract.tables import artifacts, expired, jobs, reports
from tests.e2e.processes import until

HOUR = 3600.0
EXPIRING = {"artifact_seconds": HOUR, "job_seconds": HOUR, "report_seconds": HOUR, "garbage_seconds": HOUR}


@pytest.fixture
def expiring(any_settings: Settings) -> Settings:
    return any_settings.model_copy(update=EXPIRING)


def stored(settings: Settings, database: Database, content: bytes, *, old: bool) -> str:
    """Upload a file, two hours ago or now."""
    blobs, sha256 = Blobs(settings.data_dir), hashlib.sha256(content).hexdigest()
    with blobs.writer() as writer:
        writer.write(content)
        writer.keep(blobs.artifact("a", sha256))
    Artifacts(database).add("a", sha256, len(content), "npz")
    if old:
        age(settings.data_dir / blobs.artifact("a", sha256))
        with database.write() as connection:
            this = artifacts.c.sha256 == sha256
            connection.execute(update(artifacts).where(this).values(created_at=artifacts.c.created_at - 2 * HOUR))
    return sha256


def age(path: Path) -> None:
    when = time.time() - 2 * HOUR
    os.utime(path, (when, when))


def finished(settings: Settings, database: Database, *, old: bool, report: bytes, sha256: str = "") -> str:
    """Return an analysis that has succeeded."""
    store = Jobs(database)
    job = NewJob("a", "analysis", {}, "cpu", "f", inputs=[sha256] if sha256 else [])
    analysis = store.submit(job, max_unfinished=9999)[0]
    claim = store.claim("w", 60, queues=["cpu"])
    assert claim is not None
    assert store.succeed(claim, report_sha256=Blobs(settings.data_dir).put_report(report), device="cpu")
    if old:
        age(settings.data_dir / Blobs(settings.data_dir).report(hashlib.sha256(report).hexdigest()))
        with database.write() as connection:
            this = jobs.c.id == analysis.id
            connection.execute(update(jobs).where(this).values(finished_at=jobs.c.finished_at - 2 * HOUR))
    return analysis.id


def test_what_is_old_goes_and_what_is_not_stays(expiring: Settings, any_database: Database) -> None:
    old, new = (stored(expiring, any_database, content, old=content == b"old") for content in (b"old", b"new"))
    old_job = finished(expiring, any_database, old=True, report=b"old report")
    new_job = finished(expiring, any_database, old=False, report=b"new report")
    Retention(expiring, any_database).sweep()
    blobs = Blobs(expiring.data_dir)
    assert Artifacts(any_database).get("a", old) is None
    assert not blobs.exists(blobs.artifact("a", old))
    assert Artifacts(any_database).get("a", new) is not None
    assert blobs.exists(blobs.artifact("a", new))
    assert Jobs(any_database).get("a", old_job) is None
    assert Jobs(any_database).get("a", new_job) is not None
    files = [path.read_bytes() for path in (expiring.data_dir / "reports").rglob("*.json")]
    assert files == [b"new report"]
    for name in (f"sha256:{old}", old_job):
        assert has_expired(any_database, "a", name)
        assert not has_expired(any_database, "b", name)
    assert not has_expired(any_database, "a", new_job)


def test_nothing_expires_unless_it_is_said(any_settings: Settings, any_database: Database) -> None:
    sha256 = stored(any_settings, any_database, b"old", old=True)
    job = finished(any_settings, any_database, old=True, report=b"report")
    Retention(any_settings, any_database).sweep()
    assert Blobs(any_settings.data_dir).exists(Blobs(any_settings.data_dir).artifact("a", sha256))
    assert Jobs(any_database).report_sha256("a", job) is not None
    assert len(list((any_settings.data_dir / "reports").rglob("*.json"))) == 1


def test_an_unfinished_analysis_keeps_its_inputs(expiring: Settings, any_database: Database) -> None:
    sha256 = stored(expiring, any_database, b"old", old=True)
    store = Jobs(any_database)
    job = store.submit(NewJob("a", "analysis", {}, "cpu", "f", inputs=[sha256]), max_unfinished=9)[0]
    Retention(expiring, any_database).sweep()
    assert Blobs(expiring.data_dir).exists(Blobs(expiring.data_dir).artifact("a", sha256))
    store.request_cancel("a", job.id)
    Retention(expiring, any_database).sweep()
    assert not Blobs(expiring.data_dir).exists(Blobs(expiring.data_dir).artifact("a", sha256))


def test_what_came_again_is_there_again(expiring: Settings, any_database: Database) -> None:
    sha256 = stored(expiring, any_database, b"old", old=True)
    Retention(expiring, any_database).sweep()
    stored(expiring, any_database, b"old", old=False)
    Retention(expiring, any_database).sweep()
    assert Artifacts(any_database).get("a", sha256) is not None
    assert Blobs(expiring.data_dir).exists(Blobs(expiring.data_dir).artifact("a", sha256))


def test_two_analyses_with_one_report_share_its_file(expiring: Settings, any_database: Database) -> None:
    finished(expiring, any_database, old=True, report=b"same")
    kept = finished(expiring, any_database, old=False, report=b"same")
    Retention(expiring, any_database).sweep()
    sha256 = Jobs(any_database).report_sha256("a", kept)
    assert sha256 is not None
    assert Blobs(expiring.data_dir).exists(Blobs(expiring.data_dir).report(sha256))


def test_leftovers_of_killed_processes_go_when_they_are_old(expiring: Settings, any_database: Database) -> None:
    Blobs(expiring.data_dir)
    names = [f"{folder}/{when}" for folder in ("tmp", "uploads") for when in ("old", "new")]
    for name in names:
        path = expiring.data_dir / name
        path.write_bytes(b"half a file")
        if path.name == "old":
            age(path)
    Retention(expiring, any_database).sweep()
    assert [name for name in names if (expiring.data_dir / name).exists()] == ["tmp/new", "uploads/new"]


SWEEPING = """
from contract.database import Database
from contract.retention import Retention
from contract.settings import Settings
settings = Settings()
retention = Retention(settings, Database(settings))
print("ready", flush=True)
while True:
    retention.sweep()
"""


def test_a_killed_sweeper_loses_and_leaves_nothing(settings: Settings, database: Database) -> None:
    expiring = settings.model_copy(update=EXPIRING)
    rng = random.Random(0)
    kept = {stored(expiring, database, b"new %d" % i, old=False) for i in range(20)}
    reported = finished(expiring, database, old=False, report=b"kept")
    environment = os.environ | {"INTERLAYER_DATA_DIR": str(settings.data_dir)}
    environment |= {f"INTERLAYER_{name.upper()}": str(value) for name, value in EXPIRING.items()}
    gone: set[str] = set()
    for trial in range(10):
        gone |= {stored(expiring, database, b"old %d %d" % (trial, i), old=True) for i in range(20)}
        process = subprocess.Popen([sys.executable, "-c", SWEEPING], env=environment, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        left = rng.randrange(20)
        until(lambda left=left: remaining(database) - len(kept) <= left, "the sweeper to be in the middle")  # type: ignore[misc]  # mypy knows no default of a lambda
        process.kill()
        process.wait()
        process.stdout.close()
    Retention(expiring, database).sweep()
    with database.read() as connection:
        assert {row.sha256 for row in connection.execute(select(artifacts))} == kept
        assert {row.id for row in connection.execute(select(expired))} == {f"sha256:{name}" for name in gone}
        assert connection.execute(select(reports)).all() == []
    files = {path.name for path in (settings.data_dir / "artifacts").rglob("*") if path.is_file()}
    assert files == kept, "no file is deleted early, and none is left behind"
    assert Jobs(database).report_sha256("a", reported) is not None
    assert len(list((settings.data_dir / "reports").rglob("*.json"))) == 1


def remaining(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute(select(artifacts.c.sha256)).all())
