"""Reports that were made elsewhere join the history; what no analysis could have made does not."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contract.settings import Settings
from tests.service.conftest import History
from tests.service.running import Caller, Service, serving


def push(caller: Caller, content: bytes, **headers: str) -> httpx.Response:
    return caller.http.post("/v1/reports", content=content, headers={"Content-Type": "application/json"} | headers)


def test_a_report_joins_the_history_once(caller: Caller, report: bytes) -> None:
    first, again = push(caller, report), push(caller, report)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    stored = first.json()
    assert stored["sha256"] == hashlib.sha256(report).hexdigest()
    assert (stored["bytes"], stored["layers"], stored["classes"]) == (len(report), 3, 3)
    assert stored["analysis"] is None
    assert first.headers["Location"] == f"/v1/reports/{stored['id']}"
    assert caller.http.get("/v1/reports").json()["items"] == [stored]


@pytest.mark.parametrize("suffix", ["json", "html", "md", "csv", "xml", "sarif"])
def test_it_is_shown_as_the_one_of_the_analysis(history: History, report: bytes, suffix: str) -> None:
    report_id = push(history.caller, report).json()["id"]
    stored = history.caller.http.get(f"/v1/reports/{report_id}.{suffix}")
    made = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report.{suffix}")
    assert (stored.status_code, stored.content) == (200, made.content)
    assert stored.headers["Content-Type"] == made.headers["Content-Type"]
    accept = made.headers["Content-Type"].split(";")[0]
    assert history.caller.http.get(f"/v1/reports/{report_id}", headers={"Accept": accept}).content == made.content


def test_the_history_has_pages(caller: Caller, report: bytes) -> None:
    # Spaces are different bytes, so these are different reports.
    ids = [push(caller, report + b" " * n).json()["id"] for n in range(3)]
    page = caller.http.get("/v1/reports", params={"limit": 2}).json()
    assert [item["id"] for item in page["items"]] == ids[:0:-1]
    rest = caller.http.get("/v1/reports", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [item["id"] for item in rest["items"]] == ids[:1]
    assert rest["next_cursor"] is None
    assert caller.http.get("/v1/reports", params={"cursor": "x"}).json()["code"] == "invalid_cursor"


def test_what_others_sent_does_not_exist(service: Service, caller: Caller, report: bytes) -> None:
    report_id = push(caller, report).json()["id"]
    stranger = service.caller()
    for path in (f"/v1/reports/{report_id}", f"/v1/reports/{report_id}.html"):
        assert stranger.http.get(path).status_code == 404
    assert stranger.http.delete(f"/v1/reports/{report_id}").status_code == 404
    assert stranger.http.get("/v1/reports").json()["items"] == []
    assert push(stranger, report).status_code == 201, "nobody can tell what others have sent"
    assert caller.http.delete(f"/v1/reports/{report_id}").status_code == 204
    assert caller.http.get(f"/v1/reports/{report_id}").status_code == 404


def test_sending_needs_the_scope(service: Service, report: bytes) -> None:
    reader = service.caller(scopes=("read",))
    assert push(reader, report).json()["code"] == "insufficient_scope"
    assert reader.http.get("/v1/reports").status_code == 200


def changed(report: bytes, change: Callable[[Any], object]) -> bytes:
    found = json.loads(report)
    change(found)
    return json.dumps(found).encode()


def pairs(report: Any) -> Any:
    return report["separations"][0]["pairs"]


SPOILT: dict[str, tuple[Callable[[Any], object], str]] = {
    "of a newer schema": (lambda r: r.update(schema_version="2.0"), "report_schema_unsupported"),
    "of no version": (lambda r: r.update(schema_version="new"), "report_invalid"),
    "of a version in other digits": (lambda r: r.update(schema_version="\u0661.0"), "report_invalid"),
    "something else": (lambda r: r.update(schema="interlayer-verdict"), "report_invalid"),
    "without layers": (lambda r: r.update(separations=[], tests=[], layers=[]), "report_invalid"),
    "with a layer twice": (lambda r: r["separations"].append(r["separations"][0]), "report_invalid"),
    "with a field of another type": (lambda r: r.update(findings={}), "report_invalid"),
    "with a statistic that its edges do not give": (
        lambda r: pairs(r).update(statistic=[0.9] * 3),
        "report_invalid",
    ),
    "with more edges than a tree has": (lambda r: pairs(r).update(cross_edges=[1e6] * 3), "report_invalid"),
    "with a mean of its own": (lambda r: r["separations"][1].update(mean=0.999), "report_invalid"),
    "with a p-value above one": (lambda r: pairs(r).update(p_value=[2.0] * 3), "report_invalid"),
    "with fewer pairs than classes": (lambda r: r["separations"][0].update(n_classes=5), "report_invalid"),
    "with no points": (lambda r: pairs(r).update(n_a=[0] * 3), "report_invalid"),
    "with columns of different length": (lambda r: pairs(r).update(n_a=[36]), "report_invalid"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_report_that_is(caller: Caller, report: bytes, name: str) -> None:
    change, code = SPOILT[name]
    answer = push(caller, changed(report, change))
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert caller.http.get("/v1/reports").json()["items"] == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_json"),
        (b"not JSON", "invalid_json"),
        (b'{"schema": "interlayer-report", "mean": NaN}', "invalid_json"),
        (b'{"schema": "interlayer-report", "mean": 1e999}', "report_invalid"),
        (b'{"schema": "interlayer-report", "schema": "interlayer-report"}', "invalid_json"),
        (b'{"schema": "\xff"}', "invalid_json"),
        (rb'{"schema": "\ud800"}', "invalid_json"),
        (b'{"schema": ' + b"[" * 100_000, "invalid_json"),
        (b"[]", "report_invalid"),
    ],
)
def test_bytes_that_are_no_report(caller: Caller, content: bytes, code: str) -> None:
    assert push(caller, content).json()["code"] == code


def test_numbers_that_do_not_exist_are_refused_wherever_they_stand(caller: Caller, report: bytes) -> None:
    mean = json.loads(report)["separations"][0]["mean"]
    for number in (b"NaN", b"Infinity", b"1e999"):
        spoilt = report.replace(b'"mean":%s' % json.dumps(mean).encode(), b'"mean":%s' % number, 1)
        assert spoilt != report
        assert push(caller, spoilt).json()["code"] in ("invalid_json", "report_invalid")


def test_fields_of_a_later_minor_version_are_kept(caller: Caller, report: bytes) -> None:
    newer = changed(report, lambda r: r.update(schema_version="1.7", novelty={"a": 1}))
    stored = push(caller, newer).json()
    assert stored["schema_version"] == "1.7"
    assert caller.http.get(f"/v1/reports/{stored['id']}").content == newer


def test_only_json_of_some_size_is_taken(settings: Settings, report: bytes) -> None:
    with serving(settings.model_copy(update={"max_report_bytes": len(report)})) as service:
        caller = service.caller()
        assert push(caller, report).status_code == 201
        assert push(caller, report + b" ").json()["code"] == "report_too_large"
        chunks = (report[i : i + 1000] for i in range(0, len(report), 1000))
        json_type = {"Content-Type": "application/json"}
        assert caller.http.post("/v1/reports", content=chunks, headers=json_type).status_code == 200
        chunks = (b" " * 1000 for _ in range(1000))
        answer = caller.http.post("/v1/reports", content=chunks, headers=json_type)
        assert answer.json()["code"] == "report_too_large"
        assert push(caller, report, **{"Content-Type": "text/plain"}).status_code == 415
        assert push(caller, report, **{"Content-Encoding": "gzip"}).status_code == 415
        assert service.temporary_files() == []


def test_without_room_nothing_is_kept(caller: Caller, report: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.blobs.Blobs.free_bytes", lambda _: -1)
    assert push(caller, report).json()["code"] == "insufficient_storage"
    monkeypatch.undo()
    assert caller.http.get("/v1/reports").json()["items"] == []
