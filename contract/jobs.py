"""The life of a job. The SQL row is the job; everything else is a hint.

    queued ──claim──▶ running ──succeed / fail / cancel──▶ succeeded | failed | canceled
       ▲                 │
       └─ lease ran out, worker stopped (release) ─┘        queued ──cancel──▶ canceled

A large analysis goes from running to split instead, and its parts end it: see `contract.parts`.

A cancel that was answered is final: from then on the only arrow leads to canceled. Every arrow is one compare-and-set
UPDATE; those of workers are in `contract.attempts`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError
from structlog.contextvars import get_contextvars

from contract.attempts import Attempts
from contract.database import clock
from contract.job_rows import FINAL, SHOWN, Claim, NewJob, analysis_of, has_status, new_job_id
from contract.parts import canceling, end_parts
from contract.schemas import Analysis, AnalysisStatus, ProblemError
from contract.tables import UNFINISHED, job_inputs, job_tags, jobs

__all__ = ["FINAL", "Claim", "Jobs", "NewJob"]


class Jobs(Attempts):
    """All statements on the job table."""

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
            request = connection.execute(_OWN_REQUEST, {"of": tenant, "named": job_id}).scalar_one_or_none()
        return None if request is None else dict(request)

    def report_sha256(self, tenant: str, job_id: str) -> str | None:
        """Return the address of the report of a succeeded analysis."""
        with self._database.read() as connection:
            sha256: str | None = connection.execute(_OWN_REPORT, {"of": tenant, "named": job_id}).scalar_one_or_none()
        return sha256

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
        query = _NEWEST
        if before is not None:
            query = query.where(jobs.c.id < before)
        if status is not None:
            query = query.where(*has_status(status))
        if tag is not None:
            query = query.join(job_tags, job_tags.c.job_id == jobs.c.id).where(
                job_tags.c.name == tag[0], job_tags.c.value == tag[1]
            )
        with self._database.read() as connection:
            return [analysis_of(row) for row in connection.execute(query, {"of": tenant, "most": limit})]

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

    # -- the dispatcher's side ------------------------------------------------------------------------------------

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
_INSERT = insert(jobs).values(created_at=clock()).returning(*SHOWN)
_INSERT_INPUT, _INSERT_TAG = insert(job_inputs), insert(job_tags)
_SAME_KEY = select(*SHOWN, jobs.c.fingerprint).where(
    jobs.c.tenant == bindparam("of"), jobs.c.idempotency_key == bindparam("key")
)
_MINE = jobs.c.tenant == bindparam("of"), jobs.c.id == bindparam("named"), jobs.c.kind == "analysis"
_OWN = select(*SHOWN).where(*_MINE)
_OWN_REQUEST, _OWN_REPORT = select(jobs.c.request).where(*_MINE), select(jobs.c.report_sha256).where(*_MINE)
_NEWEST = (
    select(*SHOWN)
    .where(jobs.c.tenant == bindparam("of"), jobs.c.kind == "analysis")
    .order_by(jobs.c.id.desc())
    .limit(bindparam("most"))
)
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


def _is(tenant: str, job_id: str) -> Any:
    return and_(jobs.c.tenant == tenant, jobs.c.id == job_id, jobs.c.kind == "analysis")
