"""Who may do what, and what a stranger can find out: nothing."""

import itertools
from typing import Any

import pytest

from tests.service.conftest import History
from tests.service.running import Caller, Service

ADMINISTRATION = ("/v1/keys", "/v1/audit", "/metrics")
READING = {"/v1/comparisons"}
TUS = {"Tus-Resumable": "1.0.0"}  # without it an upload is refused before anybody asks who it is
OPEN = ("/healthz", "/readyz", "/v1/schemas/")


def operations(caller: Caller) -> list[tuple[str, str, str]]:
    """Return (method, path, scope it needs) of every documented operation."""
    found = []
    for path, methods in caller.http.get("/openapi.json").json()["paths"].items():
        for method in methods:
            if method == "options":  # says what is spoken here, to everybody
                continue
            reads = method == "get" or path in READING
            scope = "admin" if path.startswith(ADMINISTRATION) else "read" if reads else "submit"
            found.append((method.upper(), path, scope))
    assert len(found) > 15
    return found


def filled(path: str, identifier: str = "0") -> str:
    return (
        path.replace("{analysis_id}", f"an_{identifier * 30}")
        .replace("{artifact_id}", f"sha256:{identifier * 64}")
        .replace("{key_id}", identifier * 16)
        .replace("{upload_id}", f"up_{identifier * 32}")
        .replace("{report_id}", f"rp_{identifier * 30}")
        .replace("{name}", "nobody")
        .replace("{extension}", "json")
    )


class TestKeys:
    def test_a_key_is_made_used_listed_and_revoked(self, caller: Caller) -> None:
        made = caller.http.post("/v1/keys", json={"name": "ci", "scopes": ["read"]})
        assert made.status_code == 201
        bearer = {"Authorization": f"Bearer {made.json()['key']}"}
        assert caller.http.get("/v1/analyses", headers=bearer).status_code == 200
        listed = {key["id"]: key for key in caller.http.get("/v1/keys").json()}
        assert listed[made.json()["id"]]["name"] == "ci"
        assert "key" not in listed[made.json()["id"]]
        assert made.json()["key"].split("_", 2)[2] not in caller.http.get("/v1/keys").text
        assert caller.http.delete(f"/v1/keys/{made.json()['id']}").status_code == 204
        assert caller.http.get("/v1/analyses", headers=bearer).status_code == 401
        assert caller.http.delete(f"/v1/keys/{made.json()['id']}").status_code == 404

    def test_an_expired_key_is_refused(self, caller: Caller) -> None:
        for expiry, status in (("2001-01-01T00:00:00Z", 401), ("2999-01-01T00:00:00Z", 200)):
            made = caller.http.post("/v1/keys", json={"name": "x", "expires_at": expiry}).json()
            bearer = {"Authorization": f"Bearer {made['key']}"}
            assert caller.http.get("/v1/analyses", headers=bearer).status_code == status

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"name": ""},
            {"name": "x\x00"},
            {"name": "x", "scopes": []},
            {"name": "x", "scopes": ["root"]},
            {"name": "x", "tenant": "other"},
            {"name": "x", "expires_at": "soon"},
        ],
        ids=str,
    )
    def test_a_key_that_makes_no_sense_is_not_made(self, caller: Caller, body: Any) -> None:
        answer = caller.http.post("/v1/keys", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")

    def test_a_new_key_is_of_the_callers_tenant(self, caller: Caller) -> None:
        analysis_id = caller.submit()
        made = caller.http.post("/v1/keys", json={"name": "x"}).json()
        bearer = {"Authorization": f"Bearer {made['key']}"}
        assert caller.http.get(f"/v1/analyses/{analysis_id}", headers=bearer).status_code == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer x",
        "Bearer il_",
        "Bearer il_0000000000000000_x",
        "Basic dXNlcjpwYXNz",
        "Bearer \xe4",
        "Bearer " + "x" * 5000,
    ],
)
def test_without_a_key_everything_is_closed(caller: Caller, authorization: str | None) -> None:
    del caller.http.headers["Authorization"]
    headers: Any = dict(TUS)
    if authorization is not None:
        headers["Authorization"] = authorization.encode("latin1")
    for method, path, _ in operations(caller):
        answer = caller.http.request(method, filled(path), headers=headers, json=None if method == "GET" else {})
        if path.startswith(OPEN):
            assert answer.status_code == 200
            continue
        assert answer.status_code == 401, (method, path)
        assert method == "HEAD" or answer.json()["code"] == "unauthorized"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_in_the_address_opens_nothing(caller: Caller) -> None:
    del caller.http.headers["Authorization"]
    for name in ("key", "token", "access_token"):
        answer = caller.http.get("/v1/analyses", params={name: caller.key})
        assert (answer.status_code, answer.json()["code"]) == (400, "key_in_url")
        assert caller.key not in answer.text


@pytest.mark.parametrize("scope", ["read", "submit", "admin"])
def test_a_key_opens_what_its_scope_says(service: Service, scope: Any) -> None:
    caller = service.caller(scopes=(scope,))
    for method, path, needed in operations(caller):
        answer = caller.http.request(method, filled(path), headers=TUS, json=None if method == "GET" else {})
        if path.startswith(OPEN):
            continue
        if scope == needed:
            assert answer.status_code not in (401, 403), (method, path)
        else:
            assert answer.status_code == 403, (method, path)
            assert method == "HEAD" or answer.json()["code"] == "insufficient_scope"


class TestTenants:
    """Every documented operation answers for a foreign id exactly as for one that never was."""

    def test_foreign_and_absent_ids_answer_alike(self, history: History, caller: Caller) -> None:
        theirs = {
            "{analysis_id}": [history.succeeded, history.failed, history.canceled, history.queued],
            "{artifact_id}": [history.artifact, history.bad_artifact],
            "{key_id}": [history.caller.key.split("_")[1]],
        }
        compared = 0
        for (method, path, _), (name, ids) in itertools.product(operations(caller), theirs.items()):
            if name not in path:
                continue
            absent = caller.http.request(method, filled(path))
            assert absent.status_code == 404, (method, path)
            for identifier in ids:
                own_path = filled(path.replace(name, identifier))
                foreign = caller.http.request(method, own_path)
                assert foreign.status_code == 404, (method, path)
                hidden = filled(name)
                assert foreign.text.replace(identifier, "ID") == absent.text.replace(hidden, "ID"), (method, path)
                assert set(foreign.headers) == set(absent.headers)
                compared += 1
        assert compared >= 20
        assert history.caller.http.get(f"/v1/analyses/{history.queued}").json()["status"] == "queued"

    @pytest.mark.parametrize("which", ["artifact", "bad_artifact"])
    def test_foreign_inputs_are_absent_inputs(self, history: History, caller: Caller, which: str) -> None:
        identifier, absent = getattr(history, which), "sha256:" + "0" * 64
        for url in ("/v1/analyses", "/v1/analyses:estimate"):
            answers = [caller.http.post(url, json={"inputs": [{"artifact": i}]}) for i in (identifier, absent)]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert answers[0].text.replace(identifier, "ID") == answers[1].text.replace(absent, "ID")

    @pytest.mark.usefixtures("history")
    def test_lists_and_filters_show_ones_own(self, caller: Caller) -> None:
        mine = caller.submit()
        assert [item["id"] for item in caller.http.get("/v1/analyses").json()["items"]] == [mine]
        assert caller.http.get("/v1/analyses", params={"tag": "<b>:=1+1"}).json()["items"] == []
        assert len(caller.http.get("/v1/keys").json()) == 1

    def test_a_cursor_of_another_tenant_shows_nothing_of_it(self, history: History, caller: Caller) -> None:
        cursor = history.caller.http.get("/v1/analyses", params={"limit": 1}).json()["next_cursor"]
        assert cursor is not None
        mine = caller.submit()
        page = caller.http.get("/v1/analyses", params={"cursor": cursor}).json()
        assert {item["id"] for item in page["items"]} <= {mine}

    def test_idempotency_keys_are_per_tenant(self, service: Service) -> None:
        one, two = service.caller(), service.caller()
        body = {"inputs": [{"artifact": one.upload()}]}
        two.upload()
        key = {"Idempotency-Key": "the same"}
        assert one.post(body, **key).json()["id"] != two.post(body, **key).json()["id"]
