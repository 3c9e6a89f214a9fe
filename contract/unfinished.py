"""What can be seen of an analysis before it ends: its place in the queue, and the layers finished so far."""

from collections.abc import Sequence

from sqlalchemy import and_, case, delete, exists, func, insert, literal, or_, select

from contract.database import Database
from contract.job_rows import Claim, is_held
from contract.schemas import Separation
from contract.tables import finished_layers, jobs

_IN_PARTS = 0  # the attempts of parts are their own


class Unfinished:
    """All statements on finished layers, and the look at the queue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_layers(self, claim: Claim, first: int, separations: Sequence[Separation]) -> None:
        """Note layers that an attempt has finished, the first with number `first`; a lost attempt writes nothing.

        Those of a part are its analysis's, whoever computed them.
        """
        held = exists().where(is_held(claim))
        job, attempt = (claim.id, claim.attempt) if claim.parent is None else (claim.parent, _IN_PARTS)
        numbers = range(first, first + len(separations))
        with self._database.write() as connection:
            if not connection.execute(select(literal(1)).where(held)).first():
                return
            known = (finished_layers.c.job_id == job) & (finished_layers.c.attempt == attempt)
            connection.execute(delete(finished_layers).where(known, finished_layers.c.number.in_(numbers)))
            connection.execute(
                insert(finished_layers),
                [
                    {
                        "job_id": job,
                        "attempt": attempt,
                        "number": number,
                        "separation": separation.model_dump(mode="json"),
                    }
                    for number, separation in zip(numbers, separations, strict=True)
                ],
            )

    def layers(self, tenant: str, job_id: str) -> list[Separation]:
        """Return the layers that the newest attempt of a tenant's analysis, or its parts, have finished, in order."""
        newest = case((jobs.c.parts.is_not(None), _IN_PARTS), else_=jobs.c.attempt)
        query = (
            select(finished_layers.c.separation)
            .join(jobs, jobs.c.id == finished_layers.c.job_id)
            .where(jobs.c.tenant == tenant, jobs.c.id == job_id, newest == finished_layers.c.attempt)
            .order_by(finished_layers.c.number)
        )
        with self._database.read() as connection:
            return [Separation.model_validate(row.separation) for row in connection.execute(query)]

    def ahead(self, tenant: str, job_id: str) -> int | None:
        """Return how many analyses of its tenant go before a queued one; None once it waits no more.

        Those of other tenants say nothing: they take turns with it (`contract.turns`).
        """
        mine = jobs.c.tenant == tenant
        queued = select(jobs.c.queue, jobs.c.priority).where(mine, jobs.c.id == job_id, jobs.c.state == "queued")
        with self._database.read() as connection:
            row = connection.execute(queued).one_or_none()
            if row is None:
                return None
            same_queue = and_(mine, jobs.c.state == "queued", jobs.c.kind == "analysis", jobs.c.queue == row.queue)
            older = and_(jobs.c.priority == row.priority, jobs.c.id < job_id)
            before = select(func.count()).where(same_queue, or_(jobs.c.priority > row.priority, older))
            return int(connection.execute(before).scalar_one())
