"""Analyses: accepted once, watched, canceled, listed."""

import threading
import uuid
from typing import Any

import pytest

from contract.schemas import Problem
from tests.service.conftest import MAX_UNFINISHED
from tests.service.running import Caller, Service, claim_of, succeed


class TestCreate:
    def test_an_accepted_request_is_a_queued_analysis(self, caller: Caller) -> None:
        artifact = caller.upload()
        answer = caller.post({"inputs": [{"artifact": artifact}], "tags": {"model": "ä"}})
        body = answer.json()
        assert answer.status_code == 202
        assert answer.headers["Location"] == f"/v1/analyses/{body['id']}"
        assert answer.headers["Retry-After"]
        assert "Idempotent-Replayed" not in answer.headers
        assert (body["status"], body["tags"], body["error"], body["report"]) == ("queued", {"model": "ä"}, None, None)
        assert body["execution"] == {
            "device": None,
            "attempts": 0,
            "workers": [],
            "durations": {},
            "parts": 1,
        }
        assert caller.http.get(answer.headers["Location"]).json() == body

    @pytest.mark.parametrize(
        ("change", "code", "pointer"),
        [
            ({"inputs": []}, "invalid_request", "/body/inputs"),
            ({"metric": "manhattan"}, "invalid_request", "/body/metric"),
            ({"metrics": "cosine"}, "invalid_request", "/body/metrics"),
            ({"seed": -1}, "invalid_request", "/body/seed"),
            ({"seed": 2**63}, "invalid_request", "/body/seed"),
            ({"seed": "0"}, "", ""),
            ({"sampling": {"per_class": 1}}, "invalid_request", "/body/sampling/per_class"),
            ({"sampling": {"per_class": "some"}}, "invalid_request", "/body/sampling/per_class"),
            ({"tests": {"n_resamples": 10**9}}, "invalid_request", "/body/tests/n_resamples"),
            ({"layers": {"include": [""]}}, "invalid_request", "/body/layers/include/0"),
            ({"layers": {"include": ["x"] * 10_001}}, "invalid_request", "/body/layers/include"),
            ({"components": {"a/b~c": ["x"]}}, "invalid_request", "/body/components/a~1b~0c"),
            ({"components": {"blocks": ["x", "x"]}}, "invalid_request", "/body"),
            ({"tags": {"a": "\x00"}}, "invalid_request", "/body/tags/a"),
            ({"tags": {"a\n": "x"}}, "invalid_request", "/body/tags/a"),
            ({"tags": {"a": "x" * 257}}, "invalid_request", "/body/tags/a"),
            ({"tags": {str(i): "" for i in range(33)}}, "invalid_request", "/body/tags"),
            ({"device": "cuda"}, "device_unavailable", ""),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_a_request_that_does_not_fit_is_refused(
        self, caller: Caller, change: dict[str, Any], code: str, pointer: str
    ) -> None:
        answer = caller.post({"inputs": [{"artifact": caller.upload()}], **change})
        body = answer.json()
        if not code:
            assert answer.status_code in (202, 422)
            return
        assert (answer.status_code, body["code"]) == (422, code)
        assert not pointer or body["errors"][0]["pointer"].startswith(pointer)

    @pytest.mark.parametrize(
        "item",
        [
            {},
            {"artifact": "sha256:xyz"},
            {"artifact": "../../etc/passwd"},
            {"artifact": "sha256:" + "0" * 64, "model": {"name": "x"}},
            {"model": {"name": "x"}},
            {"model": {}, "data": {}},
            {"artifact": "sha256:" + "0" * 64, "step": -1},
            {"artifact": "sha256:" + "0" * 64, "instance": ""},
        ],
        ids=str,
    )
    def test_an_input_that_is_none_is_refused(self, caller: Caller, item: dict[str, Any]) -> None:
        answer = caller.post({"inputs": [item]})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

    def test_a_model_that_nobody_registered(self, caller: Caller) -> None:
        answer = caller.post({"inputs": [{"model": {"name": "x"}, "data": {"name": "y"}}]})
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_model")

    def test_the_same_role_twice_is_refused(self, caller: Caller) -> None:
        artifact = caller.upload()
        answer = caller.post({"inputs": [{"artifact": artifact}, {"artifact": artifact}]})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "give each its own" in answer.json()["detail"]

    def test_an_artifact_that_is_not_there(self, caller: Caller) -> None:
        answer = caller.post({"inputs": [{"artifact": caller.upload()}, {"artifact": "sha256:" + "0" * 64, "step": 1}]})
        assert (answer.status_code, answer.json()["code"]) == (404, "artifact_not_found")
        assert answer.json()["errors"][0]["pointer"] == "/body/inputs/1/artifact"

    def test_too_many_unfinished_analyses(self, caller: Caller) -> None:
        artifact = caller.upload()
        for _ in range(MAX_UNFINISHED):
            caller.submit(artifact)
        answer = caller.post({"inputs": [{"artifact": artifact}]})
        assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
        assert answer.headers["Retry-After"]
        assert answer.json()["retryable"] is True


class TestIdempotency:
    def test_a_repeated_request_is_the_same_analysis(self, caller: Caller) -> None:
        body = {"inputs": [{"artifact": caller.upload()}]}
        key = {"Idempotency-Key": str(uuid.uuid4())}
        first, again = caller.post(body, **key), caller.post(body, **key)
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["Idempotent-Replayed"] == "true"
        spelled_out = caller.post({**body, "metric": "euclidean"}, **key)
        assert spelled_out.json()["id"] == first.json()["id"], "a default that is spelled out changes nothing"

    def test_another_body_under_the_same_key_is_refused(self, caller: Caller) -> None:
        body = {"inputs": [{"artifact": caller.upload()}]}
        caller.post(body, **{"Idempotency-Key": "k"})
        answer = caller.post({**body, "seed": 1}, **{"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\xe4"])
    def test_a_key_must_be_short_printable_ascii(self, caller: Caller, key: str) -> None:
        headers: Any = {"Idempotency-Key": key.encode("latin1")}
        answer = caller.http.post("/v1/analyses", json={"inputs": [{"artifact": caller.upload()}]}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")

    def test_many_at_once_are_one(self, caller: Caller) -> None:
        body = {"inputs": [{"artifact": caller.upload()}]}
        ids: list[str] = []

        def send() -> None:
            ids.append(caller.post(body, **{"Idempotency-Key": "k"}).json()["id"])

        threads = [threading.Thread(target=send) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ids) == 10
        assert len(set(ids)) == 1


class TestCancel:
    def test_a_queued_analysis(self, caller: Caller) -> None:
        analysis_id = caller.submit()
        for _ in range(2):
            answer = caller.http.post(f"/v1/analyses/{analysis_id}/cancel")
            assert (answer.status_code, answer.json()["status"]) == (200, "canceled")

    def test_a_running_analysis(self, service: Service, caller: Caller) -> None:
        analysis_id = caller.submit()
        claim = claim_of(service, analysis_id)
        for _ in range(2):
            answer = caller.http.post(f"/v1/analyses/{analysis_id}/cancel")
            assert (answer.status_code, answer.json()["status"]) == (200, "canceling")
        assert service.stores.jobs.heartbeat(claim, 60.0, None) == "cancel"

    def test_a_finished_analysis_stays(self, service: Service, caller: Caller) -> None:
        analysis_id = caller.submit()
        succeed(service, analysis_id)
        answer = caller.http.post(f"/v1/analyses/{analysis_id}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "already_finished")
        assert caller.http.get(f"/v1/analyses/{analysis_id}").json()["status"] == "succeeded"


class TestRetry:
    def test_what_failed_is_tried_again_as_one_new_analysis(self, service: Service, caller: Caller) -> None:
        failed = caller.submit()
        assert service.stores.jobs.fail(claim_of(service, failed), Problem.of("worker_lost", "…"))
        answers = [caller.http.post(f"/v1/analyses/{failed}/retry") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        (again,) = {answer.json()["id"] for answer in answers}
        assert again != failed
        assert answers[0].headers["Location"] == f"/v1/analyses/{again}"
        tenant = claim_of(service, again).tenant
        requests = [service.stores.jobs.request(tenant, each) for each in (failed, again)]
        assert requests[0] == requests[1]
        assert caller.http.get(f"/v1/analyses/{failed}").json()["status"] == "failed", "what has ended stays"

    def test_what_was_canceled_may_be_tried_again(self, caller: Caller) -> None:
        canceled = caller.submit()
        caller.http.post(f"/v1/analyses/{canceled}/cancel")
        assert caller.http.post(f"/v1/analyses/{canceled}/retry").json()["status"] == "queued"

    def test_what_runs_or_has_succeeded_is_not_tried_again(self, service: Service, caller: Caller) -> None:
        waiting, done = caller.submit(), caller.submit()
        succeed(service, done)
        for job, code in ((waiting, "not_finished"), (done, "already_finished"), ("an_" + "0" * 30, "not_found")):
            assert caller.http.post(f"/v1/analyses/{job}/retry").json()["code"] == code


class TestDelete:
    def test_only_finished_ones(self, service: Service, caller: Caller) -> None:
        analysis_id = caller.submit()
        answer = caller.http.delete(f"/v1/analyses/{analysis_id}")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_finished")
        succeed(service, analysis_id)
        assert caller.http.delete(f"/v1/analyses/{analysis_id}").status_code == 204
        for method in ("GET", "DELETE"):
            assert caller.http.request(method, f"/v1/analyses/{analysis_id}").status_code == 404


class TestList:
    def get(self, caller: Caller, **parameters: Any) -> Any:
        answer = caller.http.get("/v1/analyses", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def test_page_by_page(self, caller: Caller) -> None:
        artifact = caller.upload()
        ids = [caller.submit(artifact) for _ in range(5)]
        seen: list[str] = []
        page = self.get(caller, limit=2)
        while True:
            seen += [item["id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            page = self.get(caller, limit=2, cursor=page["next_cursor"])
        assert seen == ids[::-1]
        assert self.get(caller, limit=5)["next_cursor"] is None, "a full last page has no next one"

    def test_filters(self, service: Service, caller: Caller) -> None:
        artifact = caller.upload()
        done = caller.submit(artifact, tags={"run": "1:2"})
        caller.submit(artifact, tags={"run": "3"})
        succeed(service, done)
        assert [item["id"] for item in self.get(caller, status="succeeded")["items"]] == [done]
        assert [item["id"] for item in self.get(caller, tag="run:1:2")["items"]] == [done]
        assert self.get(caller, tag="run:3", status="succeeded")["items"] == []
        assert self.get(service.caller())["items"] == []

    @pytest.mark.parametrize(
        ("parameters", "status", "code"),
        [
            ({"cursor": "x"}, 400, "invalid_cursor"),
            ({"cursor": "YW5feA"}, 400, "invalid_cursor"),
            ({"cursor": "ä"}, 400, "invalid_cursor"),
            ({"cursor": "\x00"}, 400, "invalid_cursor"),
            ({"cursor": "'; DROP TABLE jobs; --"}, 400, "invalid_cursor"),
            ({"limit": "0"}, 422, "invalid_request"),
            ({"limit": "201"}, 422, "invalid_request"),
            ({"status": "done"}, 422, "invalid_request"),
            ({"tag": "no-colon"}, 422, "invalid_request"),
            ({"tag": "a:\x00"}, 422, "invalid_request"),
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused(
        self, caller: Caller, parameters: dict[str, str], status: int, code: str
    ) -> None:
        answer = caller.http.get("/v1/analyses", params=parameters)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_failed_analysis_says_why(service: Service, caller: Caller) -> None:
    analysis_id = caller.submit()
    problem = Problem.of("non_finite", "layer '0.Input' holds NaN; record it again")
    service.stores.jobs.fail(claim_of(service, analysis_id), problem)
    body = caller.http.get(f"/v1/analyses/{analysis_id}").json()
    assert (body["status"], body["error"]["code"], body["error"]["detail"]) == ("failed", "non_finite", problem.detail)
