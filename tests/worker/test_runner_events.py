"""What the computing process says, when it says it, and what becomes of the job."""

import queue
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from contract.artifacts import Artifacts
from contract.blobs import Blobs
from contract.database import Database, clock
from contract.jobs import Jobs, NewJob
from contract.schemas import Inspection, Problem
from contract.settings import Settings
from contract.tables import jobs
from tests.worker.jobs import (
    SHA,
    TENANT,
    claimed,
    seen,
    submitted,
)
from tests.worker.scripted import DONE, ScriptedChild, Step, progress_event
from worker.messages import Event, InspectionEvent, ProblemEvent
from worker.runner import Runner


@pytest.fixture
def store(database: Database) -> Jobs:
    return Jobs(database)


class TestScript:
    @pytest.fixture
    def job(self, store: Jobs) -> str:
        return submitted(store)

    def run(self, settings: Settings, database: Database, child: ScriptedChild) -> None:
        runner = Runner(settings, database)
        runner._child = child  # type: ignore[assignment]  # has the methods that are used
        runner.run(claimed(settings, database))

    def test_progress_is_relayed_as_it_comes(
        self, settings: Settings, database: Database, store: Jobs, job: str
    ) -> None:
        shown: list[tuple[str, float]] = []

        def look() -> None:
            progress = seen(store, job).progress
            shown.append((progress.stage, progress.fraction))

        script: list[Step] = []
        for done in (1, 2, 3):
            script += [progress_event(done), queue.Empty, queue.Empty, look]
        self.run(settings, database, ScriptedChild(*script, DONE))
        assert shown == [("layer 1", 0.25), ("layer 2", 0.5), ("layer 3", 0.75)]
        assert seen(store, job).status == "succeeded"
        assert store.report_sha256(TENANT, job) == "12" * 32

    @pytest.mark.usefixtures("job")
    def test_many_events_are_few_writes(
        self, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        beats: list[object] = []
        beat = Jobs.heartbeat

        def counted(*arguments: Any) -> str:
            beats.append(arguments)
            return beat(*arguments)

        monkeypatch.setattr(Jobs, "heartbeat", counted)
        self.run(settings, database, ScriptedChild(*[progress_event(1)] * 2000, DONE))
        assert len(beats) < 200

    def test_a_cancel_in_the_last_moment_wins(
        self, settings: Settings, database: Database, store: Jobs, job: str
    ) -> None:
        self.run(settings, database, ScriptedChild(lambda: store.request_cancel(TENANT, job), DONE))
        assert seen(store, job).status == "canceled"
        assert store.report_sha256(TENANT, job) is None

    def test_a_cancel_beats_a_failure_too(self, settings: Settings, database: Database, store: Jobs, job: str) -> None:
        problem = ProblemEvent(problem=Problem.of("non_finite", "…"))
        self.run(settings, database, ScriptedChild(lambda: store.request_cancel(TENANT, job), problem))
        assert seen(store, job).status == "canceled"

    def test_a_child_without_memory_is_replaced(
        self, settings: Settings, database: Database, store: Jobs, job: str
    ) -> None:
        child = ScriptedChild(ProblemEvent(problem=Problem.of("out_of_memory", "analyse fewer rows")))
        self.run(settings, database, child)
        assert child.killed
        assert seen(store, job).status == "failed"

    def test_a_result_that_comes_after_the_lease_was_lost_is_dropped(
        self, settings: Settings, database: Database, store: Jobs, job: str
    ) -> None:
        def lose() -> None:
            with database.write() as connection:
                connection.execute(update(jobs).values(lease_until=clock() - 1))
            store.requeue_expired(3)

        self.run(settings, database, ScriptedChild(lose, DONE))
        assert seen(store, job).status == "queued"
        assert store.report_sha256(TENANT, job) is None

    def test_death_is_a_loss(self, settings: Settings, database: Database, store: Jobs, job: str) -> None:
        child = ScriptedChild(progress_event(1), None)
        self.run(settings, database, child)
        assert child.killed, "what it started must end too"
        assert seen(store, job).status == "queued"
        with database.read() as connection:
            assert connection.execute(select(jobs.c.losses)).scalar_one() == 1

    def test_a_problem_fails_the_job(self, settings: Settings, database: Database, store: Jobs, job: str) -> None:
        problem = Problem.of("out_of_memory", "analyse fewer rows")
        self.run(settings, database, ScriptedChild(ProblemEvent(problem=problem)))
        assert (seen(store, job).status, seen(store, job).error) == ("failed", problem)

    def test_a_database_that_is_away_for_a_moment_costs_nothing(
        self, settings: Settings, database: Database, store: Jobs, job: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        away = {"heartbeat": 1, "succeed": 3}
        for name in away:
            method = getattr(Jobs, name)

            def flaky(*arguments: Any, _name: str = name, _method: Any = method, **named: Any) -> Any:
                if away[_name]:
                    away[_name] -= 1
                    raise OperationalError("statement", {}, Exception("the server went away"))
                return _method(*arguments, **named)

            monkeypatch.setattr(Jobs, name, flaky)
        monkeypatch.setattr("worker.runner.time.sleep", lambda _: None)
        self.run(settings, database, ScriptedChild(progress_event(1), progress_event(2), DONE))
        assert away == {"heartbeat": 0, "succeed": 0}
        assert seen(store, job).status == "succeeded"

    @pytest.mark.usefixtures("job")
    def test_the_child_is_told_paths_and_bounds_and_nothing_else(self, settings: Settings, database: Database) -> None:
        child = ScriptedChild(DONE)
        self.run(settings, database, child)
        assert child.work is not None
        assert child.work.inputs == {
            f"sha256:{SHA}": str(settings.data_dir / Blobs(settings.data_dir).artifact(TENANT, SHA))
        }
        assert child.work.n_threads == settings.worker_threads
        assert child.work.max_unpacked_bytes == settings.max_unpacked_bytes

    def test_a_problem_of_an_inspection_is_kept_with_the_file(
        self, settings: Settings, database: Database, store: Jobs
    ) -> None:
        artifacts = Artifacts(database)
        inspection = Inspection(rows=4, classes={"a": 2, "b": 2}, layers=[])
        problem = Problem.of("labels_missing", "add labels")
        events: tuple[Event, Event] = (InspectionEvent(inspection=inspection), ProblemEvent(problem=problem))
        for sha256, event in zip(("cd" * 32, "ef" * 32), events, strict=True):
            artifacts.add(TENANT, sha256, 1, "npz")
            store.submit(NewJob(TENANT, "inspection", {"sha256": sha256}, "inspect", sha256), max_unfinished=1)
            self.run(settings, database, ScriptedChild(event))
        good, bad = artifacts.get(TENANT, "cd" * 32), artifacts.get(TENANT, "ef" * 32)
        assert good is not None
        assert bad is not None
        assert (good.inspection, bad.error) == (inspection, problem)
        with database.read() as connection:
            assert list(connection.execute(select(jobs.c.state)).scalars()) == ["succeeded"] * 2

    def test_an_error_of_our_own_does_not_condemn_the_file(
        self, settings: Settings, database: Database, store: Jobs
    ) -> None:
        artifacts, sha256 = Artifacts(database), "ab" * 32
        artifacts.add(TENANT, sha256, 1, "npz")
        store.submit(NewJob(TENANT, "inspection", {"sha256": sha256}, "inspect", sha256), max_unfinished=1)
        self.run(settings, database, ScriptedChild(ProblemEvent(problem=Problem.of("internal_error", "see the log"))))
        found = artifacts.get(TENANT, sha256)
        assert found is not None
        assert (found.status, found.error) == ("pending", None)
        with database.read() as connection:
            assert connection.execute(select(jobs.c.state)).scalar_one() == "failed"
