"""What a tenant may use, and what it uses."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from contract.counters import add_up
from contract.database import Database, clock
from contract.schemas import ProblemError
from contract.settings import Settings
from contract.tables import UNFINISHED, artifacts, compute_use, jobs, reports, uploads

_DAY = 86400


@dataclass(frozen=True)
class Use:
    """What a tenant uses at the moment; compute is that of today (UTC)."""

    bytes: int
    unfinished_jobs: int
    running_jobs: int
    compute_seconds_today: float


class Quotas:
    """The limits of tenants, from the settings, against what the database says that they use."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def bytes_of(self, tenant: str) -> int:
        """Return the bytes of a tenant's files and reports, with all that its open uploads have been promised."""
        with self._database.read() as connection:
            return _bytes_of(connection, tenant)

    def use(self, tenant: str) -> Use:
        """Return what the tenant uses."""
        mine = select(func.count()).where(jobs.c.tenant == tenant, jobs.c.kind == "analysis")
        with self._database.read() as connection:
            unfinished = connection.execute(mine.where(UNFINISHED)).scalar_one()
            running = connection.execute(mine.where(UNFINISHED, jobs.c.state.in_(("running", "split")))).scalar_one()
        return Use(self.bytes_of(tenant), unfinished, running, self._computed_today(tenant))

    def require_bytes(self, tenant: str, size: int) -> None:
        """Refuse `size` more bytes that the tenant may not store, as things are now."""
        limit = self._settings.limits_of(tenant).max_tenant_bytes
        if limit is not None:
            _refuse_beyond(limit, self.bytes_of(tenant), size)

    def hold_bytes(self, connection: Connection, tenant: str, size: int) -> None:
        """Refuse the `size` bytes that a transaction has noted if they are too many; it must then be rolled back.

        Until it ends no other transaction of the tenant can do the same: two cannot both have the last bytes.
        """
        limit = self._settings.limits_of(tenant).max_tenant_bytes
        if limit is not None:
            self._database.one_at_a_time(connection, f"bytes of {tenant}")
            _refuse_beyond(limit, _bytes_of(connection, tenant) - size, size)

    def require_compute(self, tenant: str) -> None:
        """Refuse another analysis where the tenant has computed enough for today."""
        limit = self._settings.limits_of(tenant).max_tenant_compute_seconds_per_day
        if limit is None:
            return
        used = self._computed_today(tenant)
        if used >= limit:
            tomorrow = _DAY - int(time.time()) % _DAY
            raise ProblemError(
                "quota_exceeded",
                f"your analyses have computed {used:.0f} s today (UTC), and {limit:g} s are allowed; go on tomorrow",
                headers={"Retry-After": str(tomorrow)},
            )

    def computed(self, tenant: str, seconds: float) -> None:
        """Add the time that an attempt took to the tenant's day."""
        with self._database.write() as connection:
            key = {"tenant": tenant, "day": int(time.time()) // _DAY}
            add_up(connection, compute_use, key, "seconds", seconds)

    def _computed_today(self, tenant: str) -> float:
        today = int(time.time()) // _DAY
        query = select(compute_use.c.seconds).where(compute_use.c.tenant == tenant, compute_use.c.day == today)
        with self._database.read() as connection:
            return float(connection.execute(query).scalar_one_or_none() or 0.0)


def _bytes_of(connection: Connection, tenant: str) -> int:
    sums = [
        select(func.coalesce(func.sum(artifacts.c.bytes), 0)).where(artifacts.c.tenant == tenant),
        select(func.coalesce(func.sum(reports.c.bytes), 0)).where(reports.c.tenant == tenant),
        select(func.coalesce(func.sum(uploads.c.length), 0)).where(
            uploads.c.tenant == tenant, ~uploads.c.settled, uploads.c.expires_at > clock()
        ),
    ]
    return sum(int(connection.execute(query).scalar_one()) for query in sums)


def _refuse_beyond(limit: int, used: int, size: int) -> None:
    if used + size > limit:
        raise ProblemError(
            "quota_exceeded",
            f"you store {used} bytes of the {limit} that you may, and {size} more do not fit; delete artifacts",
            headers={"Retry-After": "3600"},
        )
