"""Analyses in parts: a plan, how an analysis is split by it, and what has become of its parts."""

from typing import Any

from sqlalchemy import select

from contract.database import Database
from contract.jobs import Claim, Jobs
from contract.parts import NewPart, Parts
from contract.schemas import Analysis
from contract.tables import jobs
from tests.contract.queued import claimed, submitted


def plan(*needs: list[int], cost: float = 1.0, queue: str = "cpu", name: str = "f") -> list[NewPart]:
    """One part for each list of those that it needs."""
    return [
        NewPart(number, {"about": f"layer {number}"}, each, cost, f"{name}{number}", queue)
        for number, each in enumerate(needs)
    ]


# Trees, two blocks, what joins them, another layer, and the report.
PLAN = plan([], [0], [0], [1, 2], [], [3, 4])


def split(store: Jobs, parts: Parts, tenant: str = "a", steps: Any = PLAN, **known: str) -> str:
    submitted(store, tenant, queue="plan")
    claim = claimed(store, "planner", "plan")
    assert parts.split(claim, steps, known)
    return claim.id


def seen(store: Jobs, job: str, tenant: str = "a") -> Analysis:
    analysis = store.get(tenant, job)
    assert analysis is not None
    return analysis


def rows(database: Database, parent: str) -> dict[int, Any]:
    with database.read() as connection:
        found = connection.execute(select(jobs).where(jobs.c.parent == parent).order_by(jobs.c.number))
        return {row.number: row for row in found}


def states(database: Database, parent: str) -> list[str]:
    return [row.state for row in rows(database, parent).values()]


def number(claim: Claim) -> int:
    return int(claim.id.rpartition(".")[2])


def sha(text: object) -> str:
    return f"{text:0>64}"


def finish(parts: Parts, claim: Claim, device: str = "cpu") -> bool:
    return parts.succeed(claim, sha256=sha(number(claim)), device=device)
