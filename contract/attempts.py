"""Attempts at jobs: a worker claims one, keeps it while it renews the lease, and ends it, if the attempt still holds.

A claim hands out an attempt number; whatever a worker writes later counts only while that attempt still holds, so a
worker that was frozen and comes back can't commit twice.
"""

import sys
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Row, and_, func, select, update

from contract.database import Database, clock
from contract.job_rows import Claim, is_held
from contract.parts import CANCELED, Parts, fail_parent, lock_parents
from contract.schemas import Problem, Progress
from contract.tables import UNFINISHED, jobs
from contract.turns import WAITS, MostRunning, next_in_turn

_RENEWED_AFTER = 1 / 3  # of a lease: two more heartbeats may fail before it runs out
_ROUNDED = 0.1  # seconds: a clock of milliseconds is not asked more precisely
_LEAST_STEP = 0.01  # of a fraction done, to be written down


class Attempts:
    """The worker's side of the job table, and that of who looks after silent workers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._parts = Parts(database)

    def claim(
        self,
        worker: str,
        lease_seconds: float,
        *,
        queues: Sequence[str],
        most_running: MostRunning = (sys.maxsize, {}),
    ) -> Claim | None:
        """Take the row whose turn it is (`contract.turns`), or None where nothing waits that may run.

        A tenant has at most so many jobs running: `most_running` is (of any tenant, of those named).
        """
        waits, limited = and_(UNFINISHED, WAITS, jobs.c.queue.in_(queues)), most_running != (sys.maxsize, {})
        while True:
            with self._database.read() as connection:  # an empty queue costs no write lock
                if connection.execute(select(jobs.c.id).where(waits).limit(1)).first() is None:
                    return None
                if limited and next_in_turn(connection, queues, most_running) is None:
                    return None
            with self._database.write() as connection:
                self._database.one_at_a_time(connection, "claim")  # two that count at once would serve one tenant twice
                found = next_in_turn(connection, queues, most_running)
                claim = None if found is None else self._take(connection, found, worker, lease_seconds)
            if claim is not None:
                return claim  # else another worker was quicker; there may be more

    def _take(self, connection: Any, found: Row[Any], worker: str, lease_seconds: float) -> Claim | None:
        row = connection.execute(
            update(jobs)
            .where(jobs.c.id == found.id, jobs.c.state == "queued")
            .values(
                state="running",
                attempt=jobs.c.attempt + 1,
                lease_until=clock() + lease_seconds,
                started_at=func.coalesce(jobs.c.started_at, clock()),
                workers=[*found.workers, worker],
                stage="starting",
                done=0,
                total=0,
                fraction=0.0,
            )
            .returning(jobs)
        ).one_or_none()
        if row is None:
            return None
        return Claim(
            row.id,
            row.tenant,
            row.kind,
            row.request,
            row.attempt,
            row.losses,
            row.request_id,
            row.parent,
            row.queue,
            row.cost,
        )

    def heartbeat(
        self, claim: Claim, lease_seconds: float, progress: Progress | None
    ) -> Literal["held", "cancel", "lost"]:
        """Renew the lease, note the progress, and learn whether to go on.

        Asked several times a second, this writes only where a third of the lease is over or there is progress to show:
        a thousand workers that ask are readers, and there may be many of those.
        """
        left = (jobs.c.lease_until - clock()).label("left")
        shown = (jobs.c.stage, jobs.c.done, jobs.c.total, jobs.c.fraction)
        with self._database.read() as connection:
            row = connection.execute(select(jobs.c.cancel_requested, left, *shown).where(is_held(claim))).one_or_none()
        if row is None:
            return "lost"
        if row.cancel_requested:
            return "cancel"
        if row.left > lease_seconds * (1 - _RENEWED_AFTER) and not _shows_more(row, progress):
            return "held"
        values: dict[str, Any] = {"lease_until": clock() + lease_seconds}
        if progress is not None:
            values |= progress.model_dump()
        with self._database.write() as connection:
            row = connection.execute(
                update(jobs).where(is_held(claim)).values(values).returning(jobs.c.cancel_requested)
            ).one_or_none()
        if row is None:
            return "lost"
        return "cancel" if row.cancel_requested else "held"

    def succeed(self, claim: Claim, *, report_sha256: str | None, device: str | None) -> bool:
        """Commit the result; returns False where the attempt was lost to another, or a cancel came first.

        Parts have an end of their own: `Parts.succeed`.
        """
        return self._finish(
            claim,
            state="succeeded",
            report_sha256=report_sha256,
            device=device,
            stage="succeeded",
            fraction=1.0,
        )

    def fail(self, claim: Claim, problem: Problem) -> bool:
        """End the job with a problem that trying again would not cure; returns False as `succeed` does."""
        if claim.parent is not None:
            return self._parts.fail(claim, problem)
        return self._finish(claim, state="failed", error=problem.model_dump(mode="json"), stage="failed")

    def canceled(self, claim: Claim) -> bool:
        """End the job as canceled, if a client has asked for that."""
        with self._database.write() as connection:
            return bool(_cancel(connection, is_held(claim)))

    def _finish(self, claim: Claim, **values: Any) -> bool:
        # A cancel that came before the commit wins: what was answered to the client must stay true.
        wanted = jobs.c.cancel_requested.is_(False)
        with self._database.write() as connection:
            result = connection.execute(
                update(jobs).where(is_held(claim), wanted).values(finished_at=clock(), lease_until=None, **values)
            )
        return bool(result.rowcount)

    def release(self, claim: Claim, *, lost: bool, max_attempts: int) -> None:
        """Give the job back: after a graceful stop, or (`lost`) after the computing process died."""
        with self._database.write() as connection:
            if lost:
                self._lose(connection, is_held(claim), max_attempts)
            else:
                wanted = jobs.c.cancel_requested.is_(False)
                if not connection.execute(update(jobs).where(is_held(claim), wanted).values(**_REQUEUED)).rowcount:
                    _cancel(connection, is_held(claim))

    def requeue_expired(self, max_attempts: int) -> int:
        """Put jobs whose worker fell silent back into the queue; the poison ones among them fail."""
        expired = and_(UNFINISHED, jobs.c.state == "running", jobs.c.lease_until < clock())
        with self._database.read() as connection:
            if connection.execute(select(jobs.c.id).where(expired).limit(1)).first() is None:
                return 0
        with self._database.write() as connection:
            return self._lose(connection, expired, max_attempts)

    def shorten_leases(self, lease_seconds: float) -> int:
        """Let no lease last longer than one does, as it would once the database's clock was set back."""
        too_long = and_(UNFINISHED, jobs.c.state == "running", jobs.c.lease_until > clock() + lease_seconds + _ROUNDED)
        with self._database.read() as connection:
            if connection.execute(select(jobs.c.id).where(too_long).limit(1)).first() is None:
                return 0
        with self._database.write() as connection:
            shortened = update(jobs).where(too_long).values(lease_until=clock() + lease_seconds)
            return int(connection.execute(shortened).rowcount)

    def _lose(self, connection: Any, which: Any, max_attempts: int) -> int:
        poison = jobs.c.losses + 1 >= max_attempts
        problem = Problem.of(
            "worker_lost",
            f"the worker died {max_attempts} times while it computed this analysis; it is not tried again. "
            "Analyse fewer rows or layers, or give the worker more memory",
        )
        failed = {"state": "failed", "error": problem.model_dump(mode="json"), "stage": "failed"}
        ended = {"finished_at": clock(), "lease_until": None}
        lock_parents(connection, which)
        count = 0
        # A lease may run out between two of these statements: none takes what an earlier one was there for.
        wanted = jobs.c.cancel_requested.is_(False)
        for condition, values in ((poison, failed | ended), (~poison, _REQUEUED)):
            losing = update(jobs).where(which, wanted, condition).values(values | {"losses": jobs.c.losses + 1})
            lost = connection.execute(losing.returning(jobs)).all()
            count += len(lost)
            for row in lost:
                if row.state == "failed" and row.parent is not None:
                    fail_parent(connection, row)
        return count + _cancel(connection, which)


_REQUEUED: dict[str, Any] = {
    "state": "queued",
    "lease_until": None,
    "sent_at": None,
    "stage": "queued",
    "done": 0,
    "total": 0,
    "fraction": 0.0,
}


def _shows_more(row: Row[Any], progress: Progress | None) -> bool:
    """Tell whether progress is worth a write beside what a row shows."""
    if progress is None:
        return False
    moved = progress.fraction - row.fraction >= _LEAST_STEP
    return moved or (progress.stage, progress.done, progress.total) != (row.stage, row.done, row.total)


def _cancel(connection: Any, which: Any) -> int:
    """End those of the running jobs that a client wants canceled; return how many."""
    values = {"state": "canceled", "error": CANCELED, "stage": "canceled", "finished_at": clock(), "lease_until": None}
    return int(connection.execute(update(jobs).where(which, jobs.c.cancel_requested).values(values)).rowcount)
