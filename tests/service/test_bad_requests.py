"""Requests that mean harm are refused, leave nothing behind, and hinder nobody who comes after them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.settings import Settings
from service.pagination import encode_cursor
from tests.service.conftest import MAX_ARTIFACT_BYTES, History
from tests.service.process import Process, service_process
from tests.service.running import Caller, Service, npz_bytes, serving
from tests.service.test_artifacts import REFUSED
from tests.service.test_problems import BODIES

_JSON = {"Content-Type": "application/json"}
_ARTIFACT = "sha256:" + "0" * 64


def _study(**more: Any) -> bytes:
    return json.dumps({"inputs": [{"artifact": _ARTIFACT}], **more}).encode()


def _kept(data: Path) -> list[Path]:
    """Return every file of an installation but its database."""
    return sorted(path for path in data.rglob("*") if path.is_file() and ".sqlite3" not in path.name)


def _sent_raw(name: str) -> tuple[bytes, dict[str, str], int, str]:
    content, status, code = REFUSED[name]
    return content, {"Content-Type": "application/octet-stream"}, status, code


def _sent_as_json(name: str) -> tuple[bytes, dict[str, str], int, str]:
    content, status, code = BODIES[name]
    return content, _JSON, status, code


_FORM = {"Content-Type": "multipart/form-data; boundary=x"}
_MANY_PARTS = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 8_000 + b"--x--\r\n"
_HUGE_HEADER = b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 400_000 + b"\r\n\r\n1\r\n--x--\r\n"
Request = tuple[str, str, bytes, dict[str, str], int, str]
# what is wrong: method, path, body, headers, and the status and code of the answer
REQUESTS: dict[str, Request] = {
    "a form without a boundary": (
        "POST", "/v1/artifacts", b"--x\r\n" * 100, {"Content-Type": "multipart/form-data"}, 400, "multipart_invalid",
    ),
    "a form of very many parts": ("POST", "/v1/artifacts", _MANY_PARTS, _FORM, 400, "multipart_invalid"),
    "a part with huge headers": ("POST", "/v1/artifacts", _HUGE_HEADER, _FORM, 400, "multipart_invalid"),
    "a deep body": ("POST", "/v1/analyses", b"[" * 100_000, _JSON, 400, "invalid_json"),
    "NaN": ("POST", "/v1/analyses", b'{"seed": NaN}', _JSON, 400, "invalid_json"),
    "a name twice": ("POST", "/v1/analyses", b'{"seed": 1, "seed": 2}', _JSON, 400, "invalid_json"),
    "50 MB of JSON": ("POST", "/v1/analyses", b" " * 50_000_000, _JSON, 413, "request_too_large"),
    "a million layers": (
        "POST", "/v1/analyses", _study(layers={"include": ["a"] * 1_000_000}), _JSON, 413, "request_too_large",
    ),
    "10001 layers": (
        "POST", "/v1/analyses", _study(layers={"include": ["a"] * 10_001}), _JSON, 422, "invalid_request",
    ),
    "an unknown field": ("POST", "/v1/analyses", _study(deadline=1), _JSON, 422, "invalid_request"),
    "a priority beyond all bounds": ("POST", "/v1/analyses", _study(priority=10**6), _JSON, 422, "invalid_request"),
    "a webhook, which there is none of": (
        "POST", "/v1/analyses", _study(callback="http://169.254.169.254/"), _JSON, 422, "invalid_request",
    ),
    "a wrong type": ("POST", "/v1/analyses", _study(seed="one"), _JSON, 422, "invalid_request"),
    "packed JSON": (
        "POST", "/v1/analyses", b"\x1f\x8b", {**_JSON, "Content-Encoding": "gzip"}, 415, "unsupported_media_type",
    ),
    "a packed file": (
        "PUT", "/v1/artifacts", b"\x1f\x8b", {"Content-Encoding": "gzip"}, 415, "unsupported_media_type",
    ),
    "a file that says it is text": (
        "PUT", "/v1/artifacts", b"PK\x03\x04", {"Content-Type": "text/html"}, 415, "unsupported_media_type",
    ),
    "a long Idempotency-Key": (
        "POST", "/v1/analyses", _study(), {**_JSON, "Idempotency-Key": "k" * 256}, 400, "idempotency_key_invalid",
    ),
    "an Idempotency-Key with a tab": (
        "POST", "/v1/analyses", _study(), {**_JSON, "Idempotency-Key": "a\tb"}, 400, "idempotency_key_invalid",
    ),
    "an id that is a path": ("GET", "/v1/analyses/an_%2e%2e%2f%2e%2e", b"", {}, 404, "not_found"),
    "an id that is none": ("GET", "/v1/analyses/not-an-id", b"", {}, 404, "not_found"),
    "an absent input": ("POST", "/v1/analyses", _study(), _JSON, 404, "artifact_not_found"),
    "an empty file": ("PUT", "/v1/artifacts", b"", {}, 422, "empty_file"),
    "a key in the address": ("GET", "/v1/analyses?token=x", b"", {}, 400, "key_in_url"),
    "a forged cursor": ("GET", "/v1/analyses?cursor=YW5fJyBPUiAxPTE", b"", {}, 400, "invalid_cursor"),
    **{f"as a file: {name}": ("PUT", "/v1/artifacts", *_sent_raw(name)) for name in REFUSED},
    **{f"as JSON: {name}": ("POST", "/v1/analyses", *_sent_as_json(name)) for name in BODIES},
}  # fmt: skip


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service whose memory and work are its own, warm after some good requests."""
    with service_process(tmp_path_factory.mktemp("process") / "data", max_artifact_bytes=MAX_ARTIFACT_BYTES) as running:
        for seed in range(3):
            running.serve_well(seed)
        yield running


@pytest.mark.parametrize("name", REQUESTS)
def test_it_is_refused_at_little_cost_and_nothing_stays(process: Process, name: str) -> None:
    method, path, body, headers, status, code = REQUESTS[name]
    with process.little_cost():
        answer = process.send(method, path, body, **headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["Content-Type"] == "application/problem+json"


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
    before = _kept(full.settings.data_dir)
    answer = caller.http.request(method, path, content=iter([content]) if chunked else content, headers=types)
    assert (answer.status_code, answer.json()["code"]) == (429, "quota_exceeded")
    assert _kept(full.settings.data_dir) == before
    assert full.stores.quotas.bytes_of(caller.tenant) == 0
