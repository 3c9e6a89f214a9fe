"""Whatever goes wrong is answered as application/problem+json with a stable code."""

import json
from typing import Any

import httpx
import pytest

from contract.schemas import PROBLEMS, Problem
from tests.service.running import Caller


def problem_of(answer: httpx.Response) -> Problem:
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert problem.status == answer.status_code
    assert problem.code in PROBLEMS
    assert problem.type == f"urn:interlayer:problem:{problem.code}"
    assert len(problem.detail) > 10
    return problem


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/analyses/..%2f..%2fetc%2fpasswd", 404, "not_found"),
        ("GET", "/v1/analyses/%2e%2e", 404, "not_found"),
        ("GET", "/v1/analyses/an_xyz", 404, "not_found"),
        ("GET", "/v1/analyses/%00", 404, "not_found"),
        ("GET", "/v1/analyses/an_xyz/report", 404, "not_found"),
        ("GET", "/v1/analyses/an_xyz/events", 404, "not_found"),
        ("GET", "/v1/artifacts/sha256:xyz", 404, "not_found"),
        ("GET", "/v1/artifacts/%F0%9F%92%A9", 404, "not_found"),
        ("DELETE", "/v1/keys/%00", 404, "not_found"),
        ("PATCH", "/v1/analyses", 405, "method_not_allowed"),
        ("GET", "/v1/artifacts", 405, "method_not_allowed"),
        ("PUT", "/v1/keys", 405, "method_not_allowed"),
        ("TRACE", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_addresses_and_methods(caller: Caller, method: str, path: str, status: int, code: str) -> None:
    answer = caller.http.request(method, path)
    assert answer.status_code == status
    problem = problem_of(answer)
    assert problem.code == code
    if status == 405:
        assert answer.headers["Allow"]


BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "invalid_request"),
    "not JSON": (b"{inputs: []}", 400, "invalid_json"),
    "half": (b'{"inputs": [', 400, "invalid_json"),
    "two documents": (b"{} {}", 400, "invalid_json"),
    "NaN": (b'{"seed": NaN}', 400, "invalid_json"),
    "Infinity": (b'{"seed": -Infinity}', 400, "invalid_json"),
    "a name twice": (b'{"seed": 1, "seed": 2}', 400, "invalid_json"),
    "a name twice below": (b'{"inputs": [{"state": "trained", "state": "untrained"}]}', 400, "invalid_json"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, 400, "invalid_json"),
    "deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400, "invalid_json"),
    "a number without end": (b'{"seed": ' + b"9" * 5000 + b"}", 400, "invalid_json"),
    "not UTF-8": (b'{"tags": {"a": "\xff"}}', 400, "invalid_json"),
    "half a character": (rb'{"tags": {"\ud800": "x"}}', 400, "invalid_json"),
    "half a character as a field": (rb'{"\udfff": "x"}', 400, "invalid_json"),
    "a list": (b"[]", 422, "invalid_request"),
    "null": (b"null", 422, "invalid_request"),
    "a number": (b"7", 422, "invalid_request"),
    "text": (b'"inputs"', 422, "invalid_request"),
    "a huge float": (b'{"seed": 1e999}', 422, "invalid_request"),
    "two megabytes": (b'{"tags": {"a": "' + b"x" * 2**21 + b'"}}', 413, "request_too_large"),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("url", ["/v1/analyses", "/v1/analyses:estimate", "/v1/keys"])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies(caller: Caller, name: str, url: str, chunked: bool) -> None:
    body, status, code = BODIES[name]
    content: Any = (body[i : i + 65_536] for i in range(0, len(body), 65_536)) if chunked else body
    answer = caller.http.post(url, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, problem_of(answer).code) == (status, code)
    assert caller.http.get("/v1/analyses").status_code == 200, "a good request right after works"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        ({"Content-Type": "Application/JSON; charset=utf-8"}, 400, "invalid_json"),
        ({"Content-Type": "application/problem+json"}, 400, "invalid_json"),
        ({"Content-Type": "text/plain"}, 422, "invalid_request"),
        ({"Content-Type": "application/x-yaml"}, 422, "invalid_request"),
        ({}, 422, "invalid_request"),
    ],
    ids=str,
)
def test_content_types(caller: Caller, headers: dict[str, str], status: int, code: str) -> None:
    answer = caller.http.post("/v1/analyses", content=b'{"seed": NaN}', headers=headers)
    assert (answer.status_code, problem_of(answer).code) == (status, code)


def test_fields_that_are_wrong_are_named(caller: Caller) -> None:
    artifact = caller.upload()
    body = {"inputs": [{"artifact": artifact, "state": "old", "splt": "x"}], "seed": -1}
    problem = problem_of(caller.post(body))
    assert problem.errors is not None
    assert {error.pointer for error in problem.errors} == {"/body/inputs/0/state", "/body/inputs/0/splt", "/body/seed"}
    assert problem.instance == "/v1/analyses"


def test_of_very_many_wrong_fields_some_are_named(caller: Caller) -> None:
    problem = problem_of(caller.post({str(i): 1 for i in range(5000)}))
    assert problem.errors is not None
    assert len(problem.errors) == 20
    assert "5001" in problem.detail or "5000 more" in problem.detail


def test_what_was_sent_is_not_sent_back(caller: Caller) -> None:
    answer = caller.post({"inputs": [{"artifact": "my-secret-value"}]})
    assert "my-secret-value" not in answer.text


def test_an_unforeseen_error_says_nothing_of_the_inside(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr("contract.jobs.Jobs.newest", broken)
    answer = caller.http.get("/v1/analyses")
    assert answer.status_code == 500
    assert problem_of(answer).code == "internal_error"
    assert "hunter2" not in answer.text
    assert json.loads(answer.text)["retryable"] is True
    monkeypatch.undo()
    # The server closes the connection of a request that went wrong inside, so the next one takes another.
    again = httpx.get(answer.request.url, headers={"Authorization": f"Bearer {caller.key}"})
    assert again.status_code == 200
