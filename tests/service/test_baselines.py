"""Baselines: named, with a history, changed only by who knows what they are changing."""

import threading
from typing import Any

import httpx
import pytest

from contract.baselines import ANY, NONE, Baselines
from contract.database import Database
from contract.keys import Keys
from contract.report_history import ReportHistory
from contract.schemas import ProblemError, Report
from tests.service.conftest import History
from tests.service.running import Caller, Service
from tests.service.test_history import push

NEW = {"If-None-Match": "*"}


def bless(caller: Caller, body: Any, headers: dict[str, str], name: str = "main") -> httpx.Response:
    return caller.http.put(f"/v1/baselines/{name}", json=body, headers=headers)


def test_a_name_is_given_changed_and_given_up(caller: Caller, report: bytes) -> None:
    old, new = (push(caller, report + b" " * n).json() for n in range(2))
    answer = bless(caller, {"report": old["id"], "note": "the first that ships"}, NEW)
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"')
    assert answer.json()["report"] == old
    answer = bless(caller, {"report": new["id"]}, {"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    found = caller.http.get("/v1/baselines/main")
    assert (found.headers["ETag"], found.json()["report"], found.json()["blessed_by"]) == ('"2"', new, "test")
    assert caller.http.get("/v1/baselines").json() == [found.json()]
    assert caller.http.delete("/v1/baselines/main", headers={"If-Match": '"2"'}).status_code == 204
    assert caller.http.get("/v1/baselines/main").json()["code"] == "baseline_not_found"
    assert caller.http.get("/v1/baselines").json() == []
    history = caller.http.get("/v1/baselines/main/history").json()
    assert [(change["version"], change["action"], change["report"], change["note"]) for change in history] == [
        (3, "delete", None, ""),
        (2, "bless", new["id"], ""),
        (1, "bless", old["id"], "the first that ships"),
    ]
    # The name can be given anew; its versions go on, so that an old ETag never fits again.
    assert bless(caller, {"report": old["id"]}, {"If-Match": '"2"'}).json()["code"] == "baseline_changed"
    assert bless(caller, {"report": old["id"]}, NEW).headers["ETag"] == '"4"'


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 428, "precondition_required"),
        ({"If-None-Match": "*"}, 412, "baseline_changed"),
        ({"If-Match": '"7"'}, 412, "baseline_changed"),
        ({"If-Match": 'W/"1"'}, 412, "baseline_changed"),
        ({"If-Match": "1"}, 412, "baseline_changed"),
        ({"If-None-Match": '"1"'}, 422, "invalid_request"),
        ({"If-Match": '"1"', "If-None-Match": "*"}, 422, "invalid_request"),
    ],
)
def test_nobody_is_overruled(caller: Caller, report: bytes, headers: dict[str, str], status: int, code: str) -> None:
    stored = push(caller, report).json()
    bless(caller, {"report": stored["id"]}, NEW).raise_for_status()
    answer = bless(caller, {"report": stored["id"]}, headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if "If-None-Match" not in headers:
        answer = caller.http.delete("/v1/baselines/main", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert caller.http.get("/v1/baselines/main").json()["version"] == 1
    assert bless(caller, {"report": stored["id"]}, {"If-Match": "*"}).status_code == 200


def test_what_a_name_cannot_mean(caller: Caller, history: History, report: bytes) -> None:
    stored = push(caller, report).json()["id"]
    absent = "rp_" + "0" * 30
    assert bless(caller, {"report": absent}, NEW).status_code == 404
    assert bless(caller, {"report": stored}, {"If-Match": "*"}).status_code == 412, "there is none yet"
    assert bless(caller, {"baseline": "other"}, NEW).json()["code"] == "baseline_not_found"
    assert bless(caller, {"analysis": history.succeeded}, NEW).status_code == 404, "another tenant's"
    assert bless(history.caller, {"analysis": history.queued}, NEW).json()["code"] == "not_finished"
    assert bless(history.caller, {"analysis": history.failed}, NEW).json()["code"] == "analysis_failed"
    for body in ({}, {"report": stored, "baseline": "x"}, {"report": "x"}, {"report": stored, "note": "\x1b[31m"}):
        assert bless(caller, body, NEW).json()["code"] == "invalid_request"
    for name in ("-x", "a%2Fb", "x" * 101, "%00"):
        assert bless(caller, {"report": stored}, NEW, name).status_code == 404
    assert caller.http.get("/v1/baselines").json() == []
    assert caller.http.delete("/v1/baselines/main", headers={"If-Match": "*"}).status_code == 404
    assert caller.http.get("/v1/baselines/main/history").status_code == 404


def test_a_blessed_report_is_pinned(caller: Caller, report: bytes) -> None:
    stored = push(caller, report).json()["id"]
    bless(caller, {"report": stored}, NEW).raise_for_status()
    answer = caller.http.delete(f"/v1/reports/{stored}")
    assert (answer.status_code, answer.json()["code"]) == (409, "report_blessed")
    assert "main" in answer.json()["detail"]
    caller.http.delete("/v1/baselines/main", headers={"If-Match": "*"}).raise_for_status()
    assert caller.http.delete(f"/v1/reports/{stored}").status_code == 204


def test_the_report_of_an_analysis_outlives_it(service: Service, history: History, report: bytes) -> None:
    caller = history.caller
    body = {"analysis": history.succeeded}
    blessed = bless(caller, body, NEW, "of-analysis").json()["report"]
    assert blessed["analysis"] in (history.succeeded, None)  # None where the same bytes had been sent before
    copied = bless(caller, {"baseline": "of-analysis"}, NEW, "copy").json()
    assert copied["report"] == blessed
    assert caller.http.get(f"/v1/reports/{blessed['id']}").content == report
    for name in ("of-analysis", "copy"):
        caller.http.delete(f"/v1/baselines/{name}", headers={"If-Match": "*"}).raise_for_status()


def test_changing_needs_the_scope(service: Service, report: bytes) -> None:
    reader = service.caller(scopes=("read",))
    assert bless(reader, {"report": "rp_" + "0" * 30}, NEW).json()["code"] == "insufficient_scope"
    assert reader.http.get("/v1/baselines").status_code == 200


class TestStore:
    """The same on both databases, and under contention."""

    def test_of_many_who_assume_the_same_one_succeeds(self, any_database: Database, report: bytes) -> None:
        key = Keys(any_database).create("lab", "somebody", ("submit",))
        history, baselines = ReportHistory(any_database), Baselines(any_database)
        stored, _ = history.add("lab", key.id, "0" * 64, len(report), Report.model_validate_json(report))
        baselines.bless("lab", key.id, "main", stored.id, note="", assumed=NONE)
        outcomes: list[str] = []

        def bless_once() -> None:
            try:
                baselines.bless("lab", key.id, "main", stored.id, note="", assumed=1)
                outcomes.append("blessed")
            except ProblemError as error:
                outcomes.append(error.problem.code)

        threads = [threading.Thread(target=bless_once) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["baseline_changed"] * 7 + ["blessed"]
        assert [change.version for change in baselines.history("lab", "main")] == [2, 1]

    def test_a_report_is_never_deleted_under_a_baseline(self, any_database: Database, report: bytes) -> None:
        key = Keys(any_database).create("lab", "somebody", ("submit",))
        history, baselines = ReportHistory(any_database), Baselines(any_database)
        parsed = Report.model_validate_json(report)
        for trial in range(10):
            stored, _ = history.add("lab", key.id, f"{trial:064x}", len(report), parsed)
            outcomes: list[object] = []

            def delete(report_id: str = stored.id, outcomes: list[object] = outcomes) -> None:
                outcomes.append(history.delete("lab", report_id))

            thread = threading.Thread(target=delete)
            thread.start()
            try:
                baselines.bless("lab", key.id, f"b{trial}", stored.id, note="", assumed=NONE)
            except ProblemError as error:  # the deletion was first
                outcomes.append(error.problem.code)
            thread.join()
            blessed = baselines.get("lab", f"b{trial}")
            deleted = history.get("lab", stored.id) is None
            assert deleted == (blessed is None)
            assert set(outcomes) == ({True, "not_found"} if deleted else {f"b{trial}"})
            assert baselines.list("lab") == [b for n in range(trial + 1) if (b := baselines.get("lab", f"b{n}"))]

    def test_history_outlives_the_key(self, any_database: Database, report: bytes) -> None:
        keys = Keys(any_database)
        key = keys.create("lab", "the release robot", ("submit",))
        stored, _ = ReportHistory(any_database).add("lab", key.id, "a" * 64, 1, Report.model_validate_json(report))
        Baselines(any_database).bless("lab", key.id, "main", stored.id, note="", assumed=NONE)
        keys.delete("lab", key.id)
        Baselines(any_database).give_up("lab", "0" * 16, "main", assumed=ANY)
        by = [change.by for change in Baselines(any_database).history("lab", "main")]
        assert by == ["0" * 16, "the release robot"]
