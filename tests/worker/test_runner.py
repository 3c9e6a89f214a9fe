"""A claimed job is brought to its end, whatever happens to the process that computes it."""

import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from contract.artifacts import Artifacts
from contract.blobs import Blobs
from contract.database import Database, clock
from contract.jobs import Claim, Jobs, NewJob
from contract.queue import INSPECTION_QUEUE
from contract.schemas import Analysis, AnalysisRequest, Inspection, Problem, Progress, Report
from contract.settings import Settings
from contract.tables import jobs
from tests.e2e.processes import is_gone
from tests.worker import files
from tests.worker.jobs import next_claim, runner_of, work_off
from worker.messages import Event, InspectionEvent, ProblemEvent, ProgressEvent, ReportEvent, Work
from worker.runner import Runner

TENANT = "a"
SHA = "ab" * 32


@pytest.fixture
def store(database: Database) -> Jobs:
    return Jobs(database)


@pytest.fixture
def runner(settings: Settings, database: Database) -> Iterator[Runner]:
    with runner_of(settings, database) as made:
        yield made


def submitted(store: Jobs, sha256: str = SHA, **options: Any) -> str:
    options.setdefault("tests", {"n_resamples": 99})
    request = AnalysisRequest.model_validate({"inputs": [{"artifact": f"sha256:{sha256}"}], **options})
    job = NewJob(TENANT, "analysis", request.model_dump(mode="json"), "cpu", "f", inputs=[sha256])
    return store.submit(job, max_unfinished=10)[0].id


def stored_file(settings: Settings, content: bytes, sha256: str = SHA) -> None:
    path = settings.data_dir / Blobs(settings.data_dir).artifact(TENANT, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def good_file() -> bytes:
    return files.archive({f"{n}.npy": files.npy(a) for n, a in files.study_arrays(n_per_class=8).items()})


@pytest.fixture
def blocked(settings: Settings, store: Jobs) -> str:
    """An analysis whose file is a pipe that nobody writes to: its computation never gets anywhere."""
    path = settings.data_dir / Blobs(settings.data_dir).artifact(TENANT, SHA)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    return submitted(store)


def claimed(settings: Settings, database: Database) -> Claim:
    claim = next_claim(settings, database)
    assert claim is not None
    return claim


def seen(store: Jobs, job_id: str) -> Analysis:
    analysis = store.get(TENANT, job_id)
    assert analysis is not None
    return analysis


def child_pid(runner: Runner) -> int:
    assert runner._child is not None
    return runner._child._process.pid


class TestRealChild:
    def test_two_jobs_one_after_the_other(self, settings: Settings, database: Database, store: Jobs) -> None:
        stored_file(settings, good_file())
        ids = [submitted(store), submitted(store, seed=1)]
        assert work_off(settings, database) == 2
        for job_id in ids:
            analysis = seen(store, job_id)
            assert (analysis.status, analysis.execution.device, analysis.progress.fraction) == ("succeeded", "cpu", 1.0)
            sha256 = store.report_sha256(TENANT, job_id)
            assert sha256 is not None
            report = Report.model_validate_json(
                (settings.data_dir / Blobs(settings.data_dir).report(sha256)).read_bytes()
            )
            assert report.layers == ["0.Input", "1.Conv", "2.Softmax"]
        assert list((settings.data_dir / "tmp").iterdir()) == []

    def test_inspections(self, settings: Settings, database: Database, store: Jobs) -> None:
        artifacts = Artifacts(database)
        for sha256, content in ((SHA, good_file()), ("cd" * 32, b"PK\x03\x04 no archive")):
            stored_file(settings, content, sha256)
            artifacts.add(TENANT, sha256, len(content), "npz")
            job = NewJob(TENANT, "inspection", {"sha256": sha256}, INSPECTION_QUEUE, sha256, inputs=[sha256])
            store.submit(job, max_unfinished=10)
        assert work_off(settings, database) == 2
        good, bad = artifacts.get(TENANT, SHA), artifacts.get(TENANT, "cd" * 32)
        assert good is not None
        assert good.inspection is not None
        assert good.inspection.rows == 24
        assert bad is not None
        assert bad.error is not None
        assert bad.error.code == "corrupt_archive"

    def test_bad_data_fail_the_job_and_not_the_child(
        self, settings: Settings, database: Database, store: Jobs, runner: Runner
    ) -> None:
        stored_file(settings, b"PK\x03\x04 no archive")
        job_id = submitted(store)
        runner.run(claimed(settings, database))
        pid = child_pid(runner)
        analysis = seen(store, job_id)
        assert analysis.status == "failed"
        assert analysis.error is not None
        assert analysis.error.code == "corrupt_archive"
        gone = submitted(store, "ef" * 32)
        runner.run(claimed(settings, database))
        error = seen(store, gone).error
        assert error is not None
        assert error.code == "artifact_not_found"
        assert child_pid(runner) == pid

    def test_cancel_ends_the_computation(
        self, settings: Settings, database: Database, store: Jobs, runner: Runner, blocked: str
    ) -> None:
        claim = claimed(settings, database)
        runner.prepare()
        pid = child_pid(runner)
        store.request_cancel(TENANT, blocked)
        runner.run(claim)
        assert seen(store, blocked).status == "canceled"
        assert is_gone(pid)

    def test_the_deadline_ends_it(self, settings: Settings, database: Database, store: Jobs, blocked: str) -> None:
        hurried = settings.model_copy(update={"deadline_seconds": 0.01})
        with runner_of(hurried, database) as runner:
            runner.prepare()
            pid = child_pid(runner)
            runner.run(claimed(settings, database))
        error = seen(store, blocked).error
        assert error is not None
        assert error.code == "deadline_exceeded"
        assert is_gone(pid)

    def test_a_graceful_stop_gives_the_job_back(
        self, settings: Settings, database: Database, store: Jobs, runner: Runner, blocked: str
    ) -> None:
        claim = claimed(settings, database)
        runner.prepare()
        pid = child_pid(runner)
        runner.run(claim, lambda: True)
        assert seen(store, blocked).status == "queued"
        assert is_gone(pid)
        assert claimed(settings, database).losses == 0

    def test_a_lost_lease_ends_it_and_changes_nothing(
        self, settings: Settings, database: Database, store: Jobs, runner: Runner, blocked: str
    ) -> None:
        claim = claimed(settings, database)
        with database.write() as connection:
            connection.execute(update(jobs).values(lease_until=clock() - 1))
        store.requeue_expired(3)
        again = claimed(settings, database)
        runner.prepare()
        pid = child_pid(runner)
        runner.run(claim)
        assert is_gone(pid)
        assert (seen(store, blocked).status, again.attempt) == ("running", 2)

    def test_a_job_that_kills_its_process_is_tried_again_and_then_failed(
        self, settings: Settings, database: Database, store: Jobs, runner: Runner, blocked: str
    ) -> None:
        pids = set()

        def kill_the_child() -> bool:
            pids.add(child_pid(runner))
            os.killpg(child_pid(runner), signal.SIGKILL)
            return False

        for attempt in range(1, settings.max_attempts + 1):
            assert seen(store, blocked).status == "queued"
            claim = claimed(settings, database)
            assert claim.attempt == attempt
            runner.run(claim, kill_the_child)
        analysis = seen(store, blocked)
        assert analysis.status == "failed"
        assert analysis.error is not None
        assert analysis.error.code == "worker_lost"
        assert len(pids) == settings.max_attempts, "every attempt has a process of its own"
        stored_file(settings, good_file(), "cd" * 32)
        healthy = submitted(store, "cd" * 32)
        runner.run(claimed(settings, database))
        assert seen(store, healthy).status == "succeeded"

    def test_a_child_that_died_idle_is_replaced(
        self, settings: Settings, database: Database, store: Jobs, runner: Runner
    ) -> None:
        runner.prepare()
        os.kill(child_pid(runner), signal.SIGKILL)
        assert runner._child is not None
        runner._child._process.wait(60)
        stored_file(settings, good_file())
        job_id = submitted(store)
        runner.run(claimed(settings, database))
        assert seen(store, job_id).status == "succeeded"
        assert seen(store, job_id).execution.attempts == 1


@pytest.fixture
def larger_than_allowed(settings: Settings, tmp_path: Path) -> Settings:
    """Settings under which a stored file is more than a job may load: 768 MiB that pack into one."""
    arrays: dict[str, Any] = files.study_arrays(n_per_class=8) | {"1.Conv": np.zeros((24, 2**22), np.float64)}
    np.savez_compressed(tmp_path / "large.npz", **arrays)
    stored_file(settings, (tmp_path / "large.npz").read_bytes())
    return settings.model_copy(update={"job_memory_bytes": 600 * 2**20, "worker_memory_bytes": 2**26})


def test_what_needs_more_memory_than_a_job_may_use_is_refused_before_it_is_loaded(
    larger_than_allowed: Settings, database: Database, store: Jobs
) -> None:
    large = submitted(store)
    assert work_off(larger_than_allowed, database) == 1
    error = seen(store, large).error
    assert error is not None
    assert error.code == "job_too_large"
    assert "GiB of memory, and a job may use 0.6 GiB" in error.detail


def test_a_child_allocates_no_more_than_its_limit(
    larger_than_allowed: Settings, database: Database, store: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.learning.job_memory", lambda _: 2**60)  # an estimate that is far too low
    stored_file(larger_than_allowed, good_file(), "cd" * 32)
    large, small = submitted(store), submitted(store, "cd" * 32)
    assert work_off(larger_than_allowed, database) == 2
    error = seen(store, large).error
    assert error is not None
    assert error.code == "out_of_memory"
    assert seen(store, small).status == "succeeded"


Step = Event | None | type[queue.Empty] | Callable[[], object]


class ScriptedChild:
    """A child that says what a test wants, when it wants it."""

    alive = True

    def __init__(self, *script: Step) -> None:
        self._script = list(script)
        self.work: Work | None = None
        self.killed = False

    def send(self, work: Work) -> None:
        self.work = work

    def next_event(self, timeout: float) -> Event | None:
        assert timeout > 0
        step = self._script.pop(0) if self._script else queue.Empty
        while callable(step) and not isinstance(step, type):
            step()
            step = self._script.pop(0)
        if isinstance(step, type):
            time.sleep(0.3)  # until the next heartbeat is due
            raise queue.Empty
        if isinstance(step, ReportEvent):
            assert self.work is not None
            (Path(self.work.blobs) / "tmp" / step.file).write_bytes(b"report")
        return step

    def kill(self) -> int:
        self.killed = True
        return -9


def progress_event(done: int) -> ProgressEvent:
    return ProgressEvent(progress=Progress(stage=f"layer {done}", done=done, total=4, fraction=done / 4))


DONE = ReportEvent(sha256="12" * 32, device="cpu", file="12" * 16)


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
