"""Backup and restore of an installation: the database as of one moment, and every file that it refers to.

The database comes first, the immutable files after it. So what the copy of the database refers to was there when the
files were copied, save what was deleted in between; that is deleted from the copy, too.
"""

import hashlib
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select, union

from contract.blobs import Blobs, digest_of
from contract.database import Database
from contract.settings import Settings
from contract.stores import Folder, StoredFile
from contract.tables import artifacts, jobs, reports

DATABASE_FILE = "interlayer.sqlite3"
_FOLDERS = ("artifacts", "reports", "parts")


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
                _copy_files(Blobs.open(settings), target, copy)
                return _summary(copy, target, with_database=True)
            finally:
                copy.close()
        _copy_files(Blobs.open(settings), target, database)
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
    database.now()  # a server that does not answer is noticed before any file is there
    database.close()
    if with_database:
        for leftover in data.glob(f"{DATABASE_FILE}*"):  # what opening it has just made
            leftover.unlink()
        shutil.copy2(source / DATABASE_FILE, data / DATABASE_FILE)
    blobs = Blobs.open(settings)
    for folder in _FOLDERS:
        if next(blobs.store.files(folder), None) is not None:
            raise BackupError(f"{settings.blobs_url} is not empty; restore into a new bucket or prefix")
    for file in _all_files(source):
        _bring_back(blobs, source, file.key)
    database = Database(settings)
    try:
        database.upgrade()
        problems = damage(settings, database)
        if problems:
            raise BackupError(f"the backup is damaged: {problems[0]} ({len(problems)} such findings)")
        return _summary(database, source, with_database=with_database)
    finally:
        database.close()


def damage(settings: Settings, database: Database) -> list[str]:
    """Return what is wrong with an installation: a damaged database, files that are missing or not what they were."""
    found = []
    if database.engine.dialect.name == "sqlite":
        with database.read() as connection:
            answer = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
        found += [] if answer == "ok" else [f"the database: {answer}"]
    blobs = Blobs.open(settings)
    for key in _referred_to(database, blobs):
        try:
            right = blobs.sha256(key) == digest_of(key)
        except FileNotFoundError:
            found.append(f"{_shown(blobs, key)} is missing")
        else:
            found += [] if right else [f"{_shown(blobs, key)} is not what its name says"]
    return found


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source, timeout=60)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    with closing(sqlite3.connect(target)) as connection:
        # Halves of uploads are not copied, and who was signed in signs in again.
        for table in ("uploads", "sessions", "processes"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
        connection.commit()


def _copy_files(source: Blobs, target: Path, database: Database) -> None:
    for key in list(_referred_to(database, source)):
        copy = target / key
        copy.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # deleted since the database was copied
            _copy(source, key, copy)
            continue
        copy.unlink(missing_ok=True)
        if database.engine.dialect.name == "sqlite":
            _forget(database, key)


def _copy(source: Blobs, key: str, copy: Path) -> None:
    path = source.store.path(key)
    if path is not None:
        shutil.copy2(path, copy)
        return
    digest = hashlib.sha256()
    with copy.open("wb", buffering=0) as file:
        for block in source.store.blocks(key):
            file.write(block)
            digest.update(block)
    if digest.hexdigest() != digest_of(key):
        raise BackupError(f"the store returns other bytes than were stored as {key}; delete that file, then back up")


def _bring_back(blobs: Blobs, source: Path, key: str) -> None:
    """Store a copy of a backup's file, which stays."""
    copy = blobs.temporary / secrets.token_hex(16)
    shutil.copy2(source / key, copy)
    blobs.store.keep(copy, key)


def _all_files(source: Path) -> Iterator[StoredFile]:
    for folder in _FOLDERS:
        yield from Folder(source).files(folder)


def _forget(database: Database, key: str) -> None:
    """Delete, from the copy of a database, the rows of a file that was deleted meanwhile.

    An artifact's file is one tenant's, others may have the same bytes; a report's file is everybody's.
    """
    folder, tenant, sha256 = key.partition("/")[0], key.split("/")[1], digest_of(key)
    with database.write() as connection:
        if folder == "artifacts":
            mine = (artifacts.c.tenant == tenant) & (artifacts.c.sha256 == sha256)
            connection.execute(artifacts.delete().where(mine))
        elif folder == "parts":
            _plan_anew(connection, sha256)
        else:
            connection.execute(reports.delete().where(reports.c.sha256 == sha256))
            connection.execute(jobs.delete().where(jobs.c.report_sha256 == sha256))


def _plan_anew(connection: Connection, sha256: str) -> None:
    """Have the unfinished analyses that would read a part's result start again; for others it is only forgotten."""
    this = (jobs.c.kind == "part") & (jobs.c.report_sha256 == sha256)
    split = connection.execute(select(jobs.c.parent).where(this)).scalars().all()
    anew = {"state": "queued", "stage": "queued", "parts": None, "done": 0, "total": 0, "fraction": 0.0}
    connection.execute(jobs.update().where(jobs.c.id.in_(split), jobs.c.state == "split").values(anew))
    connection.execute(jobs.delete().where(jobs.c.parent.in_(split)))


def _referred_to(database: Database, blobs: Blobs) -> Iterator[str]:
    """Yield the keys of the files that the database refers to."""
    found = select(jobs.c.report_sha256).where(jobs.c.report_sha256.is_not(None))
    addresses = union(found.where(jobs.c.kind != "part"), select(reports.c.sha256))
    with database.read() as connection:
        parts = connection.execute(found.where(jobs.c.kind == "part").distinct()).all()
        uploaded = connection.execute(select(artifacts.c.tenant, artifacts.c.sha256)).all()
        reported = connection.execute(addresses).all()
    yield from (blobs.artifact(tenant, sha256) for tenant, sha256 in uploaded)
    yield from (blobs.report(sha256) for (sha256,) in reported)
    yield from (blobs.part(sha256) for (sha256,) in parts)


def _summary(database: Database, folder: Path, *, with_database: bool) -> Summary:
    with database.read() as connection:
        counts = [len(connection.execute(select(*table.primary_key)).all()) for table in (jobs, artifacts, reports)]
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Summary(counts[0], counts[1], counts[2], size, with_database)


def _shown(blobs: Blobs, key: str) -> Path | str:
    return blobs.store.path(key) or key
