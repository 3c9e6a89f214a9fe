"""What is deleted when its time is over, and the files that nothing refers to any more.

Rows are deleted first, each with a note that it was here. A file without a row, in the making or whole, is garbage
once it is older than any process could still be about to write its row. So whoever sweeps may be killed at any point,
and several may sweep at once.
"""

import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

import structlog
from sqlalchemy import delete, exists, func, select

from contract.audit_log import AuditLog
from contract.blobs import Blobs, digest_of
from contract.database import Database, clock
from contract.job_rows import FINAL
from contract.report_history import current_baselines
from contract.settings import Settings
from contract.spool import sweep_spool
from contract.tables import artifacts, compute_use, expired, job_inputs, jobs, reports

_ID_PREFIX = "sha256:"
_COMPUTE_DAYS = 32
_FILES_AT_ONCE = 500
log = structlog.get_logger()


class Retention:
    """Sweeps an installation."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._blobs = Blobs.open(settings)
        self._next = self._next_garbage = 0.0

    def sweep_if_due(self) -> None:
        """Sweep when the last time in this process is long enough ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._settings.sweep_seconds
            self.sweep()

    def sweep(self) -> None:
        """Delete what has expired, and what nothing refers to."""
        gone = self._expire_jobs() + self._expire_reports() + self._expire_artifacts()
        files = 0
        if self._blobs.in_place:  # else each host sweeps its own
            uploads, files = sweep_spool(self._settings, self._database, self._blobs)
            gone += uploads
        files += self._delete_garbage()
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
        """With their parts."""
        key, ended = (jobs.c.tenant, jobs.c.id), jobs.c.state.in_(FINAL) & jobs.c.parent.is_(None)
        return self._expire(jobs, jobs.c.finished_at, self._settings.job_seconds, key, ended)

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
        if time.monotonic() < self._next_garbage:
            return 0
        if not self._blobs.in_place:  # a long list, and each thousand of it is paid for
            self._next_garbage = time.monotonic() + self._settings.garbage_seconds
        count, store = 0, self._blobs.store
        newest = self._database.now() - self._settings.garbage_seconds  # the clock of this process may be wrong
        for folder in ("artifacts", "reports", "parts"):
            old = (file.key for file in store.files(folder) if file.modified < newest)
            while keys := list(islice(old, _FILES_AT_ONCE)):
                for key in sorted(set(keys) - self._referred_to(folder, keys)):
                    modified = store.modified(key)
                    # The second look: it may have come again since it was listed, and get its row now.
                    if modified is not None and modified < newest:
                        store.delete(key)
                        count += 1
        return count

    def _referred_to(self, folder: str, keys: Sequence[str]) -> set[str]:
        """Return those keys that a row refers to. One look for many: the rows are searched as a whole."""
        digests = {digest_of(key) for key in keys}
        with self._database.read() as connection:
            if folder == "artifacts":
                owned = select(artifacts.c.tenant, artifacts.c.sha256).where(artifacts.c.sha256.in_(digests))
                return {self._blobs.artifact(tenant, sha256) for tenant, sha256 in connection.execute(owned)}
            results = select(jobs.c.report_sha256).where(jobs.c.report_sha256.in_(digests))
            found = set(connection.execute(results).scalars())
            if folder == "parts":
                return {self._blobs.part(sha256) for sha256 in found}
            pushed = select(reports.c.sha256).where(reports.c.sha256.in_(digests))
            return {self._blobs.report(sha256) for sha256 in found.union(connection.execute(pushed).scalars())}


def has_expired(database: Database, tenant: str, name: str) -> bool:
    """Tell whether something of the tenant was here and has expired."""
    query = select(func.count()).where(expired.c.tenant == tenant, expired.c.id == name)
    with database.read() as connection:
        return bool(connection.execute(query).scalar_one())
