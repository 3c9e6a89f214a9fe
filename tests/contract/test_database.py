"""Who falls silent in a transaction holds up others for a while, and not for ever."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from contract.attempts import Attempts
from contract.database import Database
from contract.jobs import Jobs, NewJob
from contract.keys import Keys
from contract.settings import Settings
from contract.tables import counters, jobs
from tests.conftest import PostgreSQL
from tests.e2e.processes import until

NEW = NewJob("a", "analysis", {}, "cpu", "f")


@pytest.fixture
def url(postgresql: PostgreSQL) -> str:
    return postgresql.emptied()


@pytest.fixture
def open_database(url: str, tmp_path: Path) -> Iterator[Callable[..., Database]]:
    """Open the server's database as another process would."""
    opened = []

    def open_one(seconds: float = 30.0, options: str = "") -> Database:
        settings = Settings(data_dir=tmp_path, database_url=SecretStr(url + options), transaction_seconds=seconds)
        opened.append(Database(settings))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def value_of(database: Database, name: str) -> str:
    with database.read() as connection:
        return str(connection.execute(text(f"SHOW {name}")).scalar_one())


def count(connection: Any, name: str) -> None:
    connection.execute(counters.insert().values(name=name, label="", value=1))


def counted(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(counters.c.name)).scalars())


def transact(database: Database, what: Callable[[Any], object], *, read: bool = False) -> None:
    with database.read() if read else database.write() as connection:
        what(connection)


@pytest.mark.parametrize("n_rows", [1, 3])
def test_a_session_that_is_silent_in_a_transaction_gives_way(
    open_database: Callable[..., Database], n_rows: int
) -> None:
    frozen, other = open_database(0.3), open_database()
    went_on = threading.Event()

    def claim() -> None:
        with other.write() as connection:
            other.one_at_a_time(connection, "claim")
            count(connection, "other")
        went_on.set()

    def stand_still(connection: Any) -> None:
        frozen.one_at_a_time(connection, "claim")
        rows = [{"name": "frozen", "label": str(n), "value": 1} for n in range(n_rows)]
        connection.execute(counters.insert(), rows)  # several are a batch to the driver
        threading.Thread(target=claim, daemon=True).start()
        assert went_on.wait(60), "the other one waits for ever"

    with pytest.raises(OperationalError, match="idle-in-transaction timeout") as raised:
        transact(frozen, stand_still)
    assert raised.value.connection_invalidated
    assert counted(other) == ["other"], "nothing of the session that was ended has come true"
    with frozen.write() as connection:  # it has a new connection, and goes on
        frozen.one_at_a_time(connection, "claim")
        count(connection, "frozen")
    assert counted(other) == ["other", "frozen"]


def test_the_end_of_a_session_is_no_internal_error_wherever_it_is_noticed(
    open_database: Callable[..., Database], postgresql: PostgreSQL
) -> None:
    frozen, other = open_database(0.3), open_database()

    def silent(connection: Any) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

        def ended() -> bool:
            with other.read() as watching:
                found = watching.execute(text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid})
                return found.first() is None

        until(ended, "the server to end the session")

    def silent_and_on(connection: Any) -> None:
        silent(connection)
        connection.execute(text("SELECT 1"))

    for what in (silent, silent_and_on):  # with the commit, or with a statement before it
        for read in (False, True):
            with pytest.raises(OperationalError):
                transact(frozen, what, read=read)
    assert counted(frozen) == []


def test_who_only_rests_between_transactions_keeps_its_connection(open_database: Callable[..., Database]) -> None:
    resting, frozen = open_database(0.2), open_database(0.2)

    def backend() -> int:
        with resting.read() as connection:
            return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

    before = backend()

    def stand_still(connection: Any) -> None:
        connection.execute(text("SELECT 1"))
        threading.Event().wait(1.0)  # five times as long as a session may be silent

    with pytest.raises(OperationalError):
        transact(frozen, stand_still)
    assert backend() == before


def test_the_limit_is_set_beside_the_options_of_the_url(open_database: Callable[..., Database]) -> None:
    separator = "&" if "?" in open_database().engine.url.render_as_string() else "?"
    database = open_database(7.5, f"{separator}options=-c%20work_mem%3D3MB")
    assert value_of(database, "idle_in_transaction_session_timeout") == "7500ms"
    assert value_of(database, "work_mem") == "3MB"
    assert value_of(open_database(), "idle_in_transaction_session_timeout") == "30s"


def test_a_worker_that_froze_while_it_claimed_loses_no_job(open_database: Callable[..., Database]) -> None:
    frozen, other = open_database(0.3), open_database()
    job, _ = Jobs(other).submit(NEW, max_unfinished=9)
    attempts = Attempts(frozen)
    claimed: list[Any] = []

    def freeze(*arguments: Any) -> Any:
        claim = Attempts._take(attempts, *arguments)
        thread = threading.Thread(target=lambda: claimed.append(Attempts(other).claim("other", 30, queues=["cpu"])))
        thread.start()
        thread.join(60)
        return claim

    attempts._take = freeze  # type: ignore[method-assign, assignment]  # the moment in which it freezes
    with pytest.raises(OperationalError):
        attempts.claim("frozen", 30, queues=["cpu"])
    assert [(claim.id, claim.attempt) for claim in claimed] == [(job.id, 1)]
    del attempts._take
    assert attempts.claim("frozen", 30, queues=["cpu"]) is None, "it goes on, and there is nothing left to claim"
    with other.read() as connection:
        assert connection.execute(select(jobs.c.workers)).scalar_one() == ["other"]


@pytest.mark.parametrize("what", ["upgrade", "first key"])
def test_who_freezes_while_it_upgrades_or_makes_the_first_key(
    open_database: Callable[..., Database], what: str
) -> None:
    frozen, other = open_database(0.3), open_database()

    def stand_still(connection: Any) -> None:
        frozen.one_at_a_time(connection, what)
        thread = threading.Thread(target=other.upgrade if what == "upgrade" else Keys(other).create_first)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()

    with pytest.raises(OperationalError):
        transact(frozen, stand_still)
    assert (Keys(frozen).create_first() is None) == (what == "first key")


def test_sqlite_refuses_writers_while_another_holds_the_lock_and_serves_readers(
    database: Database, settings: Settings
) -> None:
    other = Database(settings)
    try:
        with database.write() as connection:
            count(connection, "frozen")
            with pytest.raises(OperationalError, match="locked"), other.write():
                pass
            assert counted(other) == []
        with other.write() as connection:
            count(connection, "other")
        assert counted(database) == ["frozen", "other"]
    finally:
        other.close()
