"""What is deleted when its time is over, and the files that nothing refers to any more.

Rows are deleted first, each with a note that it was here. A file without a row, in the making or whole, is garbage
once it is older than any process could still be about to write its row. So whoever sweeps may be killed at any point,
and several may sweep at once.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import delete, exists, func, literal, select, union

from contract.audit_log import AuditLog
from contract.blobs import Blobs
from contract.database import (
    Database,
    artifacts,
    clock,
    compute_use,
    expired,
    job_inputs,
    jobs,
    reports,
    uploads,
)
from contract.job_rows import FINAL
from contract.report_history import current_baselines
from contract.settings import Settings
from contract.uploads import sweep as sweep_uploads

_ID_PREFIX = "sha256:"
_COMPUTE_DAYS = 32
log = structlog.get_logger()


class Retention:
    """Sweeps an installation."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._blobs = Blobs(settings.data_dir)
        self._next = 0.0

    def sweep_if_due(self) -> None:
        """Sweep when the last time in this process is long enough ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._settings.sweep_seconds
            self.sweep()

    def sweep(self) -> None:
        """Delete what has expired, and what nothing refers to."""
        gone = self._expire_jobs() + self._expire_reports() + self._expire_artifacts()
        gone += sweep_uploads(self._settings, self._database, self._blobs)
        files = self._delete_garbage()
        if gone or files:
            log.info("swept", expired=gone, files=files)
        with self._database.write() as connection:
            old = clock() - self._settings.expired_note_seconds
            connection.execute(delete(expired).where(expired.c.at < old))
            connection.execute(delete(compute_use).where(compute_use.c.day < time.time() // 86400 - _COMPUTE_DAYS))
        AuditLog(self._database).forget(self._settings.audit_seconds)

    def _expire_artifacts(self) -> int:
        """Those that no unfinished analysis reads."""
        reading = (
            exists()
            .where(jobs.c.id == job_inputs.c.job_id, jobs.c.tenant == artifacts.c.tenant)
            .where(job_inputs.c.sha256 == artifacts.c.sha256, jobs.c.state.not_in(FINAL))
        )
        key = (artifacts.c.tenant, artifacts.c.sha256)
        return self._expire(
            artifacts, artifacts.c.created_at, self._settings.artifact_seconds, key, ~reading, prefix=_ID_PREFIX
        )

    def _expire_jobs(self) -> int:
        key = (jobs.c.tenant, jobs.c.id)
        return self._expire(jobs, jobs.c.finished_at, self._settings.job_seconds, key, jobs.c.state.in_(FINAL))

    def _expire_reports(self) -> int:
        """Those that no baseline names."""
        named = current_baselines().subquery()
        blessed = exists().where(named.c.tenant == reports.c.tenant, named.c.report_id == reports.c.id)
        key = (reports.c.tenant, reports.c.id)
        return self._expire(reports, reports.c.created_at, self._settings.report_seconds, key, ~blessed)

    def _expire(
        self, table: Any, since: Any, seconds: float | None, key: tuple[Any, Any], condition: Any, prefix: str = ""
    ) -> int:
        """Turn rows whose time is over into notes that they were here."""
        if seconds is None:
            return 0
        tenant, name = key
        due = (since < clock() - seconds) & condition
        with self._database.read() as connection:  # nothing to do costs no write lock
            found = connection.execute(select(tenant, name).where(due).limit(1000)).all()
        for row in found:
            with self._database.write() as connection:
                this = (tenant == row[0]) & (name == row[1])
                if connection.execute(delete(table).where(this, due)).rowcount:
                    values = {"tenant": row[0], "id": prefix + row[1]}
                    connection.execute(delete(expired).where(expired.c.tenant == row[0], expired.c.id == values["id"]))
                    connection.execute(expired.insert().values(at=clock(), **values))
        return len(found)

    def _delete_garbage(self) -> int:
        """Delete files that no row refers to. They must be older than the time between a file and its row."""
        count = 0
        for path in self._old_files():
            if not self._referred_to(path):
                with suppress(FileNotFoundError):  # somebody else sweeps, too
                    path.unlink()
                    count += 1
        return count

    def _old_files(self) -> Iterator[Path]:
        newest = time.time() - self._settings.garbage_seconds
        for folder in ("tmp", "uploads", "artifacts", "reports"):
            for path in (self._settings.data_dir / folder).rglob("*"):
                with suppress(FileNotFoundError):
                    if path.is_file() and path.stat().st_mtime < newest:
                        yield path

    def _referred_to(self, path: Path) -> bool:
        folder = path.relative_to(self._settings.data_dir).parts[0]
        if folder == "tmp":
            return False  # a file that is still written to is not old
        rows = {
            "uploads": select(literal(1)).where(uploads.c.id == path.name),
            "artifacts": select(literal(1)).where(
                artifacts.c.tenant == path.parents[1].name, artifacts.c.sha256 == path.name
            ),
            "reports": union(
                select(literal(1)).where(jobs.c.report_sha256 == path.stem),
                select(literal(1)).where(reports.c.sha256 == path.stem),
            ),
        }
        with self._database.read() as connection:
            return connection.execute(rows[folder].limit(1)).first() is not None


def has_expired(database: Database, tenant: str, name: str) -> bool:
    """Tell whether something of the tenant was here and has expired."""
    query = select(func.count()).where(expired.c.tenant == tenant, expired.c.id == name)
    with database.read() as connection:
        return bool(connection.execute(query).scalar_one())
