"""What the service says of itself."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
from jsonschema.validators import Draft202012Validator
from pydantic import SecretStr

from contract.schemas import PROBLEMS, AnalysisRequest
from contract.settings import Settings
from tests.conftest import PostgreSQL
from tests.service.conftest import MAX_ARTIFACT_BYTES, MAX_UNFINISHED, History
from tests.service.running import Caller, Service, serving


def test_it_lives_and_is_ready(service: Service) -> None:
    assert httpx.get(f"{service.url}/healthz").json() == {"status": "alive"}
    assert httpx.get(f"{service.url}/readyz").status_code == 200


def test_a_full_disk_is_not_ready(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.blobs.Blobs.free_bytes", lambda _: -1)
    answer = httpx.get(f"{service.url}/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert httpx.get(f"{service.url}/healthz").status_code == 200


def test_capabilities_are_those_of_the_settings(caller: Caller) -> None:
    found = caller.http.get("/v1/capabilities").json()
    assert found["max_artifact_bytes"] == MAX_ARTIFACT_BYTES
    assert found["max_unfinished_jobs"] == MAX_UNFINISHED
    assert found["devices"] == ["cpu"]


def test_people_are_sent_to_the_description(service: Service) -> None:
    answer = httpx.get(service.url, follow_redirects=True)
    assert answer.status_code == 200
    assert "text/html" in answer.headers["Content-Type"]


class TestReportSchema:
    @pytest.fixture
    def schema(self, service: Service) -> Any:
        found = httpx.get(f"{service.url}/v1/schemas/report/1.json").json()
        Draft202012Validator.check_schema(found)
        return found

    def test_a_real_report_is_valid(self, schema: Any, history: History) -> None:
        report = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report").json()
        jsonschema.validate(report, schema)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda report: report.update(schema="another"),
            lambda report: report.pop("separations"),
            lambda report: report["separations"][0].update(mean="0.5"),
            lambda report: report["separations"][0]["pairs"].update(statistic=[None]),
            lambda report: report["provenance"].update(metric="manhattan"),
        ],
    )
    def test_a_spoilt_report_is_not(self, schema: Any, history: History, spoil: Any) -> None:
        report = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report").json()
        spoil(report)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(report, schema)


class TestOpenAPI:
    @pytest.fixture
    def document(self, service: Service) -> Any:
        return httpx.get(f"{service.url}/openapi.json").json()

    def operations(self, document: Any) -> Iterator[tuple[str, Any]]:
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                yield f"{method} {path}", operation

    def test_every_pinned_call_of_this_release_is_there(self, document: Any) -> None:
        assert {name for name, _ in self.operations(document)} >= {
            "put /v1/artifacts",
            "post /v1/artifacts",
            "get /v1/artifacts/{artifact_id}",
            "delete /v1/artifacts/{artifact_id}",
            "post /v1/analyses",
            "post /v1/analyses:estimate",
            "get /v1/analyses",
            "get /v1/analyses/{analysis_id}",
            "delete /v1/analyses/{analysis_id}",
            "get /v1/analyses/{analysis_id}/events",
            "post /v1/analyses/{analysis_id}/cancel",
            "get /v1/analyses/{analysis_id}/report",
            "get /v1/keys",
            "post /v1/keys",
            "delete /v1/keys/{key_id}",
            "get /v1/capabilities",
            "get /v1/schemas/report/1.json",
            "get /healthz",
            "get /readyz",
        }

    def test_every_operation_is_named_described_and_says_how_it_fails(self, document: Any) -> None:
        ids = [operation["operationId"] for _, operation in self.operations(document)]
        assert len(set(ids)) == len(ids)
        for name, operation in self.operations(document):
            assert len(operation["description"]) > 10, name
            assert "application/problem+json" in operation["responses"]["4XX"]["content"], name
            assert "application/problem+json" in operation["responses"]["5XX"]["content"], name

    def test_every_schema_is_one_and_every_reference_leads_somewhere(self, document: Any) -> None:
        assert document["openapi"].startswith("3.")
        for schema in document["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)
        text = json.dumps(document)
        for part in text.split('"$ref": "#/components/schemas/')[1:]:
            assert part.split('"')[0] in document["components"]["schemas"]

    def test_the_examples_are_valid(self, document: Any) -> None:
        examples = document["components"]["schemas"]["AnalysisRequest"]["examples"]
        assert examples
        for example in examples:
            AnalysisRequest.model_validate(example)

    def test_keys_are_documented_as_bearer_tokens(self, document: Any) -> None:
        (scheme,) = document["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_every_code_is_in_the_catalogue_with_a_client_or_server_status() -> None:
    for code, (status, title) in PROBLEMS.items():
        assert code == code.lower()
        assert 400 <= status < 600
        assert title[0].isupper()


def test_on_postgresql_a_database_that_is_away_is_said_and_comes_back(
    settings: Settings, postgresql: PostgreSQL
) -> None:
    name = postgresql.create()
    with serving(settings.model_copy(update={"database_url": SecretStr(postgresql.url(name))})) as service:
        caller = service.caller()
        analysis_id = caller.submit(tags={"a": "b"}, layers={"include": ["nul \x00 in a layer", "*"]})
        postgresql.cut_off(name)
        for method, path in (
            ("GET", "/readyz"),
            ("GET", f"/v1/analyses/{analysis_id}"),
            ("GET", "/v1/keys"),
            ("POST", "/v1/analyses"),
        ):
            body = {"inputs": [{"artifact": "sha256:" + "0" * 64}]}
            answer = caller.http.request(method, path, json=body if method == "POST" else None)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
            assert answer.headers["Retry-After"]
        assert caller.http.get("/healthz").status_code == 200
        postgresql.let_in(name)
        assert caller.http.get("/readyz").status_code == 200
        assert caller.http.get(f"/v1/analyses/{analysis_id}").json()["status"] == "queued"


def test_the_first_key_is_shown_once(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(settings) as service:
        shown = capsys.readouterr().err
        (line,) = [line.strip() for line in shown.splitlines() if line.strip().startswith("il_")]
        assert httpx.get(f"{service.url}/v1/keys", headers={"Authorization": f"Bearer {line}"}).status_code == 200
    with serving(settings) as service:
        assert "il_" not in capsys.readouterr().err
        assert httpx.get(f"{service.url}/v1/keys", headers={"Authorization": f"Bearer {line}"}).status_code == 200
