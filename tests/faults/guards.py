"""The guards of the product, and how to take each of them away in a running process.

Whoever removes one must be noticed by the named trial. Modules are imported where they are patched: a service has no
worker, and nobody else has Celery.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.stand import Profile


@dataclass(frozen=True)
class Guard:
    """What protects a promise, and the trial that fails without it."""

    promises: str
    what: str
    trial: str
    remove: Callable[[], None]
    profile: Profile = "embedded"


def _fence() -> None:
    from sqlalchemy import and_

    from contract import attempts, parts
    from contract.tables import jobs

    attempts.is_held = parts.is_held = lambda claim: and_(  # type: ignore[attr-defined]  # the point
        jobs.c.id == claim.id, jobs.c.state == "running"
    )


def _final() -> None:
    from contract import attempts, parts
    from contract.tables import jobs

    attempts.is_held = parts.is_held = lambda claim: jobs.c.id == claim.id  # type: ignore[attr-defined]  # the point


def _lease() -> None:
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


def _heartbeat() -> None:
    from contract.attempts import Attempts

    Attempts.heartbeat = lambda *_: "held"  # type: ignore[method-assign]  # the point


def _reconciler() -> None:
    from contract.attempts import Attempts

    Attempts.requeue_expired = lambda *_: 0  # type: ignore[method-assign]  # the point


def _resend() -> None:
    from contract.jobs import Jobs

    look = Jobs.unannounced
    Jobs.unannounced = lambda self, _, **named: look(self, 10.0**9, **named)  # type: ignore[method-assign]  # the point


def _claim() -> None:
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


def _fair_order() -> None:
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


def _cancel() -> None:
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


def _commit_before_answer() -> None:
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


def _idempotency() -> None:
    from dataclasses import replace

    from contract.job_rows import NewJob
    from contract.jobs import Jobs

    submit = Jobs.submit

    def without_key(self: Jobs, job: NewJob, **named: Any) -> Any:
        return submit(self, replace(job, idempotency_key=None), **named)

    Jobs.submit = without_key  # type: ignore[method-assign]  # the point


def _rename() -> None:
    from contract import stores

    def write_in_place(self: stores.Folder, path: Path, key: str) -> None:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        with target.open("wb") as file:
            for start in range(0, len(content), max(1, len(content) // 8)):
                file.write(content[start : start + max(1, len(content) // 8)])
                file.flush()
                time.sleep(0.02)

    stores.Folder.keep = write_in_place  # type: ignore[method-assign]  # the point


def _attempt_limit() -> None:
    from contract.attempts import Attempts

    lose = Attempts._lose
    vars_of = {"_lose": lambda self, connection, which, _most: lose(self, connection, which, 10**6)}
    Attempts._lose = vars_of["_lose"]  # type: ignore[method-assign]  # the point


def _group_kill() -> None:
    from worker import child_process

    vars(child_process)["os"] = _Kills(os)


class _Kills:
    """Kills one process where a group is asked for."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return self._module.kill if name == "killpg" else getattr(self._module, name)


def _end_of_parts() -> None:
    from contract import jobs, parts

    parts.end_parts = jobs.end_parts = lambda *_: None  # type: ignore[attr-defined]  # the point


def _deadline() -> None:
    os.environ["INTERLAYER_DEADLINE_SECONDS"] = "1e9"


def _memory_limit() -> None:
    if "worker.child" in sys.argv:
        from worker import child

        vars(child)["limit_memory"] = lambda _: None


def _follow_parent() -> None:
    if "worker.child" in sys.argv:
        from worker import child
        from worker.messages import Work

        def read(works: Any) -> None:
            for line in sys.stdin:
                works.put(Work.model_validate_json(line))
            threading.Event().wait()

        child._read_stdin = read


def _give_back() -> None:
    from contract.attempts import Attempts

    release = Attempts.release

    def only_lost(self: Attempts, claim: Any, *, lost: bool, max_attempts: int) -> None:
        if lost:
            release(self, claim, lost=lost, max_attempts=max_attempts)

    Attempts.release = only_lost  # type: ignore[method-assign]  # the point


def _commit_of_uploads() -> None:
    from contract.appending import Appending

    def commit(self: Appending) -> None:
        """Write nothing down."""

    Appending.commit = commit  # type: ignore[method-assign]  # the point


def _pinned_inputs() -> None:
    from contract.retention import Retention
    from contract.tables import artifacts

    def expire(self: Retention) -> int:
        key, seconds = (artifacts.c.tenant, artifacts.c.sha256), self._settings.artifact_seconds
        return self._expire(artifacts, artifacts.c.created_at, seconds, key, artifacts.c.bytes > 0, prefix="sha256:")

    Retention._expire_artifacts = expire  # type: ignore[method-assign]  # the point


def _clock_of_the_database() -> None:
    from sqlalchemy import literal

    from contract import retention

    vars(retention)["clock"] = lambda: literal(time.time())


def _age_of_garbage() -> None:
    from contract.database import Database

    def now(self: Database) -> float:
        """Tell the time of this process."""
        return time.time()

    Database.now = now  # type: ignore[method-assign]  # the point


def _transaction_limit() -> None:
    os.environ["INTERLAYER_TRANSACTION_SECONDS"] = "1e6"


def _shortened_lease() -> None:
    from contract.attempts import Attempts

    Attempts.shorten_leases = lambda *_: 0  # type: ignore[method-assign]  # the point


def _database_first() -> None:
    from contract import backup

    copy_files, copy_database = backup._copy_files, backup._copy_database

    def files_first(source: Path, target: Path) -> None:
        from contract.blobs import Blobs
        from contract.database import Database
        from contract.settings import Settings

        live = Settings(data_dir=source.parent)
        copy_files(Blobs.open(live), target.parent, Database(live))
        copy_database(source, target)

    backup._copy_database = files_first
    backup._copy_files = lambda *_: None


GUARDS = {
    "fence": Guard("P2", "`AND attempt = ?` in every commit", "worker frozen", _fence),
    "final": Guard("P2", "`AND state = 'running'` in every commit", "worker frozen", _final),
    "lease": Guard("P6", "a job is taken back only when its lease has run out", "long jobs", _lease),
    "heartbeat": Guard("P6", "the parent renews the lease", "long jobs", _heartbeat),
    "reconciler": Guard("P1", "jobs of silent workers are put back", "worker kills", _reconciler),
    "resend": Guard("P5", "what the broker forgot is announced again", "broker wiped", _resend, "cluster"),
    "claim": Guard("P3", "a claim is one compare-and-set", "calm", _claim),
    "claim, PostgreSQL": Guard("P3", "a claim is one compare-and-set", "duplicates", _claim, "cluster"),
    "transaction limit": Guard(
        "P6", "PostgreSQL ends silent transactions", "frozen in a transaction", _transaction_limit, "cluster"
    ),
    "shortened lease": Guard("P6", "a lease that is too long is shortened", "clock jumps", _shortened_lease),
    "fair order": Guard("P18", "the tenant with the fewest running jobs is next", "fairness", _fair_order),
    "cancel": Guard("P8", "a commit loses against a cancel that was answered", "cancels", _cancel),
    "commit first": Guard("P4", "the row is committed before the answer", "service kills", _commit_before_answer),
    "idempotency": Guard("P10", "one row for one Idempotency-Key", "one key, many clients", _idempotency),
    "rename": Guard("P2, P17", "a file is written aside and renamed", "killed as a file appears", _rename),
    "attempt limit": Guard("P7", "a job that kills workers is given up", "poison", _attempt_limit),
    "group kill": Guard("P14", "a computation is killed with all it started", "deadlines", _group_kill),
    "deadline": Guard("P14", "a computation has a deadline", "deadlines", _deadline),
    "memory limit": Guard("P12", "a computation has a limit of memory", "memory", _memory_limit),
    "follow parent": Guard("P12", "a computation ends when its worker dies", "worker kills", _follow_parent),
    "offset": Guard("P17", "what has arrived of an upload is written down", "uploads resumed", _commit_of_uploads),
    "pinned inputs": Guard("P16", "an unfinished analysis keeps its inputs", "expiry", _pinned_inputs),
    "expiry clock": Guard("P16", "expiry goes by the database's clock", "expiry", _clock_of_the_database),
    "age of garbage": Guard("P16", "files without a row age by the database's clock", "expiry", _age_of_garbage),
    "database first": Guard("P19", "a backup copies the database before the files", "backups", _database_first),
    "end of parts": Guard("P8", "what is left of an analysis that has ended is canceled", "parts", _end_of_parts),
    "give back": Guard("P15", "a worker that is stopped gives its job back", "rolling restarts", _give_back),
}
