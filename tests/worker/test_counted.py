"""What the monitoring counts of attempts, counted where it happens."""

import pytest
from sqlalchemy import update

from contract.counters import Counters
from contract.database import Database, clock
from contract.jobs import Jobs
from contract.schemas import Problem
from contract.settings import Settings
from contract.tables import jobs
from tests.worker.jobs import TENANT, claimed, submitted
from tests.worker.scripted import DONE, ScriptedChild
from worker.messages import ProblemEvent, ReportEvent
from worker.runner import Runner

ON_GPU = ReportEvent(sha256="12" * 32, device="cuda", file="12" * 16)
FAILED = ProblemEvent(problem=Problem.of("non_finite", "…"))


def counted(settings: Settings, database: Database, *script: object) -> dict[tuple[str, str], float]:
    """Run one job and return every count."""
    runner = Runner(settings, database)
    runner._child = ScriptedChild(*script)  # type: ignore[arg-type, assignment]  # has the methods that are used
    runner.run(claimed(settings, database))
    return Counters(database).all()


@pytest.mark.parametrize(
    ("queues", "device", "event", "count"),
    [
        ("gpu,cpu", "auto", DONE, 1),
        ("gpu,cpu", "auto", ON_GPU, None),
        ("gpu,cpu", "cpu", DONE, None),
        ("cpu", "auto", DONE, None),
    ],
)
def test_a_fallback_is_an_analysis_of_a_gpu_worker_that_ran_on_the_cpu_unasked(
    settings: Settings, database: Database, queues: str, device: str, event: ReportEvent, count: float | None
) -> None:
    submitted(Jobs(database), device=device)
    found = counted(settings.model_copy(update={"queues": queues}), database, event)
    assert found.get(("gpu_fallbacks", "")) == count


@pytest.mark.parametrize("last", [DONE, FAILED], ids=["a result", "a failure"])
@pytest.mark.parametrize("how", ["lost", "canceled", None])
def test_an_attempt_that_ends_too_late_is_counted(
    settings: Settings, database: Database, last: ReportEvent | ProblemEvent, how: str | None
) -> None:
    store = Jobs(database)
    job = submitted(store)

    def overtake() -> None:
        if how == "canceled":
            store.request_cancel(TENANT, job)
        elif how == "lost":
            with database.write() as connection:
                connection.execute(update(jobs).values(lease_until=clock() - 1))
            assert store.requeue_expired(3) == 1

    found = counted(settings, database, overtake, last)
    assert found.get(("fenced_completions", "")) == (None if how is None else 1)
