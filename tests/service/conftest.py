"""One service for all tests here; every test is a tenant of its own."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from contract.settings import Settings
from tests.service.running import Caller, Service, serving
from tests.worker.jobs import work_off

MAX_ARTIFACT_BYTES = 500_000
MAX_UNFINISHED = 5


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on SQLite with tight limits, and no worker."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("service"),
        max_artifact_bytes=MAX_ARTIFACT_BYTES,
        max_unfinished_jobs=MAX_UNFINISHED,
        max_unpacked_bytes=10_000_000,
        free_disk_reserve_bytes=0,
        worker_threads=1,
        max_failures_per_minute=10**6,
    )
    with serving(settings) as running:
        yield running


@pytest.fixture
def caller(service: Service) -> Caller:
    """A tenant with a key of every scope."""
    return service.caller()


@dataclass
class History:
    """A tenant with an analysis of every kind of end."""

    caller: Caller
    artifact: str
    bad_artifact: str
    succeeded: str
    failed: str
    canceled: str
    queued: str


@pytest.fixture(scope="session")
def history(service: Service) -> History:
    """Analyses that a real worker has brought to their ends."""
    caller = service.caller("history")
    artifact = caller.upload(1)
    request = {"inputs": [{"artifact": artifact}], "tests": {"n_resamples": 99}, "tags": {"<b>": "=1+1"}}
    succeeded = caller.post(request).json()["id"]
    unknown = {"components": {"blocks": ["0.Input", "9.Nothing"]}}
    failed = caller.submit(artifact, **unknown)
    canceled = caller.submit(artifact)
    caller.http.post(f"/v1/analyses/{canceled}/cancel").raise_for_status()
    from tests.worker import files

    content = files.archive({"labels.npy": files.npy(files.classes_apart()[1])})
    bad_artifact = caller.put(content).json()["id"]
    work_off(service.settings, service.stores.database)
    queued = caller.submit(artifact)
    return History(caller, artifact, bad_artifact, succeeded, failed, canceled, queued)


@pytest.fixture(scope="session")
def report(history: History) -> bytes:
    """The bytes of a report as an analysis made it."""
    return history.caller.http.get(f"/v1/analyses/{history.succeeded}/report").content
