"""Whose turn it is: the next row of the queue. First the tenant is chosen, then the job, then the row of that job.

Each choice is a few looks into an index that holds only what waits (`ix_jobs_waiting`), so a queue of many parts is as
quick as one of a few jobs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, literal_column, select, union

from contract.queue import INSPECTION_QUEUE
from contract.tables import UNFINISHED, jobs

# Literals, not parameters: else SQLite does not know that the partial index will do.
WAITS = jobs.c.state == literal_column("'queued'")
_ROW: Any = select(jobs.c.id, jobs.c.workers, jobs.c.number).with_for_update(skip_locked=True)
_RUNS = jobs.c.state == literal_column("'running'")


MostRunning = tuple[int, Mapping[str, int]]
"""How many jobs run at once: of any tenant, and of those named. Looks into uploads do not count."""


def next_in_turn(connection: Connection, queues: Sequence[str], most: MostRunning) -> Row[Any] | None:
    """Return (id, workers, …) of the row that is to be claimed next.

    Of the tenants the one with the fewest running rows comes first, among those the one served longest ago; of its jobs
    those of the highest priority, among those the one with the fewest running parts, then the oldest.
    """
    usual, special = most
    running = Counter[str]()
    busy = Counter[str]()
    # Who looks into uploads has turns of its own.
    alike = (jobs.c.kind == "inspection") == all(queue == INSPECTION_QUEUE for queue in queues)
    counted = select(jobs.c.tenant, jobs.c.parent, func.count()).where(UNFINISHED, _RUNS, alike)
    for tenant, parent, count in connection.execute(counted.group_by(jobs.c.tenant, jobs.c.parent)):
        running[tenant] += count
        busy[parent] += count
    waiting = connection.execute(_tenants(queues)).all()
    for tenant, _served in sorted(waiting, key=lambda row: (running[row[0]], row[1] or 0.0, row[0])):
        full = running[tenant] >= special.get(tenant, usual)
        found = _of_tenant(connection, tenant, queues, busy, only_inspections=full)
        if found is not None:
            return found
    return None


def _tenants(queues: Sequence[str]) -> Select[Any]:
    """Tenants of whom something waits, each with when it was last served."""
    tenants = _distinct(jobs.c.tenant, [and_(WAITS, jobs.c.queue == queue) for queue in queues]).subquery()
    served = select(func.max(jobs.c.started_at)).where(jobs.c.tenant == tenants.c.value).scalar_subquery()
    return select(tenants.c.value, served)


def _of_tenant(
    connection: Connection, tenant: str, queues: Sequence[str], busy: Counter[str], *, only_inspections: bool
) -> Row[Any] | None:
    waiting = [and_(WAITS, jobs.c.queue == queue, jobs.c.tenant == tenant) for queue in queues]
    if only_inspections:
        waiting = [and_(each, jobs.c.kind == "inspection") for each in waiting]
    highest = [connection.execute(select(func.max(jobs.c.priority)).where(each)).scalar_one() for each in waiting]
    priority = max((each for each in highest if each is not None), default=None)
    if priority is None:
        return None
    waiting = [and_(each, jobs.c.priority == priority) for each in waiting]
    whole = _first(connection, waiting, jobs.c.parent.is_(None))
    parents = connection.execute(_distinct(jobs.c.parent, waiting)).scalars().all()
    for count, parent in sorted((busy[parent], parent) for parent in parents):
        if whole is not None and (0, whole.id) < (count, parent):
            break
        part = _first(connection, waiting, jobs.c.parent == parent)
        if part is not None:
            return part
    return whole


def _first(connection: Connection, waiting: Sequence[Any], of_job: Any) -> Row[Any] | None:
    """Return the first row of several queues that no other transaction has in its hands."""
    query = _ROW.where(of_job).order_by(jobs.c.number, jobs.c.id).limit(1)
    found = [row for each in waiting for row in connection.execute(query.where(each))]
    return min(found, key=lambda row: (row.number or 0, row.id), default=None)


def _distinct(column: Any, waiting: Sequence[Any]) -> Any:
    """Select the values of a column, stepping from one to the next through the index instead of reading all."""
    found = []
    for each in waiting:
        least = select(func.min(column)).where(each, column.is_not(None))
        steps = select(least.scalar_subquery().label("value")).cte(recursive=True)
        following = least.where(column > steps.c.value).correlate(steps).scalar_subquery()
        steps = steps.union_all(select(following).where(steps.c.value.is_not(None)))
        found.append(select(steps.c.value).where(steps.c.value.is_not(None)))
    return union(*found)
