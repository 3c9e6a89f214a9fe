"""What keys do when they are rotated, and what happens to those that guess or show them."""

import zlib

import httpx
import pytest

from service.failures import Failures
from tests.service.running import Caller, Service, problem_of


def test_a_rotated_key_has_two_secrets_for_a_while(service: Service) -> None:
    caller = service.caller()
    key_id = caller.key.split("_")[1]
    answer = caller.http.post(f"/v1/keys/{key_id}/rotate", json={"overlap_seconds": 3600})
    assert answer.status_code == 200, answer.text
    new = answer.json()["key"]
    assert new != caller.key
    _, same_id, secret = new.split("_", 2)
    assert same_id == key_id
    assert secret[-8:] == f"{zlib.crc32((key_id + secret[:-8]).encode()):08x}", "by which scanners know a key"
    for key in (caller.key, new):
        assert httpx.get(f"{service.url}/v1/analyses", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    other = httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {new}"})
    with other:
        newest = other.post(f"/v1/keys/{key_id}/rotate", json={"overlap_seconds": 0}).json()["key"]
        assert other.get("/v1/analyses").status_code == 401, "no overlap was asked for"
    assert caller.http.get("/v1/analyses").status_code == 401, "the secret before the last is gone"
    assert httpx.get(f"{service.url}/v1/analyses", headers={"Authorization": f"Bearer {newest}"}).status_code == 200


def test_nobody_rotates_the_key_of_another_tenant(service: Service) -> None:
    foreign = service.caller().key.split("_")[1]
    caller = service.caller()
    answers = [caller.http.post(f"/v1/keys/{i}/rotate", json={}) for i in (foreign, "0" * 16)]
    assert [problem_of(answer) for answer in answers] == [(404, "not_found")] * 2


@pytest.mark.parametrize("query", [{"key": "x"}, {"access_token": "x"}, {"tag": "il_0123456789abcdef_secret"}])
def test_a_key_in_an_address_is_refused(caller: Caller, query: dict[str, str]) -> None:
    assert problem_of(caller.http.get("/v1/analyses", params=query)) == (400, "key_in_url")


def test_whoever_guesses_is_told_to_wait_and_nobody_else(service: Service) -> None:
    caller = service.caller()
    usual = service.stores.failures
    object.__setattr__(service.stores, "failures", Failures(limit=3))
    wrong = {"Authorization": f"Bearer {caller.key[:-1]}!"}
    answers = [httpx.get(f"{service.url}/v1/analyses", headers=wrong) for _ in range(5)]
    object.__setattr__(service.stores, "failures", usual)
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[-1].json()["code"] == "too_many_failures"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert caller.http.get("/v1/analyses").status_code == 200


def test_failures_are_forgotten_and_bounded() -> None:
    failures = Failures(limit=1)
    assert failures.note("a") == 0
    assert failures.note("a") > 0
    for number in range(10_001):
        failures.note(f"other {number}")
    assert failures.note("a") == 0, "the oldest name made room"
