"""A client, two workers and a reconciler do anything in any order: no arrow exists beside the documented ones."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from sqlalchemy import select, update

from contract.database import Database, clock
from contract.jobs import FINAL, Claim, Jobs, NewJob
from contract.schemas import Problem, Progress
from contract.settings import Settings
from contract.tables import jobs

MOST_LOSSES = 2
PROBLEM = Problem.of("non_finite", "a layer holds NaN")

# What each rule may do to one job, by its status before; every other change is forbidden.
ARROWS: dict[str, set[tuple[str, str]]] = {
    "claim": {("queued", "running")},
    "heartbeat": set(),
    "succeed": {("running", "succeeded")},
    "fail": {("running", "failed")},
    "canceled": {("canceling", "canceled")},
    "stop": {("running", "queued"), ("canceling", "canceled")},
    "die": {("running", "queued"), ("running", "failed"), ("canceling", "canceled")},
    "reconcile": {("running", "queued"), ("running", "failed"), ("canceling", "canceled")},
    "cancel": {("queued", "canceled"), ("running", "canceling")},
}


class JobsMachine(RuleBasedStateMachine):
    """Claims stay in the bundle after they were lost: workers that were frozen come back at any time."""

    ids = Bundle("ids")
    claims = Bundle("claims")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.database = Database(Settings(data_dir=self.folder))
        self.database.upgrade()
        self.store = Jobs(self.database)
        self.before: dict[str, Any] = {}
        self.completions: dict[str, int] = {}
        self.action = ""

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)

    def rows(self) -> dict[str, Any]:
        with self.database.read() as connection:
            return {row.id: row for row in connection.execute(select(jobs))}

    def complete(self, action: str, claim: Claim, done: bool) -> None:
        self.action = action
        row = self.before[claim.id]
        held = row.state == "running" and row.attempt == claim.attempt
        held = held and row.cancel_requested == (action == "canceled")
        assert done == held, "a commit counts exactly while its attempt holds"
        self.completions[claim.id] = self.completions.get(claim.id, 0) + done

    @rule(target=ids, tenant=st.sampled_from("ab"))
    def submit(self, tenant: str) -> str:
        self.action = "submit"
        return self.store.submit(NewJob(tenant, "analysis", {}, "cpu", "f"), max_unfinished=10**6)[0].id

    @rule(job_id=ids)
    def cancel(self, job_id: str) -> None:
        self.action = "cancel"
        self.store.request_cancel(self.before[job_id].tenant, job_id)

    @rule(target=claims, worker=st.sampled_from(["one", "two"]))
    def claim(self, worker: str) -> Any:
        self.action = "claim"
        claim = self.store.claim(worker, 1000.0, queues=["cpu"])
        waiting = [row for row in self.before.values() if row.state == "queued"]
        assert (claim is None) == (not waiting)
        return multiple() if claim is None else claim

    @rule(claim=claims, fraction=st.floats(0, 1))
    def heartbeat(self, claim: Claim, fraction: float) -> None:
        self.action = "heartbeat"
        row = self.before[claim.id]
        held = row.state == "running" and row.attempt == claim.attempt
        answer = self.store.heartbeat(claim, 1000.0, Progress(stage="s", done=1, total=2, fraction=fraction))
        assert answer == (("cancel" if row.cancel_requested else "held") if held else "lost")

    @rule(claim=claims, sha256=st.sampled_from(["1" * 64, "2" * 64]))
    def succeed(self, claim: Claim, sha256: str) -> None:
        self.complete("succeed", claim, self.store.succeed(claim, report_sha256=sha256, device="cpu"))

    @rule(claim=claims)
    def fail(self, claim: Claim) -> None:
        self.complete("fail", claim, self.store.fail(claim, PROBLEM))

    @rule(claim=claims)
    def end_canceled(self, claim: Claim) -> None:
        self.complete("canceled", claim, self.store.canceled(claim))

    @rule(claim=claims)
    def stop(self, claim: Claim) -> None:
        self.action = "stop"
        self.store.release(claim, lost=False, max_attempts=MOST_LOSSES)

    @rule(claim=claims)
    def die(self, claim: Claim) -> None:
        self.action = "die"
        self.store.release(claim, lost=True, max_attempts=MOST_LOSSES)

    @rule(claim=claims)
    def fall_silent(self, claim: Claim) -> None:
        self.action = "silence"
        with self.database.write() as connection:
            connection.execute(
                update(jobs).where(jobs.c.id == claim.id, jobs.c.state == "running").values(lease_until=clock() - 1)
            )

    @rule()
    def reconcile(self) -> None:
        self.action = "reconcile"
        self.store.requeue_expired(MOST_LOSSES)

    @invariant()
    def only_documented_arrows(self) -> None:
        if not hasattr(self, "database"):
            return
        after = self.rows()
        assert set(after) >= set(self.before)
        for job_id, row in after.items():
            old = self.before.get(job_id)
            if old is None:
                assert (row.state, row.attempt, row.losses) == ("queued", 0, 0)
                continue
            if old.state in FINAL:
                assert row == old, "what has ended stays as it is"
            change = (status(old), status(row))
            assert change[0] == change[1] or change in ARROWS.get(self.action, set()), (self.action, change)
            assert row.attempt == old.attempt + (change == ("queued", "running"))
            assert 0 <= row.losses - old.losses <= (self.action in ("die", "reconcile"))
            assert row.losses <= MOST_LOSSES
            assert (row.lease_until is not None) == (row.state == "running")
            assert (row.finished_at is not None) == (row.state in FINAL)
            assert (row.report_sha256 is not None) == (row.state == "succeeded")
            assert (row.error is not None) == (row.state in ("failed", "canceled"))
            assert not (row.state == "queued" and row.cancel_requested), "a cancel would be forgotten"
            assert self.completions.get(job_id, 0) <= 1
        self.before = after


def status(row: Any) -> str:
    """Return the state as clients see it."""
    return "canceling" if row.state == "running" and row.cancel_requested else str(row.state)


TestArrows = JobsMachine.TestCase
TestArrows.settings = hypothesis_settings(max_examples=20, stateful_step_count=30)
