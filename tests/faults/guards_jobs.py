"""How to take away the guards of jobs: their order, their announcement, and how they begin and end."""

import threading
import time
from typing import Any


def resend() -> None:
    from contract.jobs import Jobs

    look = Jobs.unannounced
    Jobs.unannounced = lambda self, _, **named: look(self, 10.0**9, **named)  # type: ignore[method-assign]  # the point


def fair_order() -> None:
    from contract import turns

    vars(turns)["func"] = _Uncounting(vars(turns)["func"])


class _Uncounting:
    """Counts the running jobs of every tenant as none, and knows of none when it was served."""

    def __init__(self, func: Any) -> None:
        self._func = func

    def __getattr__(self, name: str) -> Any:
        if name not in ("count", "max"):
            return getattr(self._func, name)
        return lambda *_: self._func.coalesce(self._func.sum(0), 0)


def cancel() -> None:
    from sqlalchemy import update

    from contract.attempts import Attempts
    from contract.database import clock
    from contract.job_rows import is_held
    from contract.tables import jobs

    def finish(self: Attempts, claim: Any, **values: Any) -> bool:
        with self._database.write() as connection:
            statement = update(jobs).where(is_held(claim)).values(finished_at=clock(), lease_until=None, **values)
            return bool(connection.execute(statement).rowcount)

    # A worker that hears of a cancel kills the computation, and would hide the missing guard where it is quick.
    heartbeat = Attempts.heartbeat

    def deaf(self: Attempts, *arguments: Any) -> Any:
        answer = heartbeat(self, *arguments)
        return "held" if answer == "cancel" else answer

    Attempts._finish = finish  # type: ignore[method-assign]  # the point
    Attempts.heartbeat = deaf  # type: ignore[method-assign, assignment]


def commit_before_answer() -> None:
    from contract.database import clock
    from contract.job_rows import NewJob
    from contract.jobs import Jobs
    from contract.tables import jobs

    submit = Jobs.submit

    def later(self: Jobs, job: NewJob, **named: Any) -> Any:
        """Answer at once, and write the row down half a second later."""
        if job.kind != "analysis":
            return submit(self, job, **named)
        transaction = self._database.engine.connect()
        transaction.begin()
        analysis = self._insert(transaction, job, named["max_unfinished"])
        rows = dict(transaction.execute(jobs.select().where(jobs.c.id == analysis.id)).one()._mapping)
        transaction.rollback()
        transaction.close()

        def write() -> None:
            time.sleep(0.5)
            with self._database.write() as connection:
                connection.execute(jobs.insert().values(rows | {"created_at": clock()}))

        threading.Thread(target=write, daemon=True).start()
        return analysis, True

    Jobs.submit = later  # type: ignore[method-assign]  # the point


def idempotency() -> None:
    from dataclasses import replace

    from contract.job_rows import NewJob
    from contract.jobs import Jobs

    submit = Jobs.submit

    def without_key(self: Jobs, job: NewJob, **named: Any) -> Any:
        return submit(self, replace(job, idempotency_key=None), **named)

    Jobs.submit = without_key  # type: ignore[method-assign]  # the point


def end_of_parts() -> None:
    from contract import jobs, parts

    parts.end_parts = jobs.end_parts = lambda *_: None  # type: ignore[attr-defined]  # the point
