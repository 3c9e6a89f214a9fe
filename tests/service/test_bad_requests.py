"""Requests that mean harm are refused, leave nothing behind, and hinder nobody who comes after them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.settings import Settings
from service.pagination import encode_cursor
from tests.service.conftest import History
from tests.service.running import Caller, Service, npz_bytes, serving

_JSON = {"Content-Type": "application/json"}
_ARTIFACT = "sha256:" + "0" * 64


def _study(**more: Any) -> bytes:
    return json.dumps({"inputs": [{"artifact": _ARTIFACT}], **more}).encode()


def _kept(service: Service) -> list[Path]:
    """Return every file of the service but its database."""
    return sorted(p for p in service.settings.data_dir.rglob("*") if p.is_file() and ".db" not in p.name)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        (
            "POST",
            "/v1/artifacts",
            b"--x\r\n\r\n" * 100,
            {"Content-Type": "multipart/form-data"},
            400,
            "multipart_invalid",
        ),
        (
            "POST",
            "/v1/artifacts",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 8_000 + b"--x--\r\n",
            {"Content-Type": "multipart/form-data; boundary=x"},
            400,
            "multipart_invalid",
        ),
        ("POST", "/v1/analyses", b"[" * 100_000, _JSON, 400, "invalid_json"),
        ("POST", "/v1/analyses", b'{"seed": NaN}', _JSON, 400, "invalid_json"),
        ("POST", "/v1/analyses", b'{"seed": 1, "seed": 2}', _JSON, 400, "invalid_json"),
        ("POST", "/v1/analyses", b" " * 50_000_000, _JSON, 413, "request_too_large"),
        ("POST", "/v1/analyses", _study(layers={"include": ["a"] * 1_000_000}), _JSON, 413, "request_too_large"),
        ("POST", "/v1/analyses", _study(layers={"include": ["a"] * 10_001}), _JSON, 422, "invalid_request"),
        ("POST", "/v1/analyses", _study(), {**_JSON, "Idempotency-Key": "k" * 256}, 400, "idempotency_key_invalid"),
        ("POST", "/v1/analyses", _study(), {**_JSON, "Idempotency-Key": "a\tb"}, 400, "idempotency_key_invalid"),
        ("GET", "/v1/analyses/an_%2e%2e%2f%2e%2e", b"", {}, 404, "not_found"),
        ("GET", "/v1/analyses/not-an-id", b"", {}, 404, "not_found"),
        ("PUT", "/v1/artifacts", b"", {}, 422, "empty_file"),
        ("GET", "/v1/analyses?token=x", b"", {}, 400, "key_in_url"),
    ],
    ids=lambda value: None if isinstance(value, bytes | dict) else str(value)[:40],
)
def test_it_is_refused_and_nothing_stays(
    service: Service, method: str, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    caller = service.caller()
    before = _kept(service)
    answer = httpx.request(
        method,
        service.url + path,
        content=body,
        headers=headers | {"Authorization": f"Bearer {caller.key}"},
        timeout=60,
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert _kept(service) == before
    caller.submit()


def test_ten_thousand_ranges_are_ignored(history: History, report: bytes) -> None:
    ranges = "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))
    answers = [
        history.caller.http.get(f"/v1/analyses/{history.succeeded}/report", headers={"Range": value})
        for value in (ranges[:12_000], "bytes=0-1,3-4")
    ]
    assert [(answer.status_code, answer.content) for answer in answers] == [(200, report)] * 2


def test_a_forged_cursor_shows_no_more_than_ones_own(history: History, caller: Caller) -> None:
    own = caller.submit()
    newest = encode_cursor("an_" + "f" * 30)
    page = caller.http.get("/v1/analyses", params={"cursor": newest}).json()
    assert [item["id"] for item in page["items"]] == [own]
    foreign = caller.http.get("/v1/analyses", params={"cursor": encode_cursor(history.succeeded)}).json()
    assert foreign["items"] == []
    forged = base64.urlsafe_b64encode(b"an_' OR 1=1").decode()
    assert caller.http.get("/v1/analyses", params={"cursor": forged}).json()["code"] == "invalid_cursor"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service where a tenant may store little."""
    folder = tmp_path_factory.mktemp("full")
    with serving(Settings(data_dir=folder, max_tenant_bytes=1000, free_disk_reserve_bytes=0)) as running:
        yield running


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/artifacts", "/v1/reports"])
def test_no_way_in_stores_more_than_a_tenant_may(full: Service, report: bytes, path: str, chunked: bool) -> None:
    caller = full.caller()
    content = report if path == "/v1/reports" else npz_bytes()
    assert len(content) > 1000
    types = {"Content-Type": "application/json" if path == "/v1/reports" else "application/octet-stream"}
    method = "POST" if path == "/v1/reports" else "PUT"
    before = _kept(full)
    answer = caller.http.request(method, path, content=iter([content]) if chunked else content, headers=types)
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
    assert _kept(full) == before
    assert full.stores.quotas.bytes_of(caller.tenant) == 0
