"""Clients, planners, workers and a reconciler do anything to analyses in parts, in any order: the books agree."""

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
from contract.parts import NewPart, Parts
from contract.schemas import Problem
from contract.settings import Settings
from contract.tables import jobs

MOST_LOSSES = 2
PROBLEM = Problem.of("non_finite", "a layer holds NaN")
OF_PARENTS = {
    ("queued", "running"),
    ("queued", "canceled"),
    ("running", "split"),
    ("split", "succeeded"),
    ("split", "failed"),
    ("split", "canceled"),
}
OF_PARTS = {
    ("waiting", "queued"),
    ("waiting", "canceled"),
    ("queued", "running"),
    ("queued", "canceled"),
    ("running", "queued"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "canceled"),
}


class PartsMachine(RuleBasedStateMachine):
    """Claims stay in the bundle after they were lost: workers that were frozen come back at any time."""

    ids = Bundle("ids")
    claims = Bundle("claims")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.database = Database(Settings(data_dir=self.folder))
        self.database.upgrade()
        self.store, self.parts = Jobs(self.database), Parts(self.database)
        self.before: dict[str, Any] = {}

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)

    @rule(
        target=ids, needs=st.lists(st.sets(st.integers(0, 3), max_size=2), min_size=1, max_size=4), reuse=st.booleans()
    )
    def split(self, needs: list[set[int]], reuse: bool) -> str:
        self.store.submit(NewJob("a", "analysis", {}, "plan", "f"), max_unfinished=10**6)
        claim = self.store.claim("planner", 1000.0, queues=["plan"])
        assert claim is not None
        plan = [
            NewPart(number, {"about": "a layer"}, sorted(n for n in each if n < number), 1.0, f"f{number}", "cpu")
            for number, each in enumerate(needs)
        ]
        plan.append(NewPart(len(plan), {"about": "the report"}, list(range(len(plan))), 0.5, "report", "cpu"))
        known = self.parts.known("a", [part.fingerprint for part in plan]) if reuse else {}
        assert self.parts.split(claim, plan, known)
        assert not self.parts.split(claim, plan, known)
        return claim.id

    @rule(job=ids)
    def cancel(self, job: str) -> None:
        self.store.request_cancel("a", job)

    @rule(job=ids)
    def delete(self, job: str) -> None:
        ended = job in self.before and self.before[job].state in FINAL
        assert self.store.delete("a", job) == ended
        if ended:
            self.before = {name: row for name, row in self.before.items() if job not in (name, row.parent)}

    @rule(target=claims)
    def claim(self) -> Any:
        claim = self.store.claim("worker", 1000.0, queues=["cpu"])
        assert (claim is None) == (not any(row.state == "queued" for row in self.before.values()))
        return multiple() if claim is None else claim

    def holds(self, claim: Claim) -> bool:
        row = self.before.get(claim.id)
        return row is not None and row.state == "running" and row.attempt == claim.attempt and not row.cancel_requested

    @rule(claim=claims)
    def succeed(self, claim: Claim) -> None:
        assert self.parts.succeed(claim, sha256=claim.id[-5:] * 12, device="cpu") == self.holds(claim)

    @rule(claim=claims)
    def fail(self, claim: Claim) -> None:
        assert self.store.fail(claim, PROBLEM) == self.holds(claim)

    @rule(claim=claims, lost=st.booleans())
    def release(self, claim: Claim, lost: bool) -> None:
        self.store.release(claim, lost=lost, max_attempts=MOST_LOSSES)

    @rule(claim=claims)
    def fall_silent(self, claim: Claim) -> None:
        with self.database.write() as connection:
            late = update(jobs).where(jobs.c.id == claim.id, jobs.c.state == "running")
            connection.execute(late.values(lease_until=clock() - 1))

    @rule()
    def reconcile(self) -> None:
        self.store.requeue_expired(MOST_LOSSES)

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.read() as connection:
            after = {row.id: row for row in connection.execute(select(jobs))}
        for name, row in after.items():
            old = self.before.get(name)
            if old is not None and old.state != row.state:
                arrows = OF_PARENTS if row.parent is None else OF_PARTS
                assert (old.state, row.state) in arrows, (old.state, row.state)
            if row.parent is None:
                self.check_analysis(row, [part for part in after.values() if part.parent == name], old)
        gone = [row for name, row in self.before.items() if name not in after]
        assert all(after[row.parent].state == "succeeded" for row in gone), "only the report takes the place of parts"
        self.before = after

    def check_analysis(self, row: Any, parts: list[Any], old: Any) -> None:
        states = [part.state for part in parts]
        if row.state == "split":
            assert row.done == states.count("succeeded") < row.total == len(parts)
            assert any(state in ("queued", "running") for state in states), "something can always go on"
            assert abs(row.fraction - sum(p.cost for p in parts if p.state == "succeeded") / row.cost) < 1e-9
            assert "failed" not in states
        else:
            assert not {"waiting", "queued"} & set(states), "what has ended begins nothing"
            assert all(part.cancel_requested for part in parts if part.state == "running")
        assert row.state != "succeeded" or (not parts and row.report_sha256 is not None and row.fraction == 1.0)
        assert row.state != "failed" or row.error["code"] in ("non_finite", "worker_lost")
        if old is not None and old.state == row.state == "split":
            assert row.fraction >= old.fraction
        done = {part.number for part in parts if part.state == "succeeded"}
        for part in parts:
            missing = [number for number in part.request["needs"] if number not in done]
            if part.state in ("waiting", "queued", "running"):
                assert part.waits_for == len(missing)
            if row.state == "split":
                assert (part.state == "waiting") == (part.state != "succeeded" and bool(missing))
            assert (part.lease_until is not None) == (part.state == "running")
            assert (part.finished_at is not None) == (part.state in FINAL)


TestPartsArrows = PartsMachine.TestCase
TestPartsArrows.settings = hypothesis_settings(max_examples=15, stateful_step_count=40, deadline=None)
