"""When a request is sent again, and what a caller is told otherwise."""

import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contract.schemas import AnalysisRequest
from interlayer.client import AsyncClient, Client
from interlayer.errors import AnalysisFailed, InterlayerError, RequestRefused, ServiceUnreachable, TimedOut, UsageError
from tests.interlayer.client.scripted import URL, Either, Script, analysis, ok, refused

Make = Callable[[Any], Either]
AN = "an_" + "0" * 30
REQUEST = AnalysisRequest.model_validate({"inputs": [{"artifact": "sha256:" + "0" * 64}]})
NEVER_SENT = httpx.ConnectError("refused")
BROKE_OFF = httpx.ReadError("reset")
KEY = {"id": "a", "name": "n", "scopes": [], "created_at": 0, "expires_at": None, "last_used_at": None, "key": "il_1"}
STATUS, SUBMIT, NEW_KEY = ("status", AN), ("submit", REQUEST), ("create_key", "robot", ["read"])

OUTCOMES: dict[str, tuple[tuple[Any, ...], list[Any], Any, int]] = {
    # call, what happens, what comes of it, requests sent
    "an answer": (STATUS, [ok(analysis())], "succeeded", 1),
    "nobody there at first": (STATUS, [NEVER_SENT, NEVER_SENT, ok(analysis())], "succeeded", 3),
    "nobody there": (STATUS, [NEVER_SENT] * 4, ServiceUnreachable, 4),
    "a read breaks off": (STATUS, [BROKE_OFF, ok(analysis())], "succeeded", 2),
    "a submission breaks off": (SUBMIT, [BROKE_OFF, ok(analysis("queued"))], "queued", 2),
    "a new key breaks off": (NEW_KEY, [BROKE_OFF], ServiceUnreachable, 1),
    "a new key was never sent": (NEW_KEY, [NEVER_SENT, ok(KEY)], None, 2),
    "not ready": (STATUS, [refused("not_ready"), ok(analysis())], "succeeded", 2),
    "never ready": (STATUS, [refused("not_ready")] * 4, "not_ready", 4),
    "a full queue": (SUBMIT, [refused("queue_full", Retry_After="30"), ok(analysis())], "succeeded", 2),
    "a queue full for long": (SUBMIT, [refused("queue_full", Retry_After="3600")], "queue_full", 1),
    "a proxy's time-out": (STATUS, [httpx.Response(504, text="<html>"), ok(analysis())], "succeeded", 2),
    "a proxy's time-out of a new key": (NEW_KEY, [httpx.Response(504, text="<html>")], "not_ready", 1),
    "a wrong request": (SUBMIT, [refused("invalid_request")], "invalid_request", 1),
    "a wrong key": (STATUS, [refused("unauthorized")], "unauthorized", 1),
    "an error inside": (STATUS, [refused("internal_error")], "internal_error", 1),
    "another service": (STATUS, [httpx.Response(200, text="<html>Welcome to nginx")], ServiceUnreachable, 1),
    "a proxy's page": (STATUS, [httpx.Response(403, text="<html>Forbidden")], "internal_error", 1),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_comes_of(either: Make, pauses: list[float], name: str) -> None:
    call, outcomes, expected, sent = OUTCOMES[name]
    script = Script(outcomes)
    client = either(script)
    if isinstance(expected, type):
        with pytest.raises(expected):
            client(*call)
    elif outcomes[-1].status_code != 200:
        with pytest.raises(RequestRefused) as caught:
            client(*call)
        assert caught.value.problem.code == expected
        assert caught.value.problem.status == outcomes[-1].status_code
    else:
        assert getattr(client(*call), "status", None) == expected
    assert len(script.requests) == sent
    assert len(pauses) == sent - 1


def test_a_service_that_asks_for_time_gets_it(either: Make, pauses: list[float]) -> None:
    either(Script([refused("not_ready", Retry_After="7"), ok(analysis())]))("status", AN)
    assert pauses == [7.0]


def test_pauses_grow(either: Make, pauses: list[float]) -> None:
    with pytest.raises(ServiceUnreachable, match=r"http://lab\.example does not answer.*is it running"):
        either(Script([NEVER_SENT] * 4))("status", AN)
    assert pauses == sorted(pauses)
    assert pauses[-1] > 2 * pauses[0]


def test_a_repeated_submission_has_the_same_key(either: Make, pauses: list[float]) -> None:
    script = Script([BROKE_OFF, refused("not_ready"), ok(analysis())])
    either(script)("submit", REQUEST)
    keys = {request.headers["Idempotency-Key"] for request in script.requests}
    assert len(keys) == 1
    assert len(keys.pop()) >= 16
    script = Script([ok(analysis())])
    either(script)("submit", REQUEST, idempotency_key="build-17")
    assert script.requests[0].headers["Idempotency-Key"] == "build-17"


def test_every_request_carries_the_key(either: Make) -> None:
    script = Script([ok([])])
    either(script)("baselines")
    assert script.requests[0].headers["Authorization"] == "Bearer il_key"


def test_waiting_ends_with_the_analysis(either: Make) -> None:
    states = [analysis("queued", 0), analysis("running", 0.2), analysis("running", 0.2), analysis()]
    seen: list[float] = []
    script = Script([ok(state) for state in states])
    found = either(script)("wait", AN, on_progress=lambda analysis: seen.append(analysis.progress.fraction))
    assert found.status == "succeeded"
    assert seen == [0, 0.2, 1.0]


def test_waiting_ends_with_the_time(either: Make) -> None:
    with pytest.raises(TimedOut, match="has not ended after 0 s"):
        either(lambda _: ok(analysis("running", 0.2)))("wait", AN, timeout=0)


ESTIMATE = {"class_pairs": 3, "spanning_trees": 3, "rows_per_class": 36, "memory_bytes": 1, "time_class": "seconds"}


def test_an_estimate_waits_for_files_sent_a_moment_ago(either: Make, pauses: list[float]) -> None:
    script = Script([refused("not_finished"), refused("not_finished"), ok(ESTIMATE | {"notes": []})])
    assert either(script)("estimate", REQUEST).class_pairs == 3
    assert [request.headers["Prefer"] for request in script.requests] == ["wait=30"] * 3
    with pytest.raises(RequestRefused, match="artifact_not_found"):
        either(Script([refused("artifact_not_found")]))("estimate", REQUEST)


def test_an_estimate_does_not_wait_for_a_worker_that_never_comes(either: Make, pauses: list[float]) -> None:
    with pytest.raises(TimedOut, match="no worker has looked into the files after 0 s; is one running"):
        either(lambda _: refused("not_finished"))("estimate", REQUEST, timeout=0)


def test_a_failed_analysis_has_no_report(either: Make) -> None:
    with pytest.raises(AnalysisFailed) as caught:
        either(lambda _: refused("analysis_failed"))("report", AN)
    assert caught.value.exit_code == 4


REPORT = {"id": "rp_" + "1" * 30, "sha256": "0" * 64, "bytes": 1, "created_at": 0, "created_by": "x", "analysis": None}
REPORT |= {"schema_version": "1.0", "metric": "cosine", "classes": 2, "layers": 1, "findings": []}
BASELINE = {"name": "main", "version": 4, "report": REPORT, "note": "", "blessed_by": "x", "blessed_at": 0}


@pytest.mark.parametrize(
    ("known", "version", "condition"),
    [
        (ok(BASELINE), None, ("If-Match", '"4"')),
        (refused("baseline_not_found"), None, ("If-None-Match", "*")),
        (None, 3, ("If-Match", '"3"')),
        (None, "new", ("If-None-Match", "*")),
    ],
)
def test_blessing_says_what_it_assumes(either: Make, known: Any, version: Any, condition: tuple[str, str]) -> None:
    script = Script([*([known] if known else []), ok(BASELINE)])
    either(script)("bless", "main", AN, note="shipped", version=version)
    request = script.requests[-1]
    assert (request.method, request.url.path) == ("PUT", "/v1/baselines/main")
    assert request.headers[condition[0]] == condition[1]
    assert json.loads(request.content) == {"analysis": AN, "note": "shipped"}


@pytest.mark.parametrize(
    ("reference", "paths"),
    [
        (AN, [f"/v1/analyses/{AN}/report.html"]),
        (REPORT["id"], [f"/v1/reports/{REPORT['id']}.html"]),
        ("main", ["/v1/baselines/main", f"/v1/reports/{REPORT['id']}.html"]),
    ],
)
def test_a_report_has_several_names(either: Make, reference: str, paths: list[str]) -> None:
    script = Script([*([ok(BASELINE)] if len(paths) > 1 else []), httpx.Response(200, text="page")])
    assert either(script)("report_as", reference, "html") == b"page"
    assert [request.url.path for request in script.requests] == paths


@pytest.mark.parametrize("client", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("url", "key", "error", "says"),
    [
        ("", "", ServiceUnreachable, "INTERLAYER_SERVER"),
        (URL, "", ServiceUnreachable, "INTERLAYER_KEY"),
        ("lab.example:8000", "k", UsageError, "http://"),
        (URL, "il_\u2026", UsageError, "API key"),
        (URL, "il_1\nX: y", UsageError, "API key"),
    ],
)
def test_an_address_that_cannot_be_one(
    monkeypatch: pytest.MonkeyPatch, client: type, url: str, key: str, error: type[InterlayerError], says: str
) -> None:
    monkeypatch.delenv("INTERLAYER_SERVER", raising=False)
    monkeypatch.delenv("INTERLAYER_KEY", raising=False)
    with pytest.raises(error, match=says):
        client(url, key)


def public(client: type) -> dict[str, inspect.Signature]:
    return {name: inspect.signature(value) for name, value in vars(client).items() if not name.startswith("_")}


def test_both_clients_have_the_same_methods() -> None:
    assert public(Client).keys() == public(AsyncClient).keys()
    for name, signature in public(Client).items():
        assert list(signature.parameters) == list(public(AsyncClient)[name].parameters), name
        assert next(iter(signature.parameters)) == "self"
        assert len(inspect.getdoc(getattr(Client, name)) or "") > 15, name
        assert inspect.getdoc(getattr(AsyncClient, name)), name
