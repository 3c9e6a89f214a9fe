"""Analyses are waited for, and their changes followed as they come."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from contract.schemas import Progress
from tests.service.running import Caller, Service, claim_of, later, succeed


class TestWait:
    def test_the_answer_comes_with_the_end(self, service: Service, caller: Caller) -> None:
        analysis_id = caller.submit()
        timer = later(succeed, service, analysis_id)
        body = caller.http.get(f"/v1/analyses/{analysis_id}", params={"wait": 60}).json()
        timer.join()
        assert body["status"] == "succeeded"

    def test_without_an_end_the_answer_comes_in_time(self, caller: Caller) -> None:
        analysis_id = caller.submit()
        start = time.monotonic()
        assert caller.http.get(f"/v1/analyses/{analysis_id}", params={"wait": 0.2}).json()["status"] == "queued"
        assert time.monotonic() - start >= 0.2

    def test_submit_may_wait_too(self, service: Service, caller: Caller) -> None:
        body = {"inputs": [{"artifact": caller.upload()}]}
        first = caller.post(body, **{"Idempotency-Key": "k"}).json()["id"]
        succeed(service, first)
        done = caller.post(body, **{"Idempotency-Key": "k", "Prefer": "respond-async, wait=60"})
        assert (done.status_code, done.json()["status"]) == (200, "succeeded")
        assert "Retry-After" not in done.headers

    @pytest.mark.parametrize("prefer", ["wait", "wait=", "wait=-1", "wait=x", "wait=\xb2", "wait=1e9", ",,=,"])
    def test_a_preference_that_makes_no_sense_is_ignored(self, caller: Caller, prefer: str) -> None:
        headers: Any = {"Prefer": prefer.encode("latin1")}
        answer = caller.http.post("/v1/analyses", json={"inputs": [{"artifact": caller.upload()}]}, headers=headers)
        assert answer.status_code == 202

    @pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "x", ""])
    def test_a_wait_out_of_bounds_is_refused(self, caller: Caller, wait: str) -> None:
        answer = caller.http.get(f"/v1/analyses/{caller.submit()}", params={"wait": wait})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def events(caller: Caller, analysis_id: str, **headers: str) -> Iterator[tuple[str, Any]]:
    """Yield (id, analysis) of the event stream until it ends."""
    with caller.http.stream("GET", f"/v1/analyses/{analysis_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        event_id = data = ""
        for line in answer.iter_lines():
            if line.startswith("id:"):
                event_id = line[3:].strip()
            elif line.startswith("data:"):
                data = line[5:]
            elif not line and data:
                yield event_id, json.loads(data)
                data = ""


class TestEvents:
    def test_every_change_is_an_event_until_the_end(self, service: Service, caller: Caller) -> None:
        analysis_id = caller.submit()
        stream = events(caller, analysis_id)
        seen = [next(stream)]
        claim = claim_of(service, analysis_id)
        seen.append(next(stream))
        progress = Progress(stage="0.Input", done=1, total=3, fraction=0.25)
        service.stores.jobs.heartbeat(claim, 60.0, progress)
        seen.append(next(stream))
        service.stores.jobs.succeed(claim, report_sha256="0" * 64, device="cpu")
        seen += list(stream)
        assert [body["status"] for _, body in seen] == ["queued", "running", "running", "succeeded"]
        assert seen[2][1]["progress"] == progress.model_dump()
        assert len({event_id for event_id, _ in seen}) == 4
        assert seen[-1][1] == caller.http.get(f"/v1/analyses/{analysis_id}").json()

    def test_who_comes_back_gets_what_was_missed_and_no_more(self, service: Service, caller: Caller) -> None:
        analysis_id = caller.submit()
        first, _ = next(events(caller, analysis_id))
        succeed(service, analysis_id)
        missed = list(events(caller, analysis_id, **{"Last-Event-ID": first}))
        assert [body["status"] for _, body in missed] == ["succeeded"]
        assert list(events(caller, analysis_id, **{"Last-Event-ID": missed[-1][0]})) == []
        assert len(list(events(caller, analysis_id, **{"Last-Event-ID": "of something else"}))) == 1

    def test_there_is_no_stream_of_what_is_not_there(self, caller: Caller) -> None:
        answer = caller.http.get(f"/v1/analyses/an_{'0' * 30}/events")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    def test_a_stream_ends_when_the_analysis_is_deleted(self, service: Service, caller: Caller) -> None:
        analysis_id = caller.submit()
        stream = events(caller, analysis_id)
        next(stream)
        succeed(service, analysis_id)
        caller.http.delete(f"/v1/analyses/{analysis_id}")
        assert len(list(stream)) <= 1
