"""What an analysis would take is told without starting it."""

from typing import Any

import pytest

from contract.schemas import Problem
from tests.service.conftest import History
from tests.service.running import Caller, Service, later


class TestEstimate:
    def estimate(self, caller: Caller, body: Any) -> Any:
        return caller.http.post("/v1/analyses:estimate", json=body)

    def test_from_the_headers_of_the_inputs(self, history: History) -> None:
        body = {"inputs": [{"artifact": history.artifact}]}
        answer = self.estimate(history.caller, body)
        assert answer.status_code == 200
        found = answer.json()
        assert (found["class_pairs"], found["rows_per_class"], found["time_class"]) == (3, 36, "seconds")
        assert found["memory_bytes"] >= 108 * 6 * 4
        assert 0 < found["seconds"] < 60
        too_many = self.estimate(history.caller, {**body, "sampling": {"per_class": 50}}).json()
        assert any("50" in note for note in too_many["notes"])

    def test_nothing_is_started(self, history: History) -> None:
        before = history.caller.http.get("/v1/analyses").json()
        self.estimate(history.caller, {"inputs": [{"artifact": history.artifact}]})
        assert history.caller.http.get("/v1/analyses").json() == before

    def test_an_uninspected_or_absent_input(self, caller: Caller) -> None:
        answer = self.estimate(caller, {"inputs": [{"artifact": caller.upload()}]})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_finished")
        assert answer.headers["Retry-After"] == "1"
        answer = self.estimate(caller, {"inputs": [{"artifact": "sha256:" + "0" * 64}]})
        assert (answer.status_code, answer.json()["code"]) == (404, "artifact_not_found")

    @pytest.mark.parametrize("usable", [True, False])
    def test_a_new_input_is_waited_for(self, service: Service, history: History, usable: bool) -> None:
        caller = service.caller()
        artifact = caller.upload(seed=1)
        known = service.stores.artifacts.get(history.caller.tenant, history.artifact.removeprefix("sha256:"))
        assert known is not None
        assert known.inspection is not None
        found = known.inspection if usable else Problem.of("non_finite", "layer '0.Input' holds NaN")
        timer = later(service.stores.artifacts.inspected, caller.tenant, artifact.removeprefix("sha256:"), found)
        body = {"inputs": [{"artifact": artifact}]}
        answer = caller.http.post("/v1/analyses:estimate", json=body, headers={"Prefer": "wait=60"})
        timer.join()
        assert (answer.status_code, answer.json().get("code")) == ((200, None) if usable else (422, "non_finite"))
