"""A worker whose files lie in a bucket: it waits for the store as long as its job may, and never longer."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from contract.artifacts import Artifacts
from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Jobs, NewJob
from contract.schemas import Analysis, AnalysisRequest, Report
from contract.settings import Settings
from contract.tables import jobs
from tests.e2e.processes import until
from tests.faulty_proxy import FaultyProxy
from tests.seaweed import SECRET_KEY
from tests.service.running import npz_bytes
from tests.worker.jobs import next_claim, runner_of
from worker.inputs import cache_of
from worker.runner import Runner

TENANT = "a"


class Stand:
    """An installation with its files in a bucket, and one worker."""

    def __init__(self, settings: Settings, database: Database, runner: Runner, faulty: FaultyProxy) -> None:
        self.settings, self.database, self.runner, self.faulty = settings, database, runner, faulty
        self.blobs, self.jobs = Blobs.open(settings), Jobs(database)

    def upload(self, content: bytes) -> str:
        with self.blobs.writer() as writer:
            writer.write(content)
            sha256 = writer.sha256()
            writer.keep(self.blobs.artifact(TENANT, sha256))
        Artifacts(self.database).add(TENANT, sha256, len(content), "npz")
        return sha256

    def submit(self, sha256: str) -> str:
        request = AnalysisRequest.model_validate(
            {"inputs": [{"artifact": f"sha256:{sha256}"}], "tests": {"n_resamples": 99}}
        )
        job = NewJob(TENANT, "analysis", request.model_dump(mode="json"), "cpu", "f", inputs=[sha256])
        return self.jobs.submit(job, max_unfinished=10)[0].id

    def work(self, stopping: Callable[[], bool] = lambda: False) -> None:
        claim = next_claim(self.settings, self.database)
        assert claim is not None
        self.runner.run(claim, stopping)

    def seen(self, job_id: str) -> Analysis:
        found = self.jobs.get(TENANT, job_id)
        assert found is not None
        return found

    def stage(self, job_id: str) -> str:
        return self.seen(job_id).progress.stage

    def report(self, job_id: str) -> Report:
        sha256 = self.jobs.report_sha256(TENANT, job_id)
        assert sha256 is not None
        return Report.model_validate_json(self.blobs.read(self.blobs.report(sha256)))

    def cached(self) -> list[str]:
        return [path.name for path in (self.settings.data_dir / "cache").rglob("*") if path.is_file()]


@pytest.fixture
def stand(settings: Settings, faulty: FaultyProxy, bucket_url: str) -> Iterator[Stand]:
    settings = settings.model_copy(update={"blobs_url": bucket_url, "lease_seconds": 2.0})
    database = Database(settings)
    database.upgrade()
    with runner_of(settings, database) as runner:
        yield Stand(settings, database, runner, faulty)
    faulty.heal()
    database.close()


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_inputs_are_fetched_once_and_reports_are_stored(stand: Stand) -> None:
    sha256 = stand.upload(npz_bytes())
    first, second = stand.submit(sha256), stand.submit(sha256)
    for _ in range(2):
        stand.work()
    assert stand.report(first).separations == stand.report(second).separations
    gets = [each for each in stand.faulty.seen if each.method == "GET" and sha256 in each.path]
    assert len(gets) == 1
    assert stand.cached() == [sha256]
    assert list(stand.blobs.temporary.iterdir()) == []


def test_the_computing_process_knows_no_secret(stand: Stand) -> None:
    stand.runner.prepare()
    assert stand.runner._child is not None
    environment = Path(f"/proc/{stand.runner._child._process.pid}/environ").read_bytes()
    assert SECRET_KEY.encode() in os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    assert b"AWS_" not in environment
    assert SECRET_KEY.encode() not in environment


def test_a_store_that_is_away_is_waited_for_before_and_after_the_work(stand: Stand) -> None:
    job = stand.submit(stand.upload(npz_bytes()))
    stand.faulty.always("refuse", "GET")
    working = in_thread(stand.work)
    until(lambda: stand.stage(job) == "waiting for the store of files", "the fetch to wait")
    stand.faulty.always("refuse", "PUT")
    until(lambda: any(each.method == "PUT" and each.fault for each in stand.faulty.seen), "the report to be refused")
    until(lambda: stand.stage(job) == "waiting for the store of files", "the report to wait")
    assert stand.seen(job).status == "running", "the lease is renewed all the while"
    stand.faulty.heal()
    working.join(120)
    found = stand.seen(job)
    assert (found.status, found.execution.attempts) == ("succeeded", 1)
    assert stand.report(job).layers


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_cancel_ends_the_wait(stand: Stand, method: str) -> None:
    job = stand.submit(stand.upload(npz_bytes()))
    stand.faulty.always("refuse", method)
    working = in_thread(stand.work)
    until(lambda: stand.stage(job) == "waiting for the store of files", "the wait")
    stand.jobs.request_cancel(TENANT, job)
    working.join(120)
    assert stand.seen(job).status == "canceled"


def test_a_worker_that_stops_gives_the_job_back(stand: Stand) -> None:
    job = stand.submit(stand.upload(npz_bytes()))
    stand.faulty.always("refuse", "GET")
    stop = threading.Event()
    working = in_thread(lambda: stand.work(stop.is_set))
    until(lambda: stand.stage(job) == "waiting for the store of files", "the wait")
    stop.set()
    working.join(120)
    assert stand.seen(job).status == "queued"


def test_the_deadline_ends_the_wait(stand: Stand) -> None:
    job = stand.submit(stand.upload(npz_bytes()))
    stand.faulty.always("refuse", "GET")
    short = stand.settings.model_copy(update={"deadline_seconds": 2.0})
    with runner_of(short, stand.database) as runner:
        stand.runner = runner
        stand.work()
    error = stand.seen(job).error
    assert error is not None
    assert error.code == "deadline_exceeded"


def test_other_bytes_than_were_uploaded_are_never_analysed(stand: Stand) -> None:
    job = stand.submit(stand.upload(npz_bytes()))
    stand.faulty.always("corrupt", "GET")
    stand.work()
    error = stand.seen(job).error
    assert error is not None
    assert (error.code, "has damaged" in error.detail) == ("internal_error", True)
    assert stand.cached() == []


def test_a_file_that_the_store_has_lost_says_what_to_do(stand: Stand) -> None:
    sha256 = stand.upload(npz_bytes())
    job = stand.submit(sha256)
    stand.blobs.store.delete(stand.blobs.artifact(TENANT, sha256))
    stand.work()
    error = stand.seen(job).error
    assert error is not None
    assert error.detail == f"the store has lost sha256:{sha256}; upload it again"


def test_an_inspection_that_the_store_prevents_does_not_condemn_the_file(stand: Stand) -> None:
    sha256 = stand.upload(npz_bytes())
    inspection = NewJob(TENANT, "inspection", {"sha256": sha256}, "inspect", sha256, inputs=[sha256])
    stand.jobs.submit(inspection, max_unfinished=10)
    stand.faulty.always("corrupt", "GET")
    stand.work()
    found = Artifacts(stand.database).get(TENANT, sha256)
    assert found is not None
    assert found.status == "pending"
    with stand.database.read() as connection:
        assert connection.execute(select(jobs.c.state)).scalar_one() == "failed"


def test_copies_of_deleted_artifacts_go(stand: Stand) -> None:
    from worker.host import keep_house

    sha256 = stand.upload(npz_bytes())
    stand.submit(sha256)
    stand.work()
    assert stand.cached() == [hashlib.sha256(npz_bytes()).hexdigest()]
    stop = threading.Event()
    quick = stand.settings.model_copy(update={"sweep_seconds": 0.05})
    sweeping = in_thread(lambda: keep_house(quick, stand.database, stop))
    try:
        assert cache_of(stand.settings, stand.blobs).forget(lambda *_: True) == 0
        Artifacts(stand.database).delete(TENANT, sha256)
        until(lambda: stand.cached() == [], "the copy to go")
    finally:
        stop.set()
        sweeping.join(60)


def test_parts_on_hosts_that_share_the_bucket_alone_make_the_report_of_one(stand: Stand, tmp_path: Path) -> None:
    sha256 = stand.upload(npz_bytes())
    whole = stand.submit(sha256)
    stand.work()
    divided = stand.submit(sha256)
    hosts = [
        stand.settings.model_copy(update={"data_dir": tmp_path / f"host {number}", "part_seconds": 1e-3})
        for number in range(2)
    ]
    database = {"database_url": SecretStr(stand.settings.sqlalchemy_url())}
    hosts = [host.model_copy(update=database) for host in hosts]
    turn = 0
    while (claim := next_claim(stand.settings, stand.database)) is not None:
        with runner_of(hosts[turn % 2], stand.database) as runner:
            runner.run(claim)
        turn += 1
    assert turn > 4, "it was divided"
    assert len(list(stand.blobs.store.files("parts"))) > 1
    assert stand.report(divided).separations == stand.report(whole).separations
    first, second = (stand.jobs.report_sha256(TENANT, job) for job in (whole, divided))
    assert first == second, "the same bytes"
    for host in hosts:
        assert [path.name for path in (host.data_dir / "cache").rglob("*") if path.is_file()] == [sha256]
        assert list((host.data_dir / "tmp").iterdir()) == []
