"""Backup and restore of an installation: the database as of one moment, and every file that it refers to.

The database comes first, the immutable files after it. So what the copy of the database refers to was there when the
files were copied, save what was deleted in between; that is deleted from the copy, too.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, union

from contract.blobs import Blobs
from contract.database import Database, artifacts, jobs, reports
from contract.settings import Settings

DATABASE_FILE = "interlayer.sqlite3"
_FOLDERS = ("artifacts", "reports")


class BackupError(Exception):
    """The backup cannot be made, or cannot be restored; the message says what to do."""


@dataclass(frozen=True)
class Summary:
    """What a backup holds."""

    jobs: int
    artifacts: int
    reports: int
    bytes: int
    with_database: bool


def back_up(settings: Settings, target: Path) -> Summary:
    """Copy an installation into a new folder while it works.

    On PostgreSQL only the files are copied: dump the database before, with `pg_dump`.
    """
    if target.exists() and any(target.iterdir()):
        raise BackupError(f"{target} is not empty; name a new folder")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings)
    try:
        with_database = database.engine.dialect.name == "sqlite"
        if with_database:
            _copy_database(Path(str(database.engine.url.database)), target / DATABASE_FILE)
            copy = Database(Settings(data_dir=target))
            try:
                _copy_files(Blobs(settings.data_dir), Blobs(target), copy)
                return _summary(copy, target, with_database=True)
            finally:
                copy.close()
        _copy_files(Blobs(settings.data_dir), Blobs(target), database)
        return _summary(database, target, with_database=False)
    finally:
        database.close()


def restore(source: Path, settings: Settings) -> Summary:
    """Bring a backup back into an empty data directory, and check all of it.

    On PostgreSQL only the files are copied: restore the dump before, with `pg_restore`.
    """
    data = settings.data_dir
    if data.exists() and any(data.iterdir()):
        raise BackupError(f"{data} is not empty; restore into a new data directory")
    if not any((source / name).exists() for name in (*_FOLDERS, DATABASE_FILE)):
        raise BackupError(f"{source} holds no backup; name the folder that `interlayer backup --to` has made")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings)
    with_database = database.engine.dialect.name == "sqlite"
    database.close()
    if with_database:
        for leftover in data.glob(f"{DATABASE_FILE}*"):  # what opening it has just made
            leftover.unlink()
        shutil.copy2(source / DATABASE_FILE, data / DATABASE_FILE)
    for folder in _FOLDERS:
        if (source / folder).exists():
            shutil.copytree(source / folder, data / folder)
    database = Database(settings)
    try:
        database.upgrade()
        problems = damage(settings, database)
        if problems:
            raise BackupError(f"the backup is damaged: {problems[0]} ({len(problems)} such findings)")
        return _summary(database, data, with_database=with_database)
    finally:
        database.close()


def damage(settings: Settings, database: Database) -> list[str]:
    """Return what is wrong with an installation: a damaged database, files that are missing or not what they were."""
    found = []
    if database.engine.dialect.name == "sqlite":
        with database.read() as connection:
            answer = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
        found += [] if answer == "ok" else [f"the database: {answer}"]
    for path, sha256 in _referred_to(database, Blobs(settings.data_dir)):
        if not path.exists():
            found.append(f"{path} is missing")
        elif _sha256(path) != sha256:
            found.append(f"{path} is not what its name says")
    return found


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source, timeout=60)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    with closing(sqlite3.connect(target)) as connection:
        # Halves of uploads are not copied, and who was signed in signs in again.
        for table in ("uploads", "sessions", "processes"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
        connection.commit()


def _copy_files(source: Blobs, target: Blobs, database: Database) -> None:
    root, copy_root = source.root, target.root
    for path, _ in list(_referred_to(database, source)):
        copy = copy_root / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # deleted since the database was copied
            shutil.copy2(path, copy)
            continue
        if database.engine.dialect.name == "sqlite":
            _forget(database, path.relative_to(root))


def _forget(database: Database, path: Path) -> None:
    """Delete, from the copy of a database, the rows of a file that was deleted meanwhile.

    An artifact's file is one tenant's, others may have the same bytes; a report's file is everybody's.
    """
    with database.write() as connection:
        if path.parts[0] == "artifacts":
            mine = (artifacts.c.tenant == path.parts[1]) & (artifacts.c.sha256 == path.name)
            connection.execute(artifacts.delete().where(mine))
        else:
            connection.execute(reports.delete().where(reports.c.sha256 == path.stem))
            connection.execute(jobs.delete().where(jobs.c.report_sha256 == path.stem))


def _referred_to(database: Database, blobs: Blobs) -> Iterator[tuple[Path, str]]:
    """Yield where the files are that the database refers to, with their digests."""
    addresses = union(select(jobs.c.report_sha256).where(jobs.c.report_sha256.is_not(None)), select(reports.c.sha256))
    with database.read() as connection:
        uploaded = connection.execute(select(artifacts.c.tenant, artifacts.c.sha256)).all()
        reported = connection.execute(addresses).all()
    yield from ((blobs.artifact(tenant, sha256), sha256) for tenant, sha256 in uploaded)
    yield from ((blobs.report(sha256), sha256) for (sha256,) in reported)


def _summary(database: Database, folder: Path, *, with_database: bool) -> Summary:
    with database.read() as connection:
        counts = [len(connection.execute(select(*table.primary_key)).all()) for table in (jobs, artifacts, reports)]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Summary(counts[0], counts[1], counts[2], size, with_database)


def _sha256(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        digest = hashlib.file_digest(file, "sha256")
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # a check must not push out what is in use
    return digest.hexdigest()
