"""API keys: nothing in the database opens a door."""

import hmac
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, select, update

from contract.database import Database, clock
from contract.keys import RECALL_SECONDS, Keys
from contract.settings import Settings
from contract.tables import api_keys


@pytest.fixture
def keys(any_database: Database) -> Keys:
    return Keys(any_database)


def test_a_key_authenticates_its_tenant_and_scopes(keys: Keys) -> None:
    made = keys.create("a", "ci", ["read", "submit"])
    caller = keys.authenticate(made.key)
    assert caller is not None
    assert (caller.tenant, caller.key_id, caller.scopes) == ("a", made.id, frozenset({"read", "submit"}))


def test_the_database_holds_no_usable_secret(keys: Keys, any_database: Database) -> None:
    made = keys.create("a", "ci", ["read"])
    secret = made.key.removeprefix(f"il_{made.id}_")
    assert len(secret) >= 43, "256 random bits"
    with any_database.read() as connection:
        row = connection.execute(select(api_keys)).one()
    assert secret not in repr(row)
    for stored in (row.secret_sha256, f"il_{row.id}_{row.secret_sha256}"):
        assert keys.authenticate(stored) is None


def test_two_keys_differ(keys: Keys) -> None:
    assert keys.create("a", "x", ["read"]).key != keys.create("a", "x", ["read"]).key


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key + "x",
        lambda key: key.replace("il_", "xx_", 1),
        lambda key: key[3:],
        lambda key: "_".join(key.split("_", 2)[:2]) + "_",
        lambda key: f"il_{'0' * 16}_{key.split('_', 2)[2]}",
        lambda key: key.upper(),
        lambda _: "",
        lambda _: "il__",
        lambda _: "___",
        lambda _: "il_é_é",
    ],
)
def test_a_wrong_key_is_nobody(keys: Keys, spoil: "type[str]") -> None:
    made = keys.create("a", "ci", ["read"])
    assert keys.authenticate(spoil(made.key)) is None


def test_an_expired_key_is_nobody(keys: Keys, any_database: Database) -> None:
    with any_database.read() as connection:
        now: float = connection.execute(select(clock())).scalar_one()
    late = keys.create("a", "late", ["read"], expires_at=now - 1)
    assert keys.authenticate(late.key) is None
    valid = keys.create("a", "valid", ["read"], expires_at=now + 3600)
    assert keys.authenticate(valid.key) is not None


def test_a_deleted_key_is_nobody_at_once(keys: Keys) -> None:
    made = keys.create("a", "ci", ["read"])
    assert keys.authenticate(made.key) is not None
    assert not keys.delete("b", made.id), "other tenants cannot revoke it"
    assert keys.authenticate(made.key) is not None
    assert keys.delete("a", made.id)
    assert keys.authenticate(made.key) is None
    assert not keys.delete("a", made.id)


def test_the_first_key_is_made_once(keys: Keys) -> None:
    first = keys.create_first()
    assert first is not None
    assert set(first.scopes) == {"read", "submit", "admin"}
    assert keys.create_first() is None


def test_services_that_start_together_make_one_first_key(keys: Keys) -> None:
    barrier = threading.Barrier(8)

    def start(_: int) -> object:
        barrier.wait(60)
        return keys.create_first()

    with ThreadPoolExecutor(8) as pool:
        made = [key for key in pool.map(start, range(8)) if key is not None]
    assert len(made) == 1


def test_the_list_is_the_tenants_and_shows_no_secret(keys: Keys) -> None:
    mine = [keys.create("a", name, ["read"]) for name in ("one", "two")]
    keys.create("b", "theirs", ["read"])
    listed = keys.list("a")
    assert [key.name for key in listed] == ["one", "two"]
    for key, made in zip(listed, mine, strict=True):
        assert made.key.split("_", 2)[2] not in key.model_dump_json()


def test_use_is_recorded_about_once_a_minute(keys: Keys, any_database: Database) -> None:
    made = keys.create("a", "ci", ["read"])
    assert keys.list("a")[0].last_used_at is None

    def last_used() -> float:
        with any_database.read() as connection:
            return float(connection.execute(select(api_keys.c.last_used_at)).scalar_one())

    keys.authenticate(made.key)
    first = last_used()
    keys.authenticate(made.key)
    assert last_used() == first
    with any_database.write() as connection:
        connection.execute(update(api_keys).values(last_used_at=clock() - 120))
    keys.authenticate(made.key)
    assert last_used() >= first


def test_who_only_reads_is_served_while_another_process_holds_the_lock(database: Database, settings: Settings) -> None:
    made, other = Keys(database).create("a", "ci", ["read"]), Database(settings)
    statements: list[str] = []
    event.listen(other.engine, "begin", lambda _connection: statements.append("BEGIN"))
    keys = Keys(other)
    try:
        with other.read() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 10")  # of the one connection that this thread uses
        with database.write():
            assert keys.authenticate(made.key) is not None
            statements.clear()
            assert keys.authenticate(made.key) is not None
            assert len(statements) == 1, "it looks, and does not wait for the lock again"
        with database.read() as connection:
            assert connection.execute(select(api_keys.c.last_used_at)).scalar_one() is None
    finally:
        other.close()


def test_a_key_is_recalled_for_a_moment_and_no_longer(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RECALL_SECONDS <= 5, "what a revocation may take to reach every process"
    made = keys.create("a", "ci", ["read"])
    assert keys.recall(made.key) is None, "only what was shown valid is recalled"
    caller = keys.authenticate(made.key)
    assert keys.recall(made.key) == caller
    assert keys.recall(made.key + "x") is None
    now = time.monotonic()
    monkeypatch.setattr("contract.keys.time.monotonic", lambda: now + RECALL_SECONDS)
    assert keys.recall(made.key) is None


@pytest.mark.parametrize("end", ["delete", "rotate"])
def test_a_key_that_ended_is_recalled_no_more(keys: Keys, any_database: Database, end: str) -> None:
    made = keys.create("a", "ci", ["read"])
    keys.authenticate(made.key)
    elsewhere = Keys(any_database)  # of another process
    elsewhere.authenticate(made.key)
    keys.delete("a", made.id) if end == "delete" else keys.rotate("a", made.id, 0.0)
    assert keys.recall(made.key) is None, "the process that ended it obeys at once"
    assert elsewhere.recall(made.key) is not None, "the others when their moment is over, as they are asked anew"
    assert elsewhere.authenticate(made.key) is None


def test_recalled_keys_are_bounded(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contract.keys._MOST_RECALLED", 2)
    made = [keys.create("a", "ci", ["read"]).key for _ in range(3)]
    for key in made:
        keys.authenticate(key)
    assert [keys.recall(key) is not None for key in made] == [False, False, True]


def test_an_unknown_id_and_a_wrong_secret_take_the_same_path(
    keys: Keys, any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not timed, which would depend on the machine: the same statements and the same comparisons."""
    made = keys.create("a", "ci", ["read"])
    steps: list[str] = []
    compare = hmac.compare_digest

    def comparing(one: str, other: str) -> bool:
        steps.append(f"compare {len(one)} with {len(other)}")
        return compare(one, other)

    def executing(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        steps.append(statement)

    monkeypatch.setattr("contract.keys.hmac.compare_digest", comparing)
    event.listen(any_database.engine, "before_cursor_execute", executing)
    paths = []
    for key in (made.key[:-1] + "?", f"il_{'0' * 16}_{made.key.split('_', 2)[2]}"):
        steps.clear()
        assert keys.authenticate(key) is None
        paths.append(list(steps))
    event.remove(any_database.engine, "before_cursor_execute", executing)
    assert paths[0] == paths[1]
    assert len([step for step in paths[0] if step != "BEGIN"]) == 3  # one look, two comparisons
