"""The audit log, and the ids of requests."""

import httpx
import pytest

from tests.service.running import Caller, Service


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
