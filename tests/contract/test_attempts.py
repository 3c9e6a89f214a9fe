"""Attempts at jobs on both databases: who claims what, and whose result counts, whoever comes when."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, select, update

from contract.database import Database, clock
from contract.jobs import Claim, Jobs, NewJob
from contract.schemas import Problem, Progress
from contract.tables import jobs
from tests.contract.queued import LEASE, MANY, at_once, claimed, let_lease_run_out, state_of, submitted


class TestClaim:
    def test_an_empty_queue_gives_nothing(self, store: Jobs) -> None:
        assert store.claim("w", LEASE, queues=["cpu"]) is None

    def test_a_claim_says_what_to_do_and_is_an_attempt(self, store: Jobs) -> None:
        job_id, _ = store.submit(
            NewJob("a", "analysis", {"seed": 7}, "cpu", "f", inputs=["11", "22", "11"]), max_unfinished=MANY
        )
        claim = claimed(store, "host:1")
        assert claim == Claim(job_id.id, "a", "analysis", {"seed": 7}, 1, 0)
        seen = store.get("a", claim.id)
        assert seen is not None
        assert (seen.status, seen.execution.workers, seen.execution.attempts) == ("running", ["host:1"], 1)

    def test_other_queues_are_left_alone(self, store: Jobs) -> None:
        job_id = submitted(store, queue="gpu")
        assert store.claim("w", LEASE, queues=["cpu"]) is None
        assert claimed(store, "w", "cpu", "gpu").id == job_id

    def test_the_oldest_of_a_tenant_comes_first(self, store: Jobs) -> None:
        ids = [submitted(store) for _ in range(4)]
        assert [claimed(store).id for _ in range(4)] == ids

    def test_one_job_goes_to_one_of_twenty_workers(self, store: Jobs, any_database: Database) -> None:
        job_id = submitted(store)
        claims = at_once(20, lambda number: store.claim(f"w{number}", LEASE, queues=["cpu"]))
        assert len([claim for claim in claims if claim is not None]) == 1
        assert state_of(any_database, job_id) == ("running", 1, 0)

    def test_twenty_jobs_go_to_twenty_workers(self, store: Jobs) -> None:
        ids = {submitted(store) for _ in range(20)}
        taken: set[str] = set()

        def take(number: int) -> None:
            while (claim := store.claim(f"w{number}", LEASE, queues=["cpu"])) is not None:
                assert claim.id not in taken
                taken.add(claim.id)

        at_once(8, take)
        assert taken == ids

    @pytest.mark.parametrize("any_settings", ["postgresql"], indirect=True)  # SQLite has one writer at a time
    def test_who_is_in_the_middle_of_a_claim_does_not_hold_up_others(self, store: Jobs, any_database: Database) -> None:
        first, second = submitted(store), submitted(store)
        with any_database.write() as other:
            locked = select(jobs.c.id).where(jobs.c.id == first).with_for_update()
            assert other.execute(locked).scalar_one() == first
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(claimed, store).result(60).id == second
        assert claimed(store).id == first

    def test_the_tenant_with_the_fewest_running_jobs_is_next(self, store: Jobs) -> None:
        for _ in range(3):
            submitted(store, "busy")
        last = submitted(store, "quiet")
        assert claimed(store).tenant == "busy"
        assert claimed(store).id == last, "a tenant that queued many jobs must not make others wait"
        assert claimed(store).tenant == "busy"


class TestFencing:
    @pytest.fixture
    def stale(self, store: Jobs, any_database: Database) -> Claim:
        """A claim of a worker that was frozen, whose job another worker now has."""
        submitted(store)
        stale = claimed(store, "frozen")
        let_lease_run_out(any_database, stale.id)
        assert store.requeue_expired(3) == 1
        assert claimed(store, "other").attempt == 2
        return stale

    @pytest.mark.parametrize(
        "late",
        [
            lambda store, claim: store.succeed(claim, report_sha256="0" * 64, device="cpu"),
            lambda store, claim: store.fail(claim, Problem.of("non_finite", "…")),
            lambda store, claim: store.canceled(claim),
            lambda store, claim: store.release(claim, lost=False, max_attempts=3),
            lambda store, claim: store.release(claim, lost=True, max_attempts=1),
        ],
        ids=["succeed", "fail", "canceled", "release", "release lost"],
    )
    def test_a_lost_attempt_changes_nothing(
        self, store: Jobs, any_database: Database, stale: Claim, late: Callable[[Jobs, Claim], bool | None]
    ) -> None:
        with any_database.read() as connection:
            before = connection.execute(select(jobs)).one()
        assert not late(store, stale)
        with any_database.read() as connection:
            assert connection.execute(select(jobs)).one() == before

    def test_its_heartbeat_says_lost_and_renews_nothing(
        self, store: Jobs, any_database: Database, stale: Claim
    ) -> None:
        let_lease_run_out(any_database, stale.id)
        assert store.heartbeat(stale, LEASE, Progress(stage="late", done=1, total=2, fraction=0.5)) == "lost"
        assert store.requeue_expired(3) == 1

    def test_only_one_of_two_results_is_committed(self, store: Jobs) -> None:
        job_id = submitted(store)
        claim = claimed(store)
        results = at_once(10, lambda n: store.succeed(claim, report_sha256=str(n) * 64, device="cpu"))
        assert sorted(results) == [False] * 9 + [True]
        assert store.report_sha256("a", job_id) == str(results.index(True)) * 64


class TestLoss:
    def test_a_live_lease_is_left_alone_and_a_heartbeat_renews_it(self, store: Jobs, any_database: Database) -> None:
        submitted(store)
        claim = claimed(store)
        assert store.requeue_expired(3) == 0
        let_lease_run_out(any_database, claim.id)
        assert store.heartbeat(claim, LEASE, None) == "held"
        assert store.requeue_expired(3) == 0

    def test_leases_that_are_too_long_since_the_clock_was_set_back_are_shortened(
        self, store: Jobs, any_database: Database
    ) -> None:
        """Else nobody would have the job for an hour where its worker is dead."""
        job = submitted(store)
        claimed(store)

        def left() -> float:
            with any_database.read() as connection:
                query = select(jobs.c.lease_until - clock()).where(jobs.c.id == job)
                return float(connection.execute(query).scalar_one())

        before = left()
        assert store.shorten_leases(LEASE) == 0
        assert LEASE - 60 < left() <= before
        with any_database.write() as connection:
            connection.execute(update(jobs).values(lease_until=jobs.c.lease_until + 3600))
        assert store.shorten_leases(LEASE) == 1
        assert LEASE - 60 < left() <= LEASE + 0.1

    def test_heartbeats_write_only_what_is_due(self, store: Jobs, any_database: Database) -> None:
        writes: list[str] = []

        @event.listens_for(any_database.engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("UPDATE"):
                writes.append(statement)

        def beat(fraction: float, stage: str = "layer") -> int:
            writes.clear()
            assert store.heartbeat(claim, LEASE, Progress(stage=stage, done=1, total=4, fraction=fraction)) == "held"
            return len(writes)

        submitted(store)
        claim = claimed(store)
        assert [beat(0.25), beat(0.25), beat(0.255), beat(0.27), beat(0.27, "next layer")] == [1, 0, 0, 1, 1]
        half_over = update(jobs).where(jobs.c.id == claim.id).values(lease_until=clock() + LEASE / 2)
        with any_database.write() as connection:
            connection.execute(half_over)
        assert (beat(0.27, "next layer"), beat(0.27, "next layer")) == (1, 0)

    def test_an_expired_lease_puts_the_job_back(self, store: Jobs, any_database: Database) -> None:
        store.announced([submitted(store)])
        claim = claimed(store)
        store.heartbeat(claim, LEASE, Progress(stage="layer", done=3, total=4, fraction=0.75))
        let_lease_run_out(any_database, claim.id)
        assert store.requeue_expired(3) == 1
        assert state_of(any_database, claim.id) == ("queued", 1, 1)
        seen = store.get("a", claim.id)
        assert seen is not None
        assert (seen.status, seen.progress.fraction) == ("queued", 0.0)
        assert store.unannounced(1000.0) == [(claim.id, "cpu")], "the broker must be told again"

    def test_a_job_that_kills_workers_fails_in_the_end(self, store: Jobs, any_database: Database) -> None:
        job_id = submitted(store)
        for attempt in (1, 2, 3):
            assert claimed(store).attempt == attempt
            let_lease_run_out(any_database, job_id)
            assert store.requeue_expired(3) == 1
        assert state_of(any_database, job_id) == ("failed", 3, 3)
        seen = store.get("a", job_id)
        assert seen is not None
        assert seen.error is not None
        assert seen.error.code == "worker_lost"
        assert "3 times" in seen.error.detail
        assert store.claim("w", LEASE, queues=["cpu"]) is None

    def test_a_dead_child_counts_like_a_dead_worker(self, store: Jobs, any_database: Database) -> None:
        job_id = submitted(store)
        store.release(claimed(store), lost=True, max_attempts=2)
        assert state_of(any_database, job_id) == ("queued", 1, 1)
        store.release(claimed(store), lost=True, max_attempts=2)
        assert state_of(any_database, job_id) == ("failed", 2, 2)

    def test_a_graceful_stop_costs_no_attempt(self, store: Jobs, any_database: Database) -> None:
        job_id = submitted(store)
        for _ in range(5):
            store.release(claimed(store), lost=False, max_attempts=1)
        assert state_of(any_database, job_id) == ("queued", 5, 0)

    def test_reconcilers_do_not_count_a_loss_twice(self, store: Jobs, any_database: Database) -> None:
        job_id = submitted(store)
        claimed(store)
        let_lease_run_out(any_database, job_id)
        assert sum(at_once(8, lambda _: store.requeue_expired(3))) == 1
        assert state_of(any_database, job_id) == ("queued", 1, 1)


class TestProgress:
    def test_is_kept_and_starts_anew_with_each_attempt(self, store: Jobs) -> None:
        submitted(store)
        claim = claimed(store)
        progress = Progress(stage="instance 0: 3.Dense", done=3, total=8, fraction=0.375)
        assert store.heartbeat(claim, LEASE, progress) == "held"
        assert store.heartbeat(claim, LEASE, None) == "held"
        seen = store.get("a", claim.id)
        assert seen is not None
        assert seen.progress == progress
        store.release(claim, lost=False, max_attempts=3)
        claimed(store)
        again = store.get("a", claim.id)
        assert again is not None
        assert (again.progress.fraction, again.execution.attempts) == (0.0, 2)
        assert again.execution.workers == ["w", "w"]


def test_tenants_take_turns_also_with_a_single_worker(store: Jobs) -> None:
    """Three tenants, one worker: the one served longest ago is next, however many another has waiting."""
    for tenant, count in (("a", 6), ("b", 2), ("c", 2)):
        for _ in range(count):
            submitted(store, tenant)
    served = []
    for _ in range(10):
        claim = claimed(store)
        served.append(claim.tenant)
        assert store.succeed(claim, report_sha256="0" * 64, device="cpu")
        time.sleep(0.005)  # the clock of SQLite counts milliseconds
    assert served == ["a", "b", "c", "a", "b", "c", "a", "a", "a", "a"]
