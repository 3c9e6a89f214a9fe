"""What is deleted while a backup is made is not in it, and nothing else is missing."""

import hashlib
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from contract.artifacts import Artifacts
from contract.backup import BackupError, back_up, damage, restore
from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Jobs, NewJob
from contract.settings import Settings
from contract.tables import artifacts, jobs

CONTENT = b"content"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def two_tenants(settings: Settings, database: Database) -> Settings:
    """The same file of two tenants, and an analysis of each with the same report."""
    blobs = Blobs(settings.data_dir)
    store = Jobs(database)
    for tenant in ("a", "b"):
        with blobs.writer() as writer:
            writer.write(CONTENT)
            writer.keep(blobs.artifact(tenant, SHA))
        Artifacts(database).add(tenant, SHA, len(CONTENT), "npz")
        store.submit(NewJob(tenant, "analysis", {}, "cpu", "f"), max_unfinished=9)
        claim = store.claim("w", 60, queues=["cpu"])
        assert claim is not None
        store.succeed(claim, report_sha256=blobs.put_report(b"report"), device="cpu")
    return settings


def restored(settings: Settings, copy: Path) -> tuple[list[str], list[str]]:
    """Return whose artifacts and analyses come back from a backup."""
    new = Settings(data_dir=copy.with_name("new"))
    restore(copy, new)
    database = Database(new)
    try:
        assert damage(new, database) == []
        with database.read() as connection:
            files = connection.execute(select(artifacts.c.tenant).order_by(artifacts.c.tenant)).scalars().all()
            analyses = connection.execute(select(jobs.c.tenant).order_by(jobs.c.tenant)).scalars().all()
    finally:
        database.close()
    return list(files), list(analyses)


def vanishing(monkeypatch: pytest.MonkeyPatch, gone: Path) -> None:
    """Delete a file when the database has been copied and the first file is about to be."""
    usual = shutil.copy2

    def copy2(source: Path, target: Path) -> str:
        gone.unlink(missing_ok=True)
        return str(usual(source, target))

    monkeypatch.setattr("contract.backup.shutil.copy2", copy2)


def test_a_file_that_one_tenant_deletes_meanwhile_stays_with_the_other(
    two_tenants: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vanishing(monkeypatch, two_tenants.data_dir / Blobs(two_tenants.data_dir).artifact("a", SHA))
    assert back_up(two_tenants, tmp_path / "copy").artifacts == 1
    monkeypatch.undo()
    assert restored(two_tenants, tmp_path / "copy") == (["b"], ["a", "b"])


def test_a_report_that_is_deleted_meanwhile_takes_its_analyses_along(
    two_tenants: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (report,) = (two_tenants.data_dir / "reports").rglob("*.json")
    vanishing(monkeypatch, report)
    back_up(two_tenants, tmp_path / "copy")
    monkeypatch.undo()
    assert restored(two_tenants, tmp_path / "copy") == (["a", "b"], [])


def test_nothing_deleted_nothing_missing(two_tenants: Settings, tmp_path: Path) -> None:
    back_up(two_tenants, tmp_path / "copy")
    assert restored(two_tenants, tmp_path / "copy") == (["a", "b"], ["a", "b"])


def test_where_the_database_is_dumped_apart_the_reports_alone_are_a_backup(
    any_settings: Settings, any_database: Database, tmp_path: Path
) -> None:
    store = Jobs(any_database)
    store.submit(NewJob("a", "analysis", {}, "cpu", "f"), max_unfinished=9)
    claim = store.claim("w", 60, queues=["cpu"])
    assert claim is not None
    assert store.succeed(claim, report_sha256=Blobs(any_settings.data_dir).put_report(b"report"), device="cpu")
    made = back_up(any_settings, tmp_path / "copy")
    assert made.with_database is (any_database.engine.dialect.name == "sqlite")
    new = any_settings.model_copy(update={"data_dir": tmp_path / "restored"})
    assert restore(tmp_path / "copy", new).jobs == 1


def in_a_bucket(settings: Settings, database: Database, url: str) -> Settings:
    """Two tenants with the same file, and a report, all in a bucket."""
    stored = settings.model_copy(update={"blobs_url": url})
    blobs, store = Blobs.open(stored), Jobs(database)
    for tenant in ("a", "b"):
        with blobs.writer() as writer:
            writer.write(CONTENT)
            writer.keep(blobs.artifact(tenant, SHA))
        Artifacts(database).add(tenant, SHA, len(CONTENT), "npz")
    store.submit(NewJob("a", "analysis", {}, "cpu", "f"), max_unfinished=9)
    claim = store.claim("w", 60, queues=["cpu"])
    assert claim is not None
    store.succeed(claim, report_sha256=blobs.put_report(b"report"), device="cpu")
    return stored


@pytest.mark.parametrize("back_into", ["bucket", "folder"])
def test_from_a_bucket_into_a_new_one_or_a_folder(
    settings: Settings, database: Database, bucket_url: str, tmp_path: Path, back_into: str
) -> None:
    stored = in_a_bucket(settings, database, bucket_url)
    assert damage(stored, database) == []
    made = back_up(stored, tmp_path / "copy")
    assert (made.artifacts, made.jobs) == (2, 1)
    assert (tmp_path / "copy" / Blobs.open(stored).artifact("b", SHA)).read_bytes() == CONTENT
    new = Settings(data_dir=tmp_path / "new", blobs_url=f"{bucket_url}-new" if back_into == "bucket" else None)
    assert restore(tmp_path / "copy", new).artifacts == made.artifacts
    assert sorted(file.key for file in Blobs.open(new).store.files("artifacts")) == [
        Blobs.open(new).artifact(tenant, SHA) for tenant in ("a", "b")
    ]


def test_a_bucket_that_is_not_empty_is_not_restored_into(
    settings: Settings, database: Database, bucket_url: str, tmp_path: Path
) -> None:
    stored = in_a_bucket(settings, database, bucket_url)
    back_up(stored, tmp_path / "copy")
    with pytest.raises(BackupError, match="not empty; restore into a new bucket or prefix"):
        restore(tmp_path / "copy", Settings(data_dir=tmp_path / "new", blobs_url=bucket_url))


def test_what_is_lost_or_damaged_in_a_bucket_is_found(
    settings: Settings, database: Database, bucket_url: str, tmp_path: Path
) -> None:
    stored = in_a_bucket(settings, database, bucket_url)
    blobs = Blobs.open(stored)
    blobs.store.delete(blobs.artifact("a", SHA))
    (tmp_path / "other").write_bytes(b"other bytes")
    blobs.store.keep(tmp_path / "other", blobs.artifact("b", SHA))
    missing, wrong = damage(stored, database)
    assert missing == f"{blobs.artifact('a', SHA)} is missing"
    assert wrong == f"{blobs.artifact('b', SHA)} is not what its name says"
    with pytest.raises(BackupError, match="other bytes"):
        back_up(stored, tmp_path / "copy")
