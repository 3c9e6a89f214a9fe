"""What is deleted while a backup is made is not in it, and nothing else is missing."""

import hashlib
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from contract.artifacts import Artifacts
from contract.backup import back_up, damage, restore
from contract.blobs import Blobs
from contract.database import Database, artifacts, jobs
from contract.jobs import Jobs, NewJob
from contract.settings import Settings

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
