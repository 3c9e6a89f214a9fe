"""Sessions: who is in, who is not, and that no other site can act for somebody who is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.pages.conftest import Lab


@contextmanager
def signed_in(lab: Lab, key: str) -> Iterator[httpx.Client]:
    """A browser's view of the service: cookies, and the name of the asking page on every change."""
    with httpx.Client(base_url=lab.url, headers={"Origin": lab.url}, timeout=60) as client:
        answer = client.post("/sign-in", data={"key": key})
        assert answer.status_code == 303, answer.text
        yield client


def test_the_cookie_is_for_the_browser_alone(lab: Lab) -> None:
    answer = httpx.post(f"{lab.url}/sign-in", data={"key": lab.caller.key}, headers={"Origin": lab.url})
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Max-Age" in cookie
    assert lab.caller.key not in cookie
    secret = cookie.partition("=")[2].partition(";")[0]
    for file in lab.service.settings.data_dir.rglob("*.sqlite3*"):
        assert secret.encode() not in file.read_bytes(), "only a digest may be stored"


@pytest.mark.parametrize("key", ["", "il_0000000000000000_wrong", "nonsense", "il_", "\x00"])
def test_a_wrong_key_is_refused_in_words(lab: Lab, key: str) -> None:
    answer = httpx.post(f"{lab.url}/sign-in", data={"key": key}, headers={"Origin": lab.url})
    assert answer.status_code == 401
    assert "This key is not valid" in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/files",
        "/reports",
        "/baselines/main",
        "/analyses/new",
        "/keys",
        "/limits",
        "/compare",
        "/analyses/an_" + "0" * 30,
    ],
)
def test_who_is_not_signed_in_is_asked_to(lab: Lab, path: str) -> None:
    answer = httpx.get(lab.url + path)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/sign-in")


def test_after_signing_in_one_is_where_one_wanted_to_be(lab: Lab) -> None:
    with httpx.Client(base_url=lab.url, headers={"Origin": lab.url}, follow_redirects=True) as client:
        asked = client.get(f"/compare?id={lab.succeeded}")
        onward = asked.url.params["next"]
        answer = client.post("/sign-in", data={"key": lab.caller.key, "onward": onward})
        assert str(answer.url) == f"{lab.url}/compare?id={lab.succeeded}"


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/\r\nX: y", ""]
)
def test_signing_in_never_leads_to_another_site(lab: Lab, elsewhere: str) -> None:
    form = {"key": lab.caller.key, "onward": elsewhere}
    answer = httpx.post(f"{lab.url}/sign-in", data=form, headers={"Origin": lab.url})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


def test_the_session_opens_pages_and_the_rest_interface(lab: Lab) -> None:
    with signed_in(lab, lab.caller.key) as client:
        assert client.get("/").status_code == 200
        assert client.get(f"/v1/analyses/{lab.succeeded}").status_code == 200


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1", "http://localhost:1"])
@pytest.mark.parametrize("path", ["/analyses/{}/cancel", "/v1/analyses/{}/cancel", "/analyses/{}/delete", "/sign-out"])
def test_another_site_cannot_ask_for_a_change(lab: Lab, origin: str | None, path: str) -> None:
    with signed_in(lab, lab.caller.key) as client:
        headers = {} if origin is None else {"Origin": origin}
        del client.headers["Origin"]
        answer = client.post(path.format(lab.queued), headers=headers)
        assert answer.status_code == 403
        assert "another site" in answer.text
        assert client.get("/v1/analyses").status_code == 200, "and the session goes on"
    assert lab.caller.http.get(f"/v1/analyses/{lab.queued}").json()["status"] == "queued"


def test_signing_out_ends_the_session_everywhere(lab: Lab) -> None:
    with signed_in(lab, lab.caller.key) as client:
        stolen = dict(client.cookies)
        assert client.post("/sign-out").headers["Location"] == "/sign-in"
    answer = httpx.get(f"{lab.url}/v1/analyses", cookies=stolen)
    assert answer.status_code == 401


def test_a_revoked_key_takes_its_sessions_along(lab: Lab) -> None:
    key = lab.service.stores.keys.create("lab", "short-lived", ("read",))
    with signed_in(lab, key.key) as client:
        assert client.get("/").status_code == 200
        assert lab.service.stores.keys.delete("lab", key.id)
        answer = client.get("/files")
        assert answer.status_code == 303
        assert "ended=1" in answer.headers["Location"]
        assert "Your session has ended" in client.get(answer.headers["Location"]).text


def test_a_key_that_expires_ends_its_sessions(lab: Lab) -> None:
    key = lab.service.stores.keys.create("lab", "expiring", ("read",), expires_at=time.time() + 3600)
    with signed_in(lab, key.key) as client:
        assert client.get("/").status_code == 200
        from contract.tables import api_keys

        with lab.service.stores.database.write() as connection:
            connection.execute(api_keys.update().where(api_keys.c.id == key.id).values(expires_at=time.time() - 1))
        assert client.get("/").status_code == 303


def test_a_reader_sees_no_door_that_is_closed_and_opens_none(lab: Lab) -> None:
    with signed_in(lab, lab.service.caller("lab", ("read",)).key) as client:
        page = client.get("/").text
        for path in ("/keys", "/analyses/new"):
            assert f'href="{path}"' not in page
            answer = client.get(path)
            assert answer.status_code == 403
            assert answer.headers["Content-Type"].startswith("text/html")
        assert client.post("/keys", data={"name": "x", "scopes": "admin"}).status_code == 403
        assert client.post(f"/analyses/{lab.queued}/cancel").status_code == 403


def test_another_tenant_sees_nothing(lab: Lab) -> None:
    with signed_in(lab, lab.service.caller().key) as client:
        assert "No analysis yet" in client.get("/").text
        for path in (f"/analyses/{lab.succeeded}", f"/analyses/{lab.succeeded}/report"):
            absent = client.get(path)
            assert absent.status_code == 404
            unknown = client.get(path.replace(lab.succeeded, "an_" + "0" * 30))
            assert absent.text.replace(lab.succeeded, "") == unknown.text.replace("an_" + "0" * 30, "")


def test_every_page_forbids_what_it_does_not_need(lab: Lab) -> None:
    with signed_in(lab, lab.caller.key) as client:
        for path in ("/", "/files", f"/analyses/{lab.succeeded}/report", "/docs", "/nothing/here"):
            answer = client.get(path)
            if answer.headers["Content-Type"].startswith("text/html"):
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["Cache-Control"] == "no-store"
                assert " style=" not in answer.text
                assert " onclick=" not in answer.text
