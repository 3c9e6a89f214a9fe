"""Reports compared over REST, by whichever of their names."""

import json

import pytest

from contract.schemas import Report
from contract.schemas.comparison import Comparison
from interlayer.comparison import compare
from tests.service.conftest import History
from tests.service.running import Caller, Service
from tests.service.test_history import changed, push


@pytest.fixture
def ids(caller: Caller, report: bytes) -> list[str]:
    """Two reports of the caller: one as it was made, and one of other findings."""
    return [
        push(caller, content).json()["id"] for content in (report, changed(report, lambda r: r.update(findings=[])))
    ]


def test_two_reports(caller: Caller, ids: list[str], report: bytes) -> None:
    answer = caller.http.post("/v1/comparisons", json={"base": {"report": ids[0]}, "candidate": {"report": ids[1]}})
    assert answer.status_code == 200
    parsed = Report.model_validate_json(report)
    assert Comparison.model_validate_json(answer.content) == compare(parsed, parsed)


@pytest.mark.parametrize(
    ("accept", "media_type", "start"),
    [
        ("text/html", "text/html", "<!doctype html>"),
        ("text/markdown", "text/markdown", "## Change"),
        ("*/*", "application/json", "{"),
    ],
)
def test_accept_decides(caller: Caller, ids: list[str], accept: str, media_type: str, start: str) -> None:
    body = {"base": {"report": ids[0]}, "candidate": {"report": ids[1]}}
    answer = caller.http.post("/v1/comparisons", json=body, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, media_type)
    assert answer.text.startswith(start)
    assert caller.http.post("/v1/comparisons", json=body, headers={"Accept": "image/png"}).status_code == 406
    assert caller.http.post("/v1/comparisons", json=body, headers={"Accept": "text/csv"}).status_code == 406


def test_every_name_of_a_report(history: History, report: bytes) -> None:
    caller = history.caller
    report_id = push(caller, report).json()["id"]
    named = caller.http.put("/v1/baselines/compared", json={"report": report_id}, headers={"If-None-Match": "*"})
    assert named.status_code == 201
    for base in ({"analysis": history.succeeded}, {"report": report_id}, {"baseline": "compared"}):
        answer = caller.http.post("/v1/comparisons", json={"base": base, "candidate": {"report": report_id}})
        assert answer.json()["comparable"] is True
    caller.http.delete("/v1/baselines/compared", headers={"If-Match": "*"}).raise_for_status()


def test_reports_that_cannot_be_compared_say_why(caller: Caller, ids: list[str], report: bytes) -> None:
    other = changed(report, lambda r: r["provenance"].update(metric="cosine"))
    other_id = push(caller, other).json()["id"]
    answer = caller.http.post("/v1/comparisons", json={"base": {"report": ids[0]}, "candidate": {"report": other_id}})
    found = json.loads(answer.content)
    assert (found["comparable"], found["changes"]) == (False, [])
    assert [item["field"] for item in found["differences"]] == ["metric"]


def test_what_does_not_exist_or_is_not_ones_own(service: Service, history: History, ids: list[str]) -> None:
    stranger = service.caller()
    own = push(stranger, history.caller.http.get(f"/v1/analyses/{history.succeeded}/report").content).json()["id"]
    for base, code in (
        ({"report": ids[0]}, "not_found"),
        ({"analysis": history.succeeded}, "not_found"),
        ({"baseline": "main"}, "baseline_not_found"),
        ({}, "invalid_request"),
        ({"report": own, "baseline": "main"}, "invalid_request"),
    ):
        answer = stranger.http.post("/v1/comparisons", json={"base": base, "candidate": {"report": own}})
        assert answer.json()["code"] == code
