"""Jobs for the tests of their table, and workers that all come at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import select, update

from contract.database import Database, clock
from contract.jobs import Claim, Jobs, NewJob
from contract.tables import jobs

LEASE = 1000.0
MANY = 10**6


def new_job(tenant: str = "a", *, fingerprint: str = "f", queue: str = "cpu", **more: Any) -> NewJob:
    return NewJob(tenant=tenant, kind="analysis", request={}, queue=queue, fingerprint=fingerprint, **more)


def submitted(store: Jobs, tenant: str = "a", **more: Any) -> str:
    return store.submit(new_job(tenant, **more), max_unfinished=MANY)[0].id


def claimed(store: Jobs, worker: str = "w", *queues: str) -> Claim:
    claim = store.claim(worker, LEASE, queues=queues or ("cpu",))
    assert claim is not None
    return claim


def state_of(database: Database, job_id: str) -> tuple[str, int, int]:
    with database.read() as connection:
        row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one()
    return row.state, row.attempt, row.losses


def let_lease_run_out(database: Database, job_id: str) -> None:
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(lease_until=clock() - 1))


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    barrier = threading.Barrier(count)

    def started(number: int) -> Any:
        barrier.wait(60)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(started, range(count)))
