"""An analysis in parts, on both databases: it ends once, with all of them or with the first that fails."""

from typing import Any

import pytest
from sqlalchemy import update

from contract.database import Database
from contract.jobs import Claim, Jobs
from contract.parts import Parts
from contract.schemas import Problem
from contract.tables import jobs
from tests.contract.divided import PLAN, finish, number, plan, rows, seen, sha, split, states
from tests.contract.queued import LEASE, at_once, claimed, let_lease_run_out, submitted

PROBLEM = Problem.of("non_finite", "layer 'conv1' of instance '0' (trained, train) holds NaN")


def test_parts_run_when_what_they_need_is_there(store: Jobs, parts: Parts, any_database: Database) -> None:
    job = split(store, parts)
    assert states(any_database, job) == ["queued", "waiting", "waiting", "waiting", "queued", "waiting"]
    trees, other = claimed(store), claimed(store)
    assert [number(trees), number(other)] == [0, 4]
    assert store.claim("w", LEASE, queues=["cpu"]) is None
    assert finish(parts, trees)
    blocks = claimed(store), claimed(store)
    assert [number(block) for block in blocks] == [1, 2]
    context = parts.context(blocks[0])
    assert context is not None
    assert (context.request, context.results) == ({}, {0: sha(0)})
    assert all(finish(parts, block) for block in reversed(blocks))
    layer = claimed(store)
    assert finish(parts, layer)
    assert finish(parts, other)
    last = claimed(store, "assembler")
    context = parts.context(last)
    assert context is not None
    assert context.results == {3: sha(3), 4: sha(4)}
    assert seen(store, job).status == "running"
    assert finish(parts, last)
    ended = seen(store, job)
    assert (ended.status, ended.progress.fraction, ended.progress.done) == ("succeeded", 1.0, 6)
    assert store.report_sha256("a", job) == sha(5)
    assert rows(any_database, job) == {}, "what has become the report is not kept"


def test_progress_counts_finished_parts_and_costs(store: Jobs, parts: Parts) -> None:
    job = split(store, parts, steps=plan([], [], [0, 1], cost=2.0))
    fractions = [seen(store, job).progress.fraction]
    for done in range(1, 4):
        assert finish(parts, claimed(store))
        progress = seen(store, job).progress
        assert (progress.done, progress.total) == (done, 3)
        assert progress.stage == (f"{done} of 3 parts" if done < 3 else "succeeded")
        fractions.append(progress.fraction)
    assert fractions == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_the_execution_names_everybody_who_took_part(store: Jobs, parts: Parts, any_database: Database) -> None:
    job = split(store, parts, steps=plan([], [], [0, 1]))
    lost = claimed(store, "lost")
    let_lease_run_out(any_database, lost.id)
    assert store.requeue_expired(3) == 1
    for worker, device in (("one", "cpu"), ("two", "cuda")):
        assert finish(parts, claimed(store, worker), device)
    assert seen(store, job).execution.device == "cpu+cuda"
    assert finish(parts, claimed(store, "one"), "cpu+cuda; tiles made smaller")
    execution = seen(store, job).execution
    assert execution.workers == ["planner", "lost", "one", "two"]
    assert execution.device == "cpu+cuda; tiles made smaller", "the report's own words"
    assert (execution.attempts, execution.parts) == (2, 3)


def test_a_lost_attempt_of_a_part_changes_nothing(store: Jobs, parts: Parts, any_database: Database) -> None:
    job = split(store, parts, steps=plan([], [0]))
    stale = claimed(store, "frozen")
    let_lease_run_out(any_database, stale.id)
    store.requeue_expired(3)
    holder = claimed(store, "other")
    before = rows(any_database, job), seen(store, job)
    assert not finish(parts, stale)
    assert not store.fail(stale, PROBLEM)
    assert not store.canceled(stale)
    store.release(stale, lost=True, max_attempts=1)
    assert (rows(any_database, job), seen(store, job)) == before
    assert finish(parts, holder)
    assert not finish(parts, holder), "twice is once"
    assert seen(store, job).progress.done == 1


@pytest.mark.parametrize("lost", [False, True])
def test_a_part_that_fails_ends_the_analysis_with_its_reason(
    store: Jobs, parts: Parts, any_database: Database, lost: bool
) -> None:
    job = split(store, parts)
    trees, other = claimed(store), claimed(store)
    assert finish(parts, trees)
    block = claimed(store)
    if lost:
        store.release(block, lost=True, max_attempts=1)
    else:
        assert store.fail(block, PROBLEM)
    ended = seen(store, job)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.finished_at is not None
    assert (ended.error.code, "layer 1" in ended.error.detail) == (
        ("worker_lost", True) if lost else ("non_finite", False)
    )
    assert states(any_database, job) == ["succeeded", "failed", "canceled", "canceled", "running", "canceled"]
    assert store.heartbeat(other, LEASE, None) == "cancel"
    assert not finish(parts, other)
    assert store.canceled(other)
    assert store.claim("w", LEASE, queues=["cpu"]) is None


def test_of_two_parts_that_fail_the_first_is_told(store: Jobs, parts: Parts) -> None:
    job = split(store, parts, steps=plan([], [], [0, 1]))
    first, second = claimed(store), claimed(store)
    assert store.fail(second, PROBLEM)
    assert not store.fail(first, Problem.of("internal_error", "another"))
    error = seen(store, job).error
    assert error is not None
    assert error.code == "non_finite"


def test_a_cancel_ends_a_split_analysis_at_once(store: Jobs, parts: Parts, any_database: Database) -> None:
    job = split(store, parts)
    running = claimed(store)
    canceled = store.request_cancel("a", job)
    assert canceled is not None
    assert canceled.status == "canceled"
    assert states(any_database, job) == ["running", *["canceled"] * 5]
    assert not finish(parts, running)
    store.release(running, lost=False, max_attempts=3)
    assert states(any_database, job) == ["canceled"] * 6
    assert store.delete("a", job)
    assert rows(any_database, job) == {}


def test_a_cancel_that_came_before_the_plan_wins(store: Jobs, parts: Parts, any_database: Database) -> None:
    job = submitted(store)
    claim = claimed(store)
    store.request_cancel("a", job)
    assert not parts.split(claim, PLAN, {})
    assert rows(any_database, job) == {}
    assert store.canceled(claim)


def test_a_plan_of_a_lost_attempt_is_not_made(store: Jobs, parts: Parts, any_database: Database) -> None:
    submitted(store)
    stale = claimed(store)
    let_lease_run_out(any_database, stale.id)
    store.requeue_expired(3)
    assert parts.split(claimed(store), PLAN, {})
    assert not parts.split(stale, PLAN, {})


def test_trying_again_computes_only_what_is_missing(store: Jobs, parts: Parts, any_database: Database) -> None:
    job = split(store, parts)
    for _ in range(2):
        assert finish(parts, claimed(store))  # the trees, and a block
    assert store.fail(claimed(store), PROBLEM)
    known = parts.known("a", [part.fingerprint for part in PLAN])
    assert known == {"f0": sha(0), "f1": sha(1)}
    assert parts.known("b", known) == {}, "of this tenant only"
    again = split(store, parts, **known)
    assert states(any_database, again) == ["succeeded", "succeeded", "queued", "waiting", "queued", "waiting"]
    assert seen(store, again).progress.done == 2
    assert store.delete("a", job)
    ran = []
    while (claim := store.claim("w", LEASE, queues=["cpu"])) is not None:
        ran.append(number(claim))
        assert finish(parts, claim)
    assert ran == [2, 3, 4, 5]
    assert seen(store, again).status == "succeeded"


def test_what_only_a_known_result_needed_is_left_out(store: Jobs, parts: Parts, any_database: Database) -> None:
    old = split(store, parts)
    with any_database.write() as connection:
        connection.execute(
            update(jobs).where(jobs.c.parent == old, jobs.c.number == 3).values(state="succeeded", report_sha256=sha(3))
        )
    again = split(store, parts, f3=sha(3))
    assert list(rows(any_database, again)) == [3, 4, 5]
    gone = split(store, parts, f4=sha("gone"))
    assert list(rows(any_database, gone)) == [0, 1, 2, 3, 4, 5], "a result whose row is gone may be gone, too"


def test_every_part_at_once_ends_the_analysis_once(store: Jobs, parts: Parts, any_database: Database) -> None:
    many = 12
    job = split(store, parts, steps=plan(*([] for _ in range(many)), list(range(many))))
    claims = [claimed(store, f"w{each}") for each in range(many)]
    assert all(at_once(many, lambda each: finish(parts, claims[each])))
    assert seen(store, job).progress.done == many
    last = at_once(many, lambda each: store.claim(f"w{each}", LEASE, queues=["cpu"]))
    (assembly,) = [claim for claim in last if claim is not None]
    assert sum(at_once(many, lambda _: finish(parts, assembly))) == 1
    assert seen(store, job).status == "succeeded"


def test_ends_that_come_together_leave_nothing_running(store: Jobs, parts: Parts, any_database: Database) -> None:
    """A cancel, a failure, losses, announcements and successes at once: no deadlock, and one end."""
    for _ in range(5):
        job = split(store, parts, steps=plan(*([] for _ in range(12)), list(range(12))))
        claims = [claimed(store, f"w{each}") for each in range(9)]
        for claim in claims[6:8]:
            let_lease_run_out(any_database, claim.id)
        works: list[Any] = [lambda claim=claim: finish(parts, claim) for claim in claims[:5]]
        works += [
            lambda: store.fail(claims[5], PROBLEM),  # noqa: B023 - called before the next turn
            lambda: store.requeue_expired(1),
            lambda: store.request_cancel("a", job),  # noqa: B023
            lambda: store.release(claims[8], lost=False, max_attempts=3),  # noqa: B023
            lambda: store.announced([f"{job}.{each:05d}" for each in range(12)]),  # noqa: B023
        ]
        at_once(len(works), lambda each: works[each]())  # noqa: B023
        assert seen(store, job).status in ("failed", "canceled")
        for row in rows(any_database, job).values():
            if row.state == "running":
                assert row.cancel_requested
                store.canceled(Claim(row.id, "a", "part", {}, row.attempt, 0, None, job))
        assert set(states(any_database, job)) <= {"succeeded", "failed", "canceled"}
