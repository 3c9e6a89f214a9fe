"""Whose part is next: turns of analyses and tenants, priorities and queues, and what a claim costs."""

import itertools
from typing import Any

import pytest
from sqlalchemy import event

from contract.database import Database
from contract.jobs import Jobs
from contract.parts import NewPart, Parts
from tests.contract.divided import PLAN, number, plan, rows, split
from tests.contract.queued import LEASE, MANY, claimed, new_job, submitted


class TestTurns:
    def test_a_job_with_fewer_running_parts_goes_first(self, store: Jobs, parts: Parts) -> None:
        first, second = (split(store, parts, steps=plan([], [], [], [0, 1, 2])) for _ in range(2))
        whole = submitted(store)
        owners = [claimed(store) for _ in range(7)]
        assert [claim.parent or claim.id for claim in owners] == [first, second, whole, first, second, first, second]
        assert [number(claim) for claim in owners if claim.parent == first] == [0, 1, 2]

    def test_the_highest_priority_of_a_tenant_goes_first(self, store: Jobs, parts: Parts) -> None:
        low = submitted(store, priority=-1)
        usual = split(store, parts, steps=plan([], [], [0, 1]))
        high = submitted(store, priority=5)
        other = submitted(store, "b", priority=-9)
        taken = [claimed(store) for _ in range(5)]
        assert {claim.id for claim in taken[:2]} == {other, high}, "it is no matter of other tenants"
        assert [claim.parent or claim.id for claim in taken[2:]] == [usual, usual, low]

    def test_parts_inherit_the_priority(self, store: Jobs, parts: Parts, any_database: Database) -> None:
        store.submit(new_job(priority=7), max_unfinished=MANY)
        claim = claimed(store)
        assert parts.split(claim, PLAN, {})
        assert {row.priority for row in rows(any_database, claim.id).values()} == {7}

    def test_parts_of_a_tenant_count_as_running(self, store: Jobs, parts: Parts) -> None:
        split(store, parts, steps=plan([], [], [], [0, 1, 2]))
        claimed(store)
        later = submitted(store, "b")
        assert claimed(store).id == later
        assert store.claim("w", LEASE, queues=["cpu"], most_running=(1, {})) is None
        assert store.claim("w", LEASE, queues=["cpu"], most_running=(1, {"a": 2})) is not None

    def test_parts_go_to_their_own_queues(self, store: Jobs, parts: Parts) -> None:
        steps = [*plan([], queue="gpu"), NewPart(1, {}, [], 1.0, "x", "cpu"), NewPart(2, {}, [0, 1], 1.0, "y", "cpu")]
        split(store, parts, steps=steps)
        assert number(claimed(store, "w", "cpu")) == 1
        assert number(claimed(store, "w", "cpu", "gpu")) == 0

    @pytest.mark.parametrize("any_settings", ["sqlite"], indirect=True)
    def test_a_long_queue_is_not_read(self, store: Jobs, parts: Parts, any_database: Database) -> None:
        """What a claim costs is counted in steps of SQLite's machine: not many more for 4,000 parts than for 40."""
        steps = {}
        for many in (40, 4000):
            for tenant, _ in itertools.product("ab", range(2)):
                split(store, parts, tenant, steps=plan(*([] for _ in range(many)), list(range(many))))
                claimed(store)
            steps[many] = _steps_of_a_claim(store, any_database)
        assert steps[4000] < 3 * steps[40]


def _steps_of_a_claim(store: Jobs, database: Database) -> int:
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    def watch(connection: Any, *_: Any) -> None:
        connection.connection.dbapi_connection.set_progress_handler(step, 10)

    event.listen(database.engine, "before_cursor_execute", watch)
    try:
        claimed(store)
    finally:
        event.remove(database.engine, "before_cursor_execute", watch)
    return count
