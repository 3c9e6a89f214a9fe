"""How to take away the guards of attempts at a job: leases, claims, and what is done with attempts that were lost."""

import time
from collections.abc import Sequence
from typing import Any


def fence() -> None:
    from sqlalchemy import and_

    from contract import attempts, parts
    from contract.tables import jobs

    attempts.is_held = parts.is_held = lambda claim: and_(  # type: ignore[attr-defined]  # the point
        jobs.c.id == claim.id, jobs.c.state == "running"
    )


def final() -> None:
    from contract import attempts, parts
    from contract.tables import jobs

    attempts.is_held = parts.is_held = lambda claim: jobs.c.id == claim.id  # type: ignore[attr-defined]  # the point


def lease() -> None:
    from sqlalchemy import update

    from contract.attempts import Attempts
    from contract.database import clock
    from contract.tables import jobs

    requeue = Attempts.requeue_expired

    def requeue_all(self: Attempts, max_attempts: int) -> int:
        with self._database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.state == "running").values(lease_until=clock() - 1))
        return requeue(self, max_attempts)

    Attempts.requeue_expired = requeue_all  # type: ignore[method-assign]  # the point


def heartbeat() -> None:
    from contract.attempts import Attempts

    Attempts.heartbeat = lambda *_: "held"  # type: ignore[method-assign]  # the point


def reconciler() -> None:
    from contract.attempts import Attempts

    Attempts.requeue_expired = lambda *_: 0  # type: ignore[method-assign]  # the point


def claim() -> None:
    from sqlalchemy import select, update

    from contract.attempts import Attempts
    from contract.database import clock
    from contract.job_rows import Claim
    from contract.tables import jobs

    def claim(self: Attempts, worker: str, lease_seconds: float, *, queues: Sequence[str], **_: Any) -> Claim | None:
        """Look, then take, as two transactions and without a condition."""
        with self._database.read() as connection:
            waits = (jobs.c.state == "queued") & jobs.c.queue.in_(queues)
            row = connection.execute(select(jobs).where(waits).order_by(jobs.c.id).limit(1)).one_or_none()
        if row is None:
            return None
        time.sleep(0.01)
        values: dict[str, Any] = {"state": "running", "attempt": row.attempt + 1, "workers": [*row.workers, worker]}
        values |= {"lease_until": clock() + lease_seconds, "started_at": clock()}
        with self._database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == row.id).values(values))
        return Claim(row.id, row.tenant, row.kind, row.request, row.attempt + 1, row.losses)

    Attempts.claim = claim  # type: ignore[method-assign]  # the point


def attempt_limit() -> None:
    from contract.attempts import Attempts

    lose = Attempts._lose
    vars_of = {"_lose": lambda self, connection, which, _most: lose(self, connection, which, 10**6)}
    Attempts._lose = vars_of["_lose"]  # type: ignore[method-assign]  # the point


def give_back() -> None:
    from contract.attempts import Attempts

    release = Attempts.release

    def only_lost(self: Attempts, claim: Any, *, lost: bool, max_attempts: int) -> None:
        if lost:
            release(self, claim, lost=lost, max_attempts=max_attempts)

    Attempts.release = only_lost  # type: ignore[method-assign]  # the point


def shortened_lease() -> None:
    from contract.attempts import Attempts

    Attempts.shorten_leases = lambda *_: 0  # type: ignore[method-assign]  # the point
