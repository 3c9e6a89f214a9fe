"""The guards of the product, and how to take each of them away in a running process.

Whoever removes one must be noticed by the named trial. Modules are imported where they are patched: a service has no
worker, and nobody else has Celery.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults import guards_attempts, guards_computations, guards_jobs, guards_storage
from tests.faults.stand import Profile


@dataclass(frozen=True)
class Guard:
    """What protects a promise, and the trial that fails without it."""

    promises: str
    what: str
    trial: str
    remove: Callable[[], None]
    profile: Profile = "embedded"


GUARDS = {
    "fence": Guard("P2", "`AND attempt = ?` in every commit", "worker frozen", guards_attempts.fence),
    "final": Guard("P2", "`AND state = 'running'` in every commit", "worker frozen", guards_attempts.final),
    "lease": Guard("P6", "a job is taken back only when its lease has run out", "long jobs", guards_attempts.lease),
    "heartbeat": Guard("P6", "the parent renews the lease", "long jobs", guards_attempts.heartbeat),
    "reconciler": Guard("P1", "jobs of silent workers are put back", "worker kills", guards_attempts.reconciler),
    "resend": Guard("P5", "what the broker forgot is announced again", "broker wiped", guards_jobs.resend, "cluster"),
    "claim": Guard("P3", "a claim is one compare-and-set", "calm", guards_attempts.claim),
    "claim, PostgreSQL": Guard("P3", "a claim is one compare-and-set", "duplicates", guards_attempts.claim, "cluster"),
    "transaction limit": Guard(
        "P6",
        "PostgreSQL ends silent transactions",
        "frozen in a transaction",
        guards_storage.transaction_limit,
        "cluster",
    ),
    "shortened lease": Guard(
        "P6", "a lease that is too long is shortened", "clock jumps", guards_attempts.shortened_lease
    ),
    "fair order": Guard("P18", "the tenant with the fewest running jobs is next", "fairness", guards_jobs.fair_order),
    "cancel": Guard("P8", "a commit loses against a cancel that was answered", "cancels", guards_jobs.cancel),
    "commit first": Guard(
        "P4", "the row is committed before the answer", "service kills", guards_jobs.commit_before_answer
    ),
    "idempotency": Guard("P10", "one row for one Idempotency-Key", "one key, many clients", guards_jobs.idempotency),
    "rename": Guard(
        "P2, P17", "a file is written aside and renamed", "killed as a file appears", guards_storage.rename
    ),
    "attempt limit": Guard("P7", "a job that kills workers is given up", "poison", guards_attempts.attempt_limit),
    "group kill": Guard(
        "P14", "a computation is killed with all it started", "deadlines", guards_computations.group_kill
    ),
    "deadline": Guard("P14", "a computation has a deadline", "deadlines", guards_computations.deadline),
    "memory limit": Guard("P12", "a computation has a limit of memory", "memory", guards_computations.memory_limit),
    "follow parent": Guard(
        "P12", "a computation ends when its worker dies", "worker kills", guards_computations.follow_parent
    ),
    "offset": Guard(
        "P17", "what has arrived of an upload is written down", "uploads resumed", guards_storage.commit_of_uploads
    ),
    "pinned inputs": Guard("P16", "an unfinished analysis keeps its inputs", "expiry", guards_storage.pinned_inputs),
    "expiry clock": Guard("P16", "expiry goes by the database's clock", "expiry", guards_storage.clock_of_the_database),
    "age of garbage": Guard(
        "P16", "files without a row age by the database's clock", "expiry", guards_storage.age_of_garbage
    ),
    "database first": Guard(
        "P19", "a backup copies the database before the files", "backups", guards_storage.database_first
    ),
    "end of parts": Guard(
        "P8", "what is left of an analysis that has ended is canceled", "parts", guards_jobs.end_of_parts
    ),
    "give back": Guard(
        "P15", "a worker that is stopped gives its job back", "rolling restarts", guards_attempts.give_back
    ),
}
