"""Where parts of an analysis go: large ones to GPUs, where workers serve both queues and the request allows both."""

import pytest
from sqlalchemy import select

from contract.blobs import Blobs
from contract.counters import Processes
from contract.database import Database
from contract.jobs import Jobs, NewJob
from contract.settings import Settings
from contract.tables import jobs
from tests.worker.jobs import next_claim
from worker.messages import PlanEvent
from worker.parting import Parting

SECONDS = (30.0, 6.0, 0.5)  # of parts that should last 20


def queues(settings: Settings, database: Database, device: str, served: str) -> list[str]:
    """Split an analysis of three parts and the assembly, and return their queues in order."""
    Jobs(database).submit(NewJob("a", "analysis", {"device": device}, "cpu", "f"), max_unfinished=9)
    claim = next_claim(settings, database)
    assert claim is not None
    Processes(database).seen("worker", served)
    parts = [
        {"tasks": [{"kind": "layer"}], "needs": [], "cost": cost, "about": "a layer", "fingerprint": f"{number:064x}"}
        for number, cost in enumerate(SECONDS)
    ]
    parts.append({"tasks": [], "needs": [0, 1, 2], "cost": 25.0, "about": "the report", "fingerprint": "f" * 64})
    plan = PlanEvent.model_validate({"parts": parts})
    assert Parting(settings, database, Blobs.open(settings)).split(claim, plan, {})
    with database.read() as connection:
        rows = select(jobs.c.queue).where(jobs.c.parent == claim.id).order_by(jobs.c.number)
        return list(connection.execute(rows).scalars())


@pytest.mark.parametrize(
    ("device", "served", "expected"),
    [
        ("auto", "cpu,gpu", ["gpu", "gpu", "cpu", "cpu"]),
        ("auto", "cpu", ["cpu"] * 4),
        ("cpu", "cpu,gpu", ["cpu"] * 4),
    ],
)
def test_large_parts_go_to_a_gpu_that_is_served(
    settings: Settings, database: Database, device: str, served: str, expected: list[str]
) -> None:
    assert queues(settings, database, device, served) == expected
