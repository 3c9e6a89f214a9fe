"""Jobs on both databases, as clients and the dispatcher see them: what is promised holds whoever comes when."""

from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from contract.database import Database, clock
from contract.job_rows import new_job_id
from contract.jobs import Claim, Jobs, NewJob
from contract.schemas import Problem, ProblemError
from contract.tables import jobs
from tests.contract.queued import LEASE, MANY, at_once, claimed, let_lease_run_out, new_job, state_of, submitted


class TestSubmit:
    def test_a_new_job_waits(self, store: Jobs) -> None:
        analysis, new = store.submit(new_job(), max_unfinished=MANY)
        assert new
        assert (analysis.status, analysis.progress.fraction, analysis.execution.attempts) == ("queued", 0.0, 0)
        assert store.get("a", analysis.id) == analysis

    def test_the_same_key_and_body_find_the_same_job(self, store: Jobs) -> None:
        first, _ = store.submit(new_job(idempotency_key="k"), max_unfinished=MANY)
        again, new = store.submit(new_job(idempotency_key="k"), max_unfinished=MANY)
        assert (again.id, new) == (first.id, False)

    def test_a_replay_is_answered_even_where_the_queue_is_full(self, store: Jobs) -> None:
        first, _ = store.submit(new_job(idempotency_key="k"), max_unfinished=1)
        assert store.submit(new_job(idempotency_key="k"), max_unfinished=1)[0].id == first.id

    def test_the_same_key_with_another_body_is_refused(self, store: Jobs) -> None:
        submitted(store, idempotency_key="k")
        with pytest.raises(ProblemError) as caught:
            submitted(store, idempotency_key="k", fingerprint="other")
        assert (caught.value.problem.code, caught.value.problem.status) == ("idempotency_mismatch", 422)

    def test_keys_of_tenants_are_their_own(self, store: Jobs) -> None:
        assert submitted(store, "a", idempotency_key="k") != submitted(store, "b", idempotency_key="k")

    def test_without_a_key_every_request_is_a_job(self, store: Jobs) -> None:
        assert submitted(store) != submitted(store)

    def test_twenty_at_once_make_one_row(self, store: Jobs, any_database: Database) -> None:
        ids = at_once(20, lambda _: submitted(store, idempotency_key="k"))
        with any_database.read() as connection:
            rows = connection.execute(select(func.count()).select_from(jobs)).scalar_one()
        assert len(set(ids)) == rows == 1

    def test_the_limit_counts_unfinished_analyses_of_the_tenant(self, store: Jobs) -> None:
        submitted(store, "b")
        for _ in range(2):
            store.submit(new_job(), max_unfinished=2)
        inspection = NewJob(tenant="a", kind="inspection", request={}, queue="inspect", fingerprint="f")
        store.submit(inspection, max_unfinished=2)
        with pytest.raises(ProblemError) as caught:
            store.submit(new_job(), max_unfinished=2)
        assert caught.value.problem.code == "queue_full"
        assert caught.value.problem.status == 429
        store.succeed(claimed(store, "w"), report_sha256=None, device=None)  # of tenant b, the first
        store.succeed(claimed(store, "w"), report_sha256=None, device=None)
        assert store.submit(new_job(), max_unfinished=2)[1]

    def test_ids_sort_by_time(self) -> None:
        ids = [new_job_id("analysis") for _ in range(50)]
        assert len(set(ids)) == 50
        assert [i[:17] for i in ids] == sorted(i[:17] for i in ids)


class TestCancel:
    def test_a_queued_job_is_canceled_at_once(self, store: Jobs) -> None:
        job_id = submitted(store)
        seen = store.request_cancel("a", job_id)
        assert seen is not None
        assert seen.status == "canceled"
        assert seen.error is not None
        assert seen.error.code == "canceled"
        assert seen.finished_at is not None
        assert store.claim("w", LEASE, queues=["cpu"]) is None
        assert store.request_cancel("a", job_id) == seen, "asking again is fine and changes nothing"

    def test_a_running_job_learns_of_it_with_its_heartbeat(self, store: Jobs) -> None:
        submitted(store)
        claim = claimed(store)
        asked = store.request_cancel("a", claim.id)
        assert asked is not None
        assert asked.status == "canceling"
        assert store.heartbeat(claim, LEASE, None) == "cancel"
        assert store.canceled(claim)
        done = store.get("a", claim.id)
        assert done is not None
        assert done.status == "canceled"

    def test_a_cancel_that_was_answered_beats_the_result_and_the_failure(self, store: Jobs) -> None:
        submitted(store)
        claim = claimed(store)
        assert not store.canceled(claim), "nobody has asked for it"
        store.request_cancel("a", claim.id)
        assert not store.succeed(claim, report_sha256="0" * 64, device="cpu")
        assert not store.fail(claim, Problem.of("non_finite", "…"))
        assert store.canceled(claim)
        assert store.report_sha256("a", claim.id) is None

    def test_a_finished_job_stays_as_it_is(self, store: Jobs) -> None:
        submitted(store)
        claim = claimed(store)
        store.succeed(claim, report_sha256="0" * 64, device="cpu")
        before = store.get("a", claim.id)
        assert store.request_cancel("a", claim.id) == before
        assert before is not None
        assert before.status == "succeeded"

    @pytest.mark.parametrize("lost", [True, False])
    def test_a_canceled_job_does_not_come_back_with_its_worker(
        self, store: Jobs, any_database: Database, lost: bool
    ) -> None:
        submitted(store)
        claim = claimed(store)
        store.request_cancel("a", claim.id)
        store.release(claim, lost=lost, max_attempts=3)
        assert state_of(any_database, claim.id)[0] == "canceled"

    def test_a_canceled_job_whose_worker_died_is_canceled(self, store: Jobs, any_database: Database) -> None:
        submitted(store)
        claim = claimed(store)
        store.request_cancel("a", claim.id)
        let_lease_run_out(any_database, claim.id)
        assert store.requeue_expired(3) == 1
        assert state_of(any_database, claim.id)[0] == "canceled"

    def test_cancel_against_commit_has_one_winner(self, store: Jobs) -> None:
        for _ in range(5):
            submitted(store)
            claim = claimed(store)

            def act(number: int, claim: Claim = claim) -> Any:
                if number:
                    return store.request_cancel("a", claim.id)
                return store.succeed(claim, report_sha256="0" * 64, device="cpu")

            committed, asked = at_once(2, act)
            assert committed == (asked.status == "succeeded")
            assert committed or store.canceled(claim)


class TestHistory:
    def finished(self, store: Jobs, tenant: str = "a", **more: Any) -> str:
        queue = "alone"  # so that nothing else is claimed
        job_id = submitted(store, tenant, queue=queue, **more)
        claim = claimed(store, "w", queue)
        assert claim.id == job_id
        store.succeed(claim, report_sha256="0" * 64, device="cpu")
        return job_id

    def test_newest_first_and_page_by_page(self, store: Jobs) -> None:
        ids = [submitted(store) for _ in range(7)]
        submitted(store, "b")
        store.submit(NewJob("a", "inspection", {}, "inspect", "f"), max_unfinished=MANY)
        seen: list[str] = []
        before = None
        while page := store.newest("a", limit=3, before=before):
            seen += [analysis.id for analysis in page]
            before = seen[-1]
        assert seen == ids[::-1]

    def test_filters(self, store: Jobs) -> None:
        waiting = submitted(store, tags={"model": "one", "run": "7"})
        done = self.finished(store, tags={"model": "two"})
        running = submitted(store, queue="gpu")
        canceling = submitted(store, queue="gpu")
        assert {claimed(store, "w", "gpu").id, claimed(store, "w", "gpu").id} == {running, canceling}
        store.request_cancel("a", canceling)

        def ids(**filters: Any) -> list[str]:
            return [analysis.id for analysis in store.newest("a", limit=50, **filters)]

        assert ids(status="queued") == [waiting]
        assert ids(status="succeeded") == [done]
        assert ids(status="running") == [running]
        assert ids(status="canceling") == [canceling]
        assert ids(tag=("model", "two")) == [done]
        assert ids(tag=("model", "one"), status="succeeded") == []
        assert ids(tag=("run", "8")) == []

    def test_nothing_of_another_tenant_can_be_seen_or_changed(self, store: Jobs, any_database: Database) -> None:
        job_id = submitted(store, "a", inputs=["11"])
        assert store.get("b", job_id) is None
        assert store.request_cancel("b", job_id) is None
        assert store.newest("b", limit=50) == []
        assert not store.uses("b", "11")
        assert state_of(any_database, job_id)[0] == "queued"
        done = self.finished(store, "a")
        assert store.report_sha256("b", done) is None
        assert not store.delete("b", done)
        assert store.get("a", done) is not None

    def test_only_finished_analyses_can_be_deleted(self, store: Jobs) -> None:
        waiting = submitted(store, tags={"x": "y"}, inputs=["11"])
        assert not store.delete("a", waiting)
        claim = claimed(store)
        assert not store.delete("a", waiting)
        store.succeed(claim, report_sha256="0" * 64, device="cpu")
        assert store.delete("a", waiting)
        assert store.get("a", waiting) is None
        assert store.newest("a", limit=5, tag=("x", "y")) == []
        assert not store.delete("a", waiting)

    def test_an_input_is_in_use_until_its_jobs_have_ended(self, store: Jobs) -> None:
        submitted(store, inputs=["11", "22"])
        assert store.uses("a", "22")
        assert not store.uses("a", "33")
        store.fail(claimed(store), Problem.of("non_finite", "…"))
        assert not store.uses("a", "22")

    def test_inspections_are_no_analyses(self, store: Jobs) -> None:
        inspection, _ = store.submit(NewJob("a", "inspection", {}, "inspect", "f"), max_unfinished=MANY)
        assert store.get("a", inspection.id) is None
        assert store.request_cancel("a", inspection.id) is None

    def test_durations_and_times_are_the_databases(self, store: Jobs) -> None:
        done = store.get("a", self.finished(store))
        assert done is not None
        assert done.started_at is not None
        assert done.finished_at is not None
        assert done.created_at <= done.started_at <= done.finished_at
        assert set(done.execution.durations) == {"queued", "running"}
        assert done.report == f"/v1/analyses/{done.id}/report"
        assert (done.progress.fraction, done.execution.device) == (1.0, "cpu")


class TestOutbox:
    def test_a_job_is_announced_once_until_the_resend_time(self, store: Jobs, any_database: Database) -> None:
        first, second = submitted(store), submitted(store, queue="gpu")
        assert store.unannounced(1000.0) == [(first, "cpu"), (second, "gpu")]
        store.announced([first])
        assert store.unannounced(1000.0) == [(second, "gpu")]
        with any_database.write() as connection:
            connection.execute(update(jobs).values(sent_at=clock() - 2000.0))
        assert store.unannounced(1000.0) == [(first, "cpu"), (second, "gpu")], "the broker may have lost it"

    def test_what_has_ended_meanwhile_stays_as_it_is(self, store: Jobs, any_database: Database) -> None:
        job_id = submitted(store)
        assert store.unannounced(1000.0)
        store.request_cancel("a", job_id)
        store.announced([job_id])
        with any_database.read() as connection:
            assert connection.execute(select(jobs.c.sent_at)).scalar_one() is None

    def test_jobs_that_do_not_wait_are_not_announced(self, store: Jobs) -> None:
        store.submit(NewJob("a", "inspection", {}, "inspect", "f"), max_unfinished=MANY)  # workers look for these
        submitted(store)
        claimed(store)
        assert store.unannounced(0.0) == []

    def test_a_backlog_is_announced_in_parts(self, store: Jobs) -> None:
        ids = [submitted(store) for _ in range(5)]
        assert [job_id for job_id, *_ in store.unannounced(1000.0, limit=2)] == ids[:2]


def test_no_statement_on_waiting_jobs_reads_the_history(database: Database) -> None:
    """The work of accepting, claiming and sweeping must not grow with the jobs that have ended."""
    store, seen = Jobs(database), []

    def look(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM jobs" in statement and statement.startswith(("SELECT", "WITH")):
            seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", look)
    submitted(store)
    assert store.unannounced(0.0)
    claimed(store)
    assert store.requeue_expired(1) == 0
    event.remove(database.engine, "before_cursor_execute", look)
    assert len(seen) == 9
    for statement, parameters in seen:
        with database.read() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        searches = [line for line in plan if "SEARCH" in line or "SCAN jobs" in line]
        served_last = "SEARCH jobs USING COVERING INDEX ix_jobs_tenant_started_at (tenant=?)"  # one step: the greatest
        assert all(
            "INDEX ix_jobs_unfinished" in line or "INDEX ix_jobs_waiting" in line
            for line in searches
            if line != served_last
        ), (statement, plan)
        assert not any(line.endswith("kind_state (tenant=?)") for line in searches), "counts what waits, too"
