"""The interface as its OpenAPI document describes it: no request breaks it, and no id tells what others have."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    status_code_conformance,
)

from service.app import create_app
from tests.service.conftest import History
from tests.service.running import Caller, Service

DOCUMENT: dict[str, Any] = create_app().openapi()
IDS = re.compile(r"\{(\w+)\}")
WHOSE = {"analysis_id", "artifact_id", "key_id", "upload_id", "report_id"}  # other parameters name no resource
METHODS = ("get", "head", "put", "post", "patch", "delete")


def routes_with_ids() -> Iterator[tuple[str, str]]:
    """Yield every operation that names a resource of somebody."""
    for path, item in DOCUMENT["paths"].items():
        if WHOSE & set(IDS.findall(path)):
            yield from ((method, path) for method in METHODS if method in item)


@pytest.fixture(scope="module")
def own_ids(service: Service, history: History) -> dict[str, str]:
    """Ids of things that one tenant has, by the parameter that takes them."""
    caller = history.caller
    key = caller.http.get("/v1/keys").json()[0]["id"]
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "100"}
    upload = caller.http.post("/v1/uploads", headers=tus).headers["Location"].rpartition("/")[2]
    report = caller.http.post(
        "/v1/reports",
        content=caller.http.get(f"/v1/analyses/{history.succeeded}/report").content,
        headers={"Content-Type": "application/json"},
    ).json()["id"]
    return {
        "analysis_id": history.succeeded,
        "artifact_id": history.artifact,
        "key_id": key,
        "upload_id": upload,
        "report_id": report,
    }


def absent(own: str) -> str:
    """Return an id of the same form that nobody has."""
    prefix, separator, digits = own.rpartition("_" if "_" in own else ":")
    return prefix + separator + "".join("0123456789abcdef"[(int(digit, 16) + 1) % 16] for digit in digits)


def answer_to(caller: Caller, method: str, path: str, identifier: str, body: Any) -> tuple[Any, ...]:
    """Return what a stranger learns from an answer, without the id that the stranger knows anyway."""
    url = IDS.sub(lambda match: identifier if match[1] in WHOSE else "json", path)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "If-None-Match": '"x"'}
    if path.startswith("/v1/uploads"):
        headers["Content-Type"] = "application/offset+octet-stream"
    answer = caller.http.request(method, url, headers=headers, **({"json": body} if body is not None else {}))
    names = {name for name in answer.headers if name.lower() not in ("date", "x-request-id", "content-length")}
    text = re.sub(r"req_\w+", "REQUEST", answer.text.replace(identifier, "ID"))
    return answer.status_code, names, text


@pytest.mark.parametrize(("method", "path"), sorted(routes_with_ids()))
def test_a_foreign_id_is_answered_exactly_as_an_absent_one(
    service: Service, caller: Caller, own_ids: dict[str, str], method: str, path: str
) -> None:
    (name,) = WHOSE & set(IDS.findall(path))
    foreign = own_ids[name]
    body: Any = None if path.startswith("/v1/uploads") else {}
    of_foreign = answer_to(caller, method, path, foreign, body)
    of_absent = answer_to(caller, method, path, absent(foreign), body)
    assert of_foreign == of_absent
    assert of_foreign[0] in (404, 422), "422 is for a body that is wrong, whatever the id"


def test_that_test_sees_what_the_owner_sees(history: History, own_ids: dict[str, str]) -> None:
    for method, path in routes_with_ids():
        if method in ("get", "head") and len(IDS.findall(path)) == 1 and not path.endswith("events"):
            (name,) = WHOSE & set(IDS.findall(path))
            if name == "key_id":
                continue
            assert answer_to(history.caller, method, path, own_ids[name], None)[0] in (200, 304), path


def test_every_parameter_of_a_path_is_known() -> None:
    known = WHOSE | {"extension", "name", "chart", "table"}
    assert {name for path in DOCUMENT["paths"] for name in IDS.findall(path)} <= known, "say whether it is an id"


def test_the_document_is_served(service: Service) -> None:
    served = httpx.get(f"{service.url}/openapi.json").json()
    assert set(served["paths"]) == set(DOCUMENT["paths"])
    assert "/v1/uploads/{upload_id}" in served["paths"]


schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")


def described() -> Any:
    """Return the operations to try. Left out: streams that end with their analysis, and the end of one's own key."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    return schema.exclude(path_regex="/events$").exclude(method="DELETE", path_regex="/v1/keys")


@pytest.fixture(scope="module")
def stranger(service: Service) -> Caller:
    """Somebody whose requests are made up."""
    return service.caller("schemathesis")


@described().parametrize()  # type: ignore[untyped-decorator]  # the library does not say what it returns
@settings(
    max_examples=4,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_it(service: Service, stranger: Caller, case: schemathesis.Case[Any]) -> None:
    sent = {name: value for name, value in (case.headers or {}).items() if name.lower() != "prefer"}  # no waiting
    given = {"Authorization": f"Bearer {stranger.key}", "Tus-Resumable": "1.0.0"}
    case.query = {name: value for name, value in (case.query or {}).items() if name != "wait"}
    answer = case.call(base_url=service.url, headers=sent | given, timeout=60)
    case.validate_response(answer, checks=[not_a_server_error, status_code_conformance, content_type_conformance])
