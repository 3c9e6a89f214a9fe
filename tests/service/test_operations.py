"""What operators set and see: quotas, metrics, readiness, and what a request costs."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import event, insert

from contract.counters import Counters, Processes
from contract.database import clock
from contract.schemas import Inspection
from contract.settings import Settings, TenantLimits
from contract.tables import processes
from contract.workforce import LOOK_SECONDS, Workforce
from tests.service.running import Caller, Service, npz_bytes, problem_of, serving

TOKEN = "a-token-of-the-monitoring"
SIZE = len(npz_bytes(0))


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service in which some tenants have limits of their own."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("limited"),
        free_disk_reserve_bytes=0,
        metrics_token=TOKEN,
        max_estimated_seconds=1000.0,
        tenant_limits={
            "small": TenantLimits(max_tenant_bytes=2 * SIZE + 10),
            "tired": TenantLimits(max_tenant_compute_seconds_per_day=10.0),
            "one": TenantLimits(max_unfinished_jobs=1),
        },
    )
    with serving(settings) as running:
        yield running


def test_a_tenant_stores_no_more_than_it_may(limited: Service) -> None:
    caller, other = limited.caller("small"), limited.caller()
    for seed in (0, 1):
        caller.upload(seed)
    refused = caller.put(npz_bytes(2))
    assert problem_of(refused) == (429, "quota_exceeded")
    assert int(refused.headers["Retry-After"]) > 0
    assert limited.temporary_files() == []
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE)}
    assert caller.http.post("/v1/uploads", headers=tus).status_code == 429
    assert other.put(npz_bytes(2)).status_code == 201
    own = caller.http.get("/v1/capabilities").json()
    assert own["own_limits"]["max_tenant_bytes"] == 2 * SIZE + 10
    assert own["own_use"]["bytes"] == 2 * SIZE


def test_an_open_upload_counts_with_all_that_it_may_become(limited: Service) -> None:
    caller = limited.caller()
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000"}
    caller.http.post("/v1/uploads", headers=tus).raise_for_status()
    assert limited.stores.quotas.bytes_of(caller.tenant) == 1000


def test_a_tenant_computes_no_more_than_it_may_on_a_day(limited: Service) -> None:
    caller = limited.caller("tired")
    artifact = caller.upload()
    limited.stores.quotas.computed("tired", 9.0)
    caller.submit(artifact)
    limited.stores.quotas.computed("tired", 1.0)
    refused = caller.post({"inputs": [{"artifact": artifact}]})
    assert problem_of(refused) == (429, "quota_exceeded")
    assert 0 < int(refused.headers["Retry-After"]) <= 86400


def test_a_tenant_may_have_another_number_of_unfinished_analyses(limited: Service) -> None:
    caller = limited.caller("one")
    artifact = caller.upload()
    caller.submit(artifact)
    assert problem_of(caller.post({"inputs": [{"artifact": artifact}], "seed": 1})) == (429, "queue_full")


def test_a_hopelessly_large_analysis_is_refused_with_its_estimate(limited: Service) -> None:
    caller = limited.caller()
    artifact = caller.upload()
    classes = {str(number): 40 for number in range(1415)}  # a million pairs
    layers = [{"name": f"layer{i}", "shape": [1415 * 40, 512], "dtype": "float32"} for i in range(50)]
    found = Inspection.model_validate({"rows": 1415 * 40, "classes": classes, "layers": layers})
    limited.stores.artifacts.inspected(caller.tenant, artifact.removeprefix("sha256:"), found)
    refused = caller.post({"inputs": [{"artifact": artifact}]})
    assert problem_of(refused) == (422, "job_too_large")
    assert "hours" in refused.json()["detail"]
    caller.submit(artifact, layers={"include": ["layer0"]}, sampling={"per_class": 2}, tests={"n_resamples": 99})


def test_an_analysis_that_no_worker_has_the_memory_for_is_refused_and_its_estimate_says_so(service: Service) -> None:
    caller = service.caller()
    artifact = caller.upload()
    layers = [{"name": "wide", "shape": [4000, 500_000], "dtype": "float32"}]
    found = Inspection.model_validate({"rows": 4000, "classes": {"a": 2000, "b": 2000}, "layers": layers})
    service.stores.artifacts.inspected(caller.tenant, artifact.removeprefix("sha256:"), found)
    body = {"inputs": [{"artifact": artifact}]}
    caller.post(body).raise_for_status()  # nobody knows yet what workers have
    elsewhere = Workforce(service.stores.settings, service.stores.database)
    elsewhere.announce(["cpu"], threads=2, memory_bytes=8 * 2**30)
    time.sleep(LOOK_SECONDS)
    try:
        refused = caller.post(body | {"seed": 1})
        assert problem_of(refused) == (422, "job_too_large")
        assert "GiB of memory, and a job may use 8.0 GiB" in refused.json()["detail"]
        estimate = caller.http.post("/v1/analyses:estimate", json=body).json()
        assert estimate["memory_bytes"] > 8 * 2**30
        assert [note for note in estimate["notes"] if note.startswith("it would be refused")]
        caller.post(body | {"sampling": {"per_class": 50}}).raise_for_status()
    finally:
        elsewhere.announce(["cpu"], threads=1, memory_bytes=0)
        time.sleep(LOOK_SECONDS)


def test_metrics_are_for_administrators_and_the_monitoring(limited: Service) -> None:
    def status(token: str | None) -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{limited.url}/metrics", headers=headers).status_code

    assert status(None) == 401
    assert status("wrong") == 401
    assert status(limited.caller(scopes=("read",)).key) == 403
    assert status(limited.caller().key) == 200
    assert status(TOKEN) == 200


def test_metrics_count_what_happened(limited: Service) -> None:
    caller = limited.caller("measured")
    caller.submit(caller.upload())
    counters = Counters(limited.stores.database)
    counters.add("lease_expiries", count=2)
    counters.add("child_exits", "deadline")
    text = caller.http.get("/metrics").text
    for line in (
        'interlayer_jobs{kind="analysis",state="queued"}',
        f'interlayer_tenant_bytes{{tenant="measured"}} {float(SIZE)}',
        "interlayer_lease_expiries_total 2.0",
        'interlayer_child_exits_total{cause="deadline"} 1.0',
        "interlayer_publish_failures_total 0.0",
        'interlayer_oldest_queued_seconds{queue="cpu"}',
        'interlayer_http_requests_total{method="POST",route="/v1/analyses",status="202"}',
        "interlayer_received_bytes_total",
        "interlayer_disk_free_bytes",
    ):
        assert line in text, f"{line} is not in\n{text}"
    assert caller.key not in text


def test_readiness_tells_degraded_from_dead(limited: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def ready() -> tuple[int, dict[str, object]]:
        answer = httpx.get(f"{limited.url}/readyz")
        return answer.status_code, json.loads(answer.content)

    status, found = ready()
    assert (status, found["status"]) == (200, "degraded")
    assert "no worker" in str(found["details"])
    seen = {"queues": "cpu", "reconciles": True, "started_at": clock(), "seen_at": clock()}
    with limited.stores.database.write() as connection:
        connection.execute(insert(processes).values(name="w:1", role="worker", **seen))
    assert ready() == (200, {"status": "ready", "details": []})
    here = Processes(limited.stores.database)
    here.seen("dispatcher", reconciles=True)
    here.troubled("the broker does not answer")
    assert ready() == (200, {"status": "degraded", "details": ["dispatcher: the broker does not answer"]})
    here.gone()
    monkeypatch.setattr(type(limited.stores.blobs), "free_bytes", lambda _: -1)
    assert ready()[0] == 503


def test_a_request_costs_few_transactions(service: Service, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: what an accepted analysis and a look at it make the database do."""
    monkeypatch.setattr("contract.keys.RECALL_SECONDS", 1e6)
    monkeypatch.setattr("contract.workforce.LOOK_SECONDS", 1e6)
    artifact = caller.upload()
    seen: list[str] = []

    def begin(connection: Any) -> None:
        reads = connection.get_execution_options().get("read_only", False)
        seen.append("read" if reads else "write")

    job = caller.submit(artifact)
    event.listen(service.stores.database.engine, "begin", begin)
    try:
        for _ in range(3):
            caller.http.get(f"/v1/analyses/{job}").raise_for_status()
        assert seen == ["read"] * 3
        seen.clear()
        caller.submit(artifact, seed=1)
        assert seen == ["read", "write"], "its input; then the analysis and its line of the audit log in one commit"
    finally:
        event.remove(service.stores.database.engine, "begin", begin)
