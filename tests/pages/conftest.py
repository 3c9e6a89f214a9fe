"""A service with a history: analyses of every kind of end, hostile names among them, and a tenant without anything."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from playwright.sync_api import Browser

from contract.settings import Settings
from tests.interlayer.render.sample import HOSTILE_NAMES, sample_report
from tests.pages.browser import Visitor, launched, visiting
from tests.service.running import Caller, Service, serving
from tests.worker import files
from tests.worker.jobs import work_off


@dataclass
class Lab:
    """A tenant with a history."""

    service: Service
    caller: Caller
    succeeded: str
    other: str
    hostile: str
    failed: str
    canceled: str
    queued: str
    sent: str

    @property
    def url(self) -> str:
        """Where the service is."""
        return self.service.url


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("lab"), free_disk_reserve_bytes=0, worker_threads=1, max_artifact_bytes=10**8
    )
    with serving(settings) as service:
        caller = service.caller("lab")
        train, validation = caller.upload(1), caller.upload(2)
        both = [{"artifact": train}, {"artifact": validation, "split": "validation"}]
        quick = {"n_resamples": 99}
        succeeded = caller.post({"inputs": both, "tests": quick, "tags": {"study": "first"}}).json()["id"]
        other = caller.post({"inputs": both[:1], "tests": quick}).json()["id"]
        hostile_file = caller.put(_hostile_file()).json()["id"]
        tags = {HOSTILE_NAMES[0]: HOSTILE_NAMES[1]}
        hostile = caller.post({"inputs": [{"artifact": hostile_file}], "tests": quick, "tags": tags}).json()["id"]
        failed = caller.submit(train, components={"blocks": ["0.Input", "9.Nothing"]})
        canceled = caller.submit(train)
        caller.http.post(f"/v1/analyses/{canceled}/cancel").raise_for_status()
        work_off(service.settings, service.stores.database)
        sent = _send(caller)
        queued = caller.submit(train)
        yield Lab(service, caller, succeeded, other, hostile, failed, canceled, queued, sent)


def _send(caller: Caller) -> str:
    """Send a report that was made elsewhere, and let a baseline name it."""
    content = sample_report(n_layers=3, classes=HOSTILE_NAMES).model_dump_json(by_alias=True)
    answer = caller.http.post("/v1/reports", content=content, headers={"Content-Type": "application/json"})
    report = str(answer.raise_for_status().json()["id"])
    body = {"report": report, "note": HOSTILE_NAMES[0]}
    caller.http.put("/v1/baselines/main", json=body, headers={"If-None-Match": "*"}).raise_for_status()
    return report


def _hostile_file() -> bytes:
    """A file whose layers and classes are named to hurt a reader."""
    arrays = files.study_arrays(3, n_per_class=12)
    labels = arrays.pop("labels")
    names = np.array(HOSTILE_NAMES)
    known, codes = np.unique(labels, return_inverse=True)
    assert len(known) <= len(names)
    renamed = {f"{index}": array for index, array in enumerate(arrays.values())}
    content = {f"{name}.npy": files.npy(array) for name, array in renamed.items()}
    return files.archive({"labels.npy": files.npy(names[codes]), **content})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file of tests: while it runs, its event loop does, too."""
    with launched() as running:
        yield running


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Somebody who has not signed in; at the end, nothing may have been complained about."""
    with visiting(browser) as window:
        yield window
        assert window.complaints == []
