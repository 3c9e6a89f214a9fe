"""What has expired, over HTTP: announced before, 410 after, and nothing of it to strangers."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from contract.queue import INSPECTION_QUEUE
from contract.retention import Retention
from contract.settings import Settings
from contract.tables import artifacts, jobs, reports
from tests.interlayer.render.sample import sample_report
from tests.service.running import Service, npz_bytes, serving

HOUR = 3600.0


@pytest.fixture(scope="module")
def expiring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that keeps everything for an hour."""
    data = tmp_path_factory.mktemp("expiring")
    settings = Settings(
        data_dir=data,
        free_disk_reserve_bytes=0,
        garbage_seconds=1e-3,
        artifact_seconds=HOUR,
        job_seconds=HOUR,
        report_seconds=HOUR,
    )
    with serving(settings) as running:
        yield running


def two_hours_pass(service: Service) -> None:
    """Make everything older, and sweep."""
    with service.stores.database.write() as connection:
        for column in (artifacts.c.created_at, jobs.c.finished_at, reports.c.created_at):
            connection.execute(update(column.table).values({column: column - 2 * HOUR}))
    Retention(service.settings, service.stores.database).sweep()


def after(moment: str) -> datetime:
    return datetime.fromisoformat(moment) + timedelta(seconds=HOUR)


def test_what_has_expired_is_gone_and_says_so(expiring: Service) -> None:
    caller, stranger = expiring.caller(), expiring.caller()
    get = caller.http.get
    artifact = caller.upload()
    analysis = caller.submit(artifact)
    assert get(f"/v1/analyses/{analysis}").json()["expires_at"] is None, "it has not finished"
    two_hours_pass(expiring)
    found = get(f"/v1/artifacts/{artifact}")
    assert found.status_code == 200, "an unfinished analysis keeps its input"
    assert datetime.fromisoformat(found.json()["expires_at"]) == after(found.json()["created_at"])

    content = sample_report().to_bytes()
    jobs_store, blobs = expiring.stores.jobs, expiring.stores.blobs
    report_sha256 = blobs.put_report(content)
    while (claim := jobs_store.claim("w", 60, queues=["cpu", INSPECTION_QUEUE])) is not None:
        of_analysis = claim.kind == "analysis"
        assert jobs_store.succeed(claim, report_sha256=report_sha256 if of_analysis else None, device="cpu")
    ended = get(f"/v1/analyses/{analysis}").json()
    assert datetime.fromisoformat(ended["expires_at"]) == after(ended["finished_at"])
    stored = caller.http.post("/v1/reports", content=content, headers={"Content-Type": "application/json"}).json()["id"]
    ids = {artifact: f"/v1/artifacts/{artifact}", analysis: f"/v1/analyses/{analysis}", stored: f"/v1/reports/{stored}"}
    paths = [*ids.values(), f"/v1/analyses/{analysis}/report", f"/v1/reports/{stored}.html"]
    assert {get(path).status_code for path in paths} == {200}

    two_hours_pass(expiring)
    for path in paths:
        answer = get(path)
        assert (answer.status_code, answer.json()["code"]) == (410, "expired"), path
        assert stranger.http.get(path).status_code == 404, path
    refused = caller.post({"inputs": [{"artifact": artifact}]})
    assert (refused.status_code, refused.json()["code"]) == (410, "expired")
    assert not any(path.is_file() and path.name == artifact[7:] for path in expiring.settings.data_dir.rglob("*"))
    assert caller.put(npz_bytes()).status_code == 201
    assert get(f"/v1/artifacts/{artifact}").status_code == 200, "what comes again is there again"


def test_what_never_was_has_not_expired(expiring: Service) -> None:
    caller = expiring.caller()
    assert caller.http.get("/v1/artifacts/sha256:" + "0" * 64).status_code == 404
    assert caller.http.get("/v1/analyses/an_" + "0" * 30).status_code == 404
