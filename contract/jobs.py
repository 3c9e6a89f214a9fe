"""The life of a job. The SQL row is the job; everything else is a hint.

    queued ──claim──▶ running ──succeed / fail / cancel──▶ succeeded | failed | canceled
       ▲                 │
       └─ lease ran out, worker stopped (release) ─┘        queued ──cancel──▶ canceled

A large analysis goes from running to split instead, and its parts end it: see `contract.parts`.

A cancel that was answered is final: from then on the only arrow leads to canceled. Every arrow is one compare-and-set
UPDATE. A claim hands out an attempt number; whatever a worker writes later counts only while that attempt still holds,
so a worker that was frozen and comes back can't commit twice.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError
from structlog.contextvars import get_contextvars

from contract.database import UNFINISHED, Database, clock, job_inputs, job_tags, jobs
from contract.job_rows import FINAL, Claim, NewJob, analysis_of, has_status, new_job_id
from contract.parts import CANCELED, Parts, canceling, end_parts, fail_parent, lock_parents
from contract.schemas import Analysis, AnalysisStatus, Problem, ProblemError, Progress
from contract.turns import WAITS, MostRunning, next_in_turn

__all__ = ["FINAL", "Claim", "Jobs", "NewJob"]


_RENEWED_AFTER = 1 / 3  # of a lease: two more heartbeats may fail before it runs out
_LEAST_STEP = 0.01  # of a fraction done, to be written down


class Jobs:
    """All statements on the job table."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._parts = Parts(database)

    # -- the service's side ---------------------------------------------------------------------------------------

    def submit(
        self,
        job: NewJob,
        *,
        max_unfinished: int,
        witness: Callable[[Connection, Analysis], None] = lambda *_: None,
    ) -> tuple[Analysis, bool]:
        """Write a job down and return it, with False if the same request had been accepted before.

        `witness` writes down in the same transaction who asked for it.

        Raises
        ------
        ProblemError
            `idempotency_mismatch` where the key was used with another request; `queue_full`.
        """
        try:
            return self._submit(job, max_unfinished, witness)
        except IntegrityError:  # another process inserted the same key between our look and our insert
            return self._submit(job, max_unfinished, witness)

    def _submit(
        self, job: NewJob, max_unfinished: int, witness: Callable[[Connection, Analysis], None]
    ) -> tuple[Analysis, bool]:
        with self._database.write() as connection:
            known = self._same_key(connection, job)
            analysis = known or self._insert(connection, job, max_unfinished)
            witness(connection, analysis)
        return analysis, known is None

    def _same_key(self, connection: Any, job: NewJob) -> Analysis | None:
        if job.idempotency_key is None:
            return None
        row = connection.execute(_SAME_KEY, {"of": job.tenant, "key": job.idempotency_key}).one_or_none()
        if row is not None and row.fingerprint != job.fingerprint:
            raise ProblemError(
                "idempotency_mismatch",
                f"the Idempotency-Key {job.idempotency_key!r} belongs to {row.id}, which had another body",
            )
        return None if row is None else analysis_of(row)

    def _insert(self, connection: Any, job: NewJob, max_unfinished: int) -> Analysis:
        if job.kind == "analysis":
            self._require_turn(connection, job.tenant, max_unfinished)
        values = {
            "id": new_job_id(job.kind),
            "tenant": job.tenant,
            "kind": job.kind,
            "request": job.request,
            "idempotency_key": job.idempotency_key,
            "fingerprint": job.fingerprint,
            "queue": job.queue,
            "priority": job.priority,
            "request_id": get_contextvars().get("request"),
        }
        row = connection.execute(_INSERT, _NEW | values).one()
        if job.inputs:
            connection.execute(_INSERT_INPUT, [{"job_id": row.id, "sha256": i} for i in sorted(set(job.inputs))])
        if job.tags:
            connection.execute(_INSERT_TAG, [{"job_id": row.id, "name": k, "value": v} for k, v in job.tags.items()])
        return analysis_of(row)

    def _require_turn(self, connection: Connection, tenant: str, most: int) -> None:
        unfinished = connection.execute(_COUNT_UNFINISHED, {"of": tenant, "most": most}).scalar_one()
        if unfinished >= most:
            raise ProblemError(
                "queue_full", f"{unfinished} of your analyses are unfinished, the limit; wait for some or cancel them"
            )

    def get(self, tenant: str, job_id: str) -> Analysis | None:
        """Return an analysis of the tenant."""
        with self._database.read() as connection:
            row = connection.execute(_OWN, {"of": tenant, "named": job_id}).one_or_none()
        return None if row is None else analysis_of(row)

    def request(self, tenant: str, job_id: str) -> dict[str, Any] | None:
        """Return what the client asked for."""
        with self._database.read() as connection:
            row = connection.execute(_OWN, {"of": tenant, "named": job_id}).one_or_none()
        return None if row is None else dict(row.request)

    def report_sha256(self, tenant: str, job_id: str) -> str | None:
        """Return the address of the report of a succeeded analysis."""
        with self._database.read() as connection:
            row = connection.execute(_OWN, {"of": tenant, "named": job_id}).one_or_none()
        return None if row is None else row.report_sha256

    def newest(
        self,
        tenant: str,
        *,
        limit: int,
        before: str | None = None,
        status: AnalysisStatus | None = None,
        tag: tuple[str, str] | None = None,
    ) -> list[Analysis]:
        """Return up to `limit` analyses of the tenant, newest first, those older than job `before` if it is given."""
        query = select(jobs).where(jobs.c.tenant == tenant, jobs.c.kind == "analysis")
        if before is not None:
            query = query.where(jobs.c.id < before)
        if status is not None:
            query = query.where(*has_status(status))
        if tag is not None:
            query = query.join(job_tags, job_tags.c.job_id == jobs.c.id).where(
                job_tags.c.name == tag[0], job_tags.c.value == tag[1]
            )
        with self._database.read() as connection:
            return [analysis_of(row) for row in connection.execute(query.order_by(jobs.c.id.desc()).limit(limit))]

    def request_cancel(self, tenant: str, job_id: str) -> Analysis | None:
        """Cancel a waiting or split analysis, or ask the worker of a running one. Finished ones stay as they are."""
        with self._database.write() as connection:
            ends = jobs.c.state.in_(("queued", "split", "running"))
            changed = update(jobs).where(_is(tenant, job_id), ends).values(canceling()).returning(jobs.c.state)
            if connection.execute(changed).scalar_one_or_none() == "canceled":
                end_parts(connection, job_id)
            row = connection.execute(_OWN, {"of": tenant, "named": job_id}).one_or_none()
        return None if row is None else analysis_of(row)

    def delete(self, tenant: str, job_id: str) -> bool:
        """Delete a finished analysis from the history; returns False if there is none that is finished."""
        with self._database.write() as connection:
            result = connection.execute(delete(jobs).where(_is(tenant, job_id), jobs.c.state.in_(FINAL)))
        return bool(result.rowcount)

    def uses(self, tenant: str, sha256: str) -> bool:
        """Tell whether an unfinished job of the tenant reads an artifact."""
        query = (
            select(jobs.c.id)
            .join(job_inputs, job_inputs.c.job_id == jobs.c.id)
            .where(jobs.c.tenant == tenant, job_inputs.c.sha256 == sha256, jobs.c.state.not_in(FINAL))
        )
        with self._database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    # -- the worker's side ----------------------------------------------------------------------------------------

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
            row = connection.execute(select(jobs.c.cancel_requested, left, *shown).where(_held(claim))).one_or_none()
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
                update(jobs).where(_held(claim)).values(values).returning(jobs.c.cancel_requested)
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
            return bool(_cancel(connection, _held(claim)))

    def _finish(self, claim: Claim, **values: Any) -> bool:
        # A cancel that came before the commit wins: what was answered to the client must stay true.
        wanted = jobs.c.cancel_requested.is_(False)
        with self._database.write() as connection:
            result = connection.execute(
                update(jobs).where(_held(claim), wanted).values(finished_at=clock(), lease_until=None, **values)
            )
        return bool(result.rowcount)

    def release(self, claim: Claim, *, lost: bool, max_attempts: int) -> None:
        """Give the job back: after a graceful stop, or (`lost`) after the computing process died."""
        with self._database.write() as connection:
            if lost:
                self._lose(connection, _held(claim), max_attempts)
            else:
                wanted = jobs.c.cancel_requested.is_(False)
                if not connection.execute(update(jobs).where(_held(claim), wanted).values(**_REQUEUED)).rowcount:
                    _cancel(connection, _held(claim))

    # -- the reconciler and the dispatcher ------------------------------------------------------------------------

    def requeue_expired(self, max_attempts: int) -> int:
        """Put jobs whose worker fell silent back into the queue; the poison ones among them fail."""
        expired = and_(UNFINISHED, jobs.c.state == "running", jobs.c.lease_until < clock())
        with self._database.read() as connection:
            if connection.execute(select(jobs.c.id).where(expired).limit(1)).first() is None:
                return 0
        with self._database.write() as connection:
            return self._lose(connection, expired, max_attempts)

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

    def unannounced(self, resend_seconds: float, *, limit: int = 100) -> list[tuple[str, str]]:
        """Return (id, queue) of waiting analyses that the broker was not told of lately, the oldest first."""
        due = or_(jobs.c.sent_at.is_(None), jobs.c.sent_at < clock() - resend_seconds)
        waiting = and_(UNFINISHED, jobs.c.state == "queued", jobs.c.kind != "inspection")  # workers look for those
        query = select(jobs.c.id, jobs.c.queue).where(waiting, due).order_by(jobs.c.id).limit(limit)
        with self._database.read() as connection:
            return [(row.id, row.queue) for row in connection.execute(query)]

    def announced(self, ids: Sequence[str]) -> None:
        """Note that the broker was told of these jobs."""
        with self._database.write() as connection:
            # What has ended meanwhile stays as it is. What another transaction changes is announced again, so that
            # none waits for the other.
            waiting = select(jobs.c.id).where(jobs.c.id.in_(ids), jobs.c.state == "queued")
            these = waiting.with_for_update(skip_locked=True)
            connection.execute(update(jobs).where(jobs.c.id.in_(these)).values(sent_at=clock()))


# Statements of every request are made once: putting one together takes longer than SQLite takes to run it.
_INSERT = insert(jobs).values(created_at=clock()).returning(jobs)
_INSERT_INPUT, _INSERT_TAG = insert(job_inputs), insert(job_tags)
_SAME_KEY = select(jobs).where(jobs.c.tenant == bindparam("of"), jobs.c.idempotency_key == bindparam("key"))
_OWN = select(jobs).where(jobs.c.tenant == bindparam("of"), jobs.c.id == bindparam("named"), jobs.c.kind == "analysis")
_COUNT_UNFINISHED = select(func.count()).select_from(
    select(literal(1))
    .where(jobs.c.tenant == bindparam("of"), jobs.c.kind == "analysis", UNFINISHED)
    # Says no more, but all three columns of an index now count for it, and no other is as good.
    .where(jobs.c.state.in_(("queued", "running", "split")))
    .limit(bindparam("most"))
    .subquery()
)
_NEW: dict[str, Any] = {
    "state": "queued",
    "attempt": 0,
    "losses": 0,
    "cancel_requested": False,
    "stage": "queued",
    "done": 0,
    "total": 0,
    "fraction": 0.0,
    "workers": [],
}
_REQUEUED: dict[str, Any] = {
    "state": "queued",
    "lease_until": None,
    "sent_at": None,
    "stage": "queued",
    "done": 0,
    "total": 0,
    "fraction": 0.0,
}


def _is(tenant: str, job_id: str) -> Any:
    return and_(jobs.c.tenant == tenant, jobs.c.id == job_id, jobs.c.kind == "analysis")


def _shows_more(row: Row[Any], progress: Progress | None) -> bool:
    """Tell whether progress is worth a write beside what a row shows."""
    if progress is None:
        return False
    moved = progress.fraction - row.fraction >= _LEAST_STEP
    return moved or (progress.stage, progress.done, progress.total) != (row.stage, row.done, row.total)


def _held(claim: Claim) -> Any:
    return and_(jobs.c.id == claim.id, jobs.c.state == "running", jobs.c.attempt == claim.attempt)


def _cancel(connection: Any, which: Any) -> int:
    """End those of the running jobs that a client wants canceled; return how many."""
    values = {"state": "canceled", "error": CANCELED, "stage": "canceled", "finished_at": clock(), "lease_until": None}
    return int(connection.execute(update(jobs).where(which, jobs.c.cancel_requested).values(values)).rowcount)
