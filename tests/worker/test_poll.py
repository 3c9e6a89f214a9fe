"""The polling worker: it works off its queues, sits out a database that is away, and never lives on half dead."""

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from contract.database import Database, clock
from contract.jobs import Claim, Jobs, NewJob
from contract.settings import Settings
from contract.tables import jobs
from worker import poll
from worker.presence import Presence
from worker.runner import Runner


def submitted(database: Database, queue: str) -> str:
    return Jobs(database).submit(NewJob("a", "analysis", {}, queue, "f"), max_unfinished=99)[0].id


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def ran(database: Database, stop: threading.Event, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs run at once and to success; the third stops the lane."""
    ids: list[str] = []

    def run(_: Runner, claim: Claim, _stopping: object) -> None:
        ids.append(claim.id)
        Jobs(database).succeed(claim, report_sha256=None, device=None)
        if len(ids) == 3:
            stop.set()

    monkeypatch.setattr(Runner, "run", run)
    monkeypatch.setattr(Runner, "prepare", lambda _: None)
    return ids


def test_a_lane_runs_the_jobs_of_its_queues(
    settings: Settings, database: Database, stop: threading.Event, ran: list[str]
) -> None:
    wanted = [submitted(database, queue) for queue in ("cpu", "gpu", "cpu")]
    other = submitted(database, "inspect")
    poll.serve_lane(settings, database, ("cpu", "gpu"), False, stop)
    assert ran == wanted
    found = Jobs(database).get("a", other)
    assert found is not None
    assert found.status == "queued"


@pytest.mark.parametrize("where", ["claim", "run"])
def test_a_lane_outlives_a_database_that_is_away(
    settings: Settings,
    database: Database,
    stop: threading.Event,
    ran: list[str],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    for _ in range(4):
        submitted(database, "cpu")
    owner: Any = Jobs if where == "claim" else Runner
    method, failures = getattr(owner, where), [True]

    def flaky(*arguments: Any, **named: Any) -> Any:
        if failures:
            failures.pop()
            raise OperationalError("statement", {}, Exception("the server went away"))
        return method(*arguments, **named)

    monkeypatch.setattr(owner, where, flaky)
    monkeypatch.setattr(stop, "wait", lambda _: stop.is_set())
    poll.serve_lane(settings, database, ("cpu",), False, stop)
    assert len(ran) == 3


def test_the_reconciler_requeues_and_outlives_a_database_that_is_away(
    settings: Settings, database: Database, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(database, "cpu")
    Jobs(database).claim("w", 60, queues=["cpu"])
    with database.write() as connection:
        connection.execute(update(jobs).values(lease_until=clock() - 1))
    requeue, calls = Jobs.requeue_expired, []

    def flaky(*arguments: Any) -> int:
        calls.append(arguments)
        if len(calls) == 1:
            raise OperationalError("statement", {}, Exception("the server went away"))
        stop.set()
        return requeue(*arguments)

    monkeypatch.setattr(Jobs, "requeue_expired", flaky)
    monkeypatch.setattr(poll, "RECONCILE_SECONDS", 0.001)
    poll.reconcile(settings, database, Presence(database, "worker"), stop)
    with database.read() as connection:
        assert connection.execute(select(jobs.c.state)).scalar_one() == "queued"


@pytest.mark.parametrize(("fails", "status"), [(True, 1), (False, 0)])
def test_a_lane_that_fails_ends_the_whole_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool, status: int
) -> None:
    stop = threading.Event()

    def lane(*_: Any) -> None:
        if fails:
            raise RuntimeError("something nobody thought of")
        stop.set()

    monkeypatch.setenv("INTERLAYER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(poll, "configure_logs", lambda: None)
    monkeypatch.setattr(poll, "stop_on_signals", lambda: stop)
    monkeypatch.setattr(poll, "serve_lane", lane)
    with pytest.raises(SystemExit) as caught:
        poll.main()
    assert caught.value.code == status
