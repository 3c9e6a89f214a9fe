"""What operators and tenants rely on: rotation, quotas, the audit log, request ids, metrics, readiness."""

import json
import time
import zlib
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
from service.failures import Failures
from tests.service.running import Caller, Service, npz_bytes, serving

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


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["code"])


# -- keys -------------------------------------------------------------------------------------------------------------


def test_a_rotated_key_has_two_secrets_for_a_while(service: Service) -> None:
    caller = service.caller()
    key_id = caller.key.split("_")[1]
    answer = caller.http.post(f"/v1/keys/{key_id}/rotate", json={"overlap_seconds": 3600})
    assert answer.status_code == 200, answer.text
    new = answer.json()["key"]
    assert new != caller.key
    _, same_id, secret = new.split("_", 2)
    assert same_id == key_id
    assert secret[-8:] == f"{zlib.crc32((key_id + secret[:-8]).encode()):08x}", "by which scanners know a key"
    for key in (caller.key, new):
        assert httpx.get(f"{service.url}/v1/analyses", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    other = httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {new}"})
    with other:
        newest = other.post(f"/v1/keys/{key_id}/rotate", json={"overlap_seconds": 0}).json()["key"]
        assert other.get("/v1/analyses").status_code == 401, "no overlap was asked for"
    assert caller.http.get("/v1/analyses").status_code == 401, "the secret before the last is gone"
    assert httpx.get(f"{service.url}/v1/analyses", headers={"Authorization": f"Bearer {newest}"}).status_code == 200


def test_nobody_rotates_the_key_of_another_tenant(service: Service) -> None:
    foreign = service.caller().key.split("_")[1]
    caller = service.caller()
    answers = [caller.http.post(f"/v1/keys/{i}/rotate", json={}) for i in (foreign, "0" * 16)]
    assert [code_of(answer) for answer in answers] == [(404, "not_found")] * 2


@pytest.mark.parametrize("query", [{"key": "x"}, {"access_token": "x"}, {"tag": "il_0123456789abcdef_secret"}])
def test_a_key_in_an_address_is_refused(caller: Caller, query: dict[str, str]) -> None:
    assert code_of(caller.http.get("/v1/analyses", params=query)) == (400, "key_in_url")


def test_whoever_guesses_is_told_to_wait_and_nobody_else(service: Service) -> None:
    caller = service.caller()
    usual = service.stores.failures
    object.__setattr__(service.stores, "failures", Failures(limit=3))
    wrong = {"Authorization": f"Bearer {caller.key[:-1]}!"}
    answers = [httpx.get(f"{service.url}/v1/analyses", headers=wrong) for _ in range(5)]
    object.__setattr__(service.stores, "failures", usual)
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[-1].json()["code"] == "too_many_failures"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert caller.http.get("/v1/analyses").status_code == 200


def test_failures_are_forgotten_and_bounded() -> None:
    failures = Failures(limit=1)
    assert failures.note("a") == 0
    assert failures.note("a") > 0
    for number in range(10_001):
        failures.note(f"other {number}")
    assert failures.note("a") == 0, "the oldest name made room"


# -- quotas -----------------------------------------------------------------------------------------------------------


def test_a_tenant_stores_no_more_than_it_may(limited: Service) -> None:
    caller, other = limited.caller("small"), limited.caller()
    for seed in (0, 1):
        caller.upload(seed)
    refused = caller.put(npz_bytes(2))
    assert code_of(refused) == (429, "quota_exceeded")
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
    assert code_of(refused) == (429, "quota_exceeded")
    assert 0 < int(refused.headers["Retry-After"]) <= 86400


def test_a_tenant_may_have_another_number_of_unfinished_analyses(limited: Service) -> None:
    caller = limited.caller("one")
    artifact = caller.upload()
    caller.submit(artifact)
    assert code_of(caller.post({"inputs": [{"artifact": artifact}], "seed": 1})) == (429, "queue_full")


def test_a_hopelessly_large_analysis_is_refused_with_its_estimate(limited: Service) -> None:
    caller = limited.caller()
    artifact = caller.upload()
    classes = {str(number): 40 for number in range(1415)}  # a million pairs
    layers = [{"name": f"layer{i}", "shape": [1415 * 40, 512], "dtype": "float32"} for i in range(50)]
    found = Inspection.model_validate({"rows": 1415 * 40, "classes": classes, "layers": layers})
    limited.stores.artifacts.inspected(caller.tenant, artifact.removeprefix("sha256:"), found)
    refused = caller.post({"inputs": [{"artifact": artifact}]})
    assert code_of(refused) == (422, "job_too_large")
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
        assert code_of(refused) == (422, "job_too_large")
        assert "GiB of memory, and a job may use 8.0 GiB" in refused.json()["detail"]
        estimate = caller.http.post("/v1/analyses:estimate", json=body).json()
        assert estimate["memory_bytes"] > 8 * 2**30
        assert [note for note in estimate["notes"] if note.startswith("it would be refused")]
        caller.post(body | {"sampling": {"per_class": 50}}).raise_for_status()
    finally:
        elsewhere.announce(["cpu"], threads=1, memory_bytes=0)
        time.sleep(LOOK_SECONDS)


# -- audit log and request ids ----------------------------------------------------------------------------------------


def test_every_change_is_written_down_and_no_look(caller: Caller) -> None:
    artifact = caller.upload()
    analysis = caller.submit(artifact)
    caller.http.get("/v1/analyses").raise_for_status()
    caller.http.delete(f"/v1/artifacts/{artifact}", headers={"X-Request-Id": "mine-1"})
    entries = caller.http.get("/v1/audit").json()["items"]
    assert [(item["action"], item["object"], item["outcome"]) for item in entries] == [
        ("delete_artifact", f"/v1/artifacts/{artifact}", 409),
        ("create_analysis", f"/v1/analyses/{analysis}", 202),
        ("put_artifact", f"/v1/artifacts/{artifact}", 201),
    ]
    assert entries[0]["request_id"] == "mine-1"
    assert {item["key_id"] for item in entries} == {caller.key.split("_")[1]}


def test_the_audit_log_comes_in_pages_to_administrators_of_the_tenant(service: Service) -> None:
    caller = service.caller()
    for _ in range(3):
        caller.http.post("/v1/keys", json={"name": "<b>", "scopes": ["read"]}).raise_for_status()
    first = caller.http.get("/v1/audit", params={"limit": 2}).json()
    rest = caller.http.get("/v1/audit", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    ids = [item["id"] for page in (first, rest) for item in page["items"]]
    assert len(set(ids)) == 3
    assert rest["next_cursor"] is None
    assert service.caller().http.get("/v1/audit").json()["items"] == []
    assert service.caller(caller.tenant, ("read", "submit")).http.get("/v1/audit").status_code == 403


def test_every_changing_route_is_written_down(service: Service) -> None:
    """Whatever it answers, once it is known who asks."""
    document = httpx.get(f"{service.url}/openapi.json").json()
    caller = service.caller()
    changing = [
        (method, path, operation["operationId"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in ("post", "put", "patch", "delete") and operation.get("security")
    ]
    assert len(changing) > 10
    for method, path, operation in changing:
        known = {"{key_id}": "0" * 16, "{artifact_id}": "sha256:" + "0" * 64, "{analysis_id}": "an_" + "0" * 30}
        known |= {"{upload_id}": "up_" + "0" * 32, "{report_id}": "rp_" + "0" * 30, "{name}": "main"}
        for name, value in known.items():
            path = path.replace(name, value)
        headers = {"Tus-Resumable": "1.0.0", "X-Request-Id": f"for-{operation}"}
        caller.http.request(method.upper(), path, headers=headers)
    written = {item["request_id"] for item in caller.http.get("/v1/audit", params={"limit": 200}).json()["items"]}
    assert written == {f"for-{operation}" for _, _, operation in changing}


@pytest.mark.parametrize(("sent", "kept"), [("abc-123", True), ("x" * 65, False), ("a b", False), ("", False)])
def test_a_request_has_an_id(caller: Caller, sent: str, kept: bool) -> None:
    answer = caller.http.get("/healthz", headers={"X-Request-Id": sent})
    assert (answer.headers["X-Request-Id"] == sent) is kept
    assert answer.headers["X-Request-Id"]


def test_the_id_of_a_request_goes_with_the_job(service: Service, caller: Caller) -> None:
    artifact = caller.upload()
    answer = caller.post({"inputs": [{"artifact": artifact}]}, **{"X-Request-Id": "from-afar"})
    queue = answer.json()["id"]
    claims = []
    while (claim := service.stores.jobs.claim("w", 60, queues=["cpu"])) is not None:
        claims.append(claim)
    assert [claim.request_id for claim in claims if claim.id == queue] == ["from-afar"]


# -- metrics and readiness --------------------------------------------------------------------------------------------


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
