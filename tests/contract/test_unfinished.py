"""What can be seen of an analysis before it ends."""

import pytest

from contract.database import Database
from contract.jobs import Claim, Jobs, NewJob
from contract.schemas import Separation
from contract.unfinished import Unfinished
from tests.interlayer.render.sample import sample_report

LAYERS = sample_report(n_layers=4, classes=3, states=("trained",), splits=("train",)).separations


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


@pytest.fixture
def unfinished(database: Database) -> Unfinished:
    return Unfinished(database)


def submit(jobs: Jobs, tenant: str = "one", priority: int = 0) -> str:
    job = NewJob(tenant, "analysis", {}, "cpu", "fingerprint", priority=priority)
    return jobs.submit(job, max_unfinished=9)[0].id


def claimed(jobs: Jobs) -> Claim:
    claim = jobs.claim("worker", 60, queues=["cpu"])
    assert claim is not None
    return claim


def test_layers_come_back_in_the_order_of_finishing(jobs: Jobs, unfinished: Unfinished) -> None:
    submit(jobs)
    claim = claimed(jobs)
    assert unfinished.layers("one", claim.id) == []
    unfinished.add_layers(claim, 0, LAYERS[:2])
    unfinished.add_layers(claim, 2, LAYERS[2:3])
    assert unfinished.layers("one", claim.id) == LAYERS[:3]
    assert unfinished.layers("two", claim.id) == [], "they are the tenant's alone"


def test_a_lost_attempt_writes_nothing_and_is_not_shown(jobs: Jobs, unfinished: Unfinished) -> None:
    submit(jobs)
    first = claimed(jobs)
    unfinished.add_layers(first, 0, LAYERS[:2])
    jobs.release(first, lost=False, max_attempts=3)
    second = claimed(jobs)
    assert unfinished.layers("one", second.id) == [], "the new attempt has finished nothing yet"
    unfinished.add_layers(first, 2, LAYERS[2:])
    unfinished.add_layers(second, 0, LAYERS[:1])
    assert unfinished.layers("one", second.id) == LAYERS[:1]


def test_deleting_the_analysis_deletes_them(jobs: Jobs, unfinished: Unfinished, database: Database) -> None:
    from sqlalchemy import func, select

    from contract.tables import finished_layers

    submit(jobs)
    claim = claimed(jobs)
    unfinished.add_layers(claim, 0, LAYERS)
    jobs.succeed(claim, report_sha256="0" * 64, device="cpu")
    assert jobs.delete("one", claim.id)
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(finished_layers)).scalar_one() == 0


def test_the_place_in_the_queue_is_that_in_which_a_tenants_analyses_are_claimed(
    jobs: Jobs, unfinished: Unfinished
) -> None:
    foreign, low = submit(jobs, "two"), submit(jobs)
    high, second = submit(jobs, priority=5), submit(jobs)
    places = {job: unfinished.ahead("one", job) for job in (low, high, second)}
    assert places == {high: 0, low: 1, second: 2}
    assert unfinished.ahead("two", foreign) == 0, "tenants take turns"
    assert unfinished.ahead("one", foreign) is None
    own = [claim.id for _ in range(4) if (claim := claimed(jobs)).tenant == "one"]
    assert own == sorted(places, key=lambda job: places[job] or 0)
    assert unfinished.ahead("one", second) is None, "it waits no more"


def test_what_was_stored_is_what_a_worker_sends() -> None:
    assert [Separation.model_validate_json(layer.model_dump_json()) for layer in LAYERS] == LAYERS
