"""A claimed job is brought to its end, whatever happens to the process that computes it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from contract.artifacts import Artifacts
from contract.blobs import Blobs
from contract.database import Database, clock
from contract.jobs import Jobs, NewJob
from contract.queue import INSPECTION_QUEUE
from contract.schemas import Report
from contract.settings import Settings
from contract.tables import jobs
from tests.e2e.processes import is_gone
from tests.worker import files
from tests.worker.jobs import (
    SHA,
    TENANT,
    claimed,
    good_file,
    runner_of,
    seen,
    stored_file,
    submitted,
    work_off,
)
from worker.runner import Runner


@pytest.fixture
def store(database: Database) -> Jobs:
    return Jobs(database)


@pytest.fixture
def runner(settings: Settings, database: Database) -> Iterator[Runner]:
    with runner_of(settings, database) as made:
        yield made


@pytest.fixture
def blocked(settings: Settings, store: Jobs) -> str:
    """An analysis whose file is a pipe that nobody writes to: its computation never gets anywhere."""
    path = settings.data_dir / Blobs(settings.data_dir).artifact(TENANT, SHA)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    return submitted(store)


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
