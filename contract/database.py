"""The SQL database: engine, transactions, and the database's own clock."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    ExceptionContext,
    Float,
    Table,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from contract.settings import Settings


class clock(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """Seconds since the epoch by the database's clock: leases must not depend on whose clock is wrong."""

    type = Float()
    inherit_cache = True


@compiles(clock, "sqlite")
def _clock_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(clock, "postgresql")
def _clock_postgresql(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


def insert_into(table: Table, connection: Connection) -> Any:
    """Return an insertion of the connection's own dialect, which can tell what to do where the row is there."""
    return (sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert)(table)


class Database:
    """One pool of connections. `write()` and `read()` each are one short transaction."""

    def __init__(self, settings: Settings) -> None:
        url = settings.sqlalchemy_url()
        sqlite = url.startswith("sqlite")
        self.engine: Engine = create_engine(url, pool_pre_ping=not sqlite)  # a server may have closed the connection
        if sqlite:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            _configure_sqlite(self.engine)
        else:
            _configure_postgresql(self.engine, settings.transaction_seconds)
        self._reader = self.engine.execution_options(read_only=True)
        self._lock_file = settings.lock_file

    def write(self) -> Any:
        """Open a transaction that may write; it commits when the block ends without an exception."""
        return self.engine.begin()

    def one_at_a_time(self, connection: Connection, what: str) -> None:
        """Let no other transaction do the same until this one ends. On SQLite, writing already means that."""
        if self.engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"interlayer {what}"))))

    def read(self) -> Any:
        """Open a transaction that only reads."""
        return self._reader.begin()

    def now(self) -> float:
        """Return the seconds since the epoch by the database's clock."""
        with self.read() as connection:
            return float(connection.execute(select(clock())).scalar_one())

    def upgrade(self) -> None:
        """Bring the schema to the newest version. Safe to call from several processes at once."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._alone() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """Give a connection to one process of the installation at a time."""
        if self.engine.dialect.name == "sqlite":  # its migrations commit by themselves, and between them others may
            with self._lock_file.open("a") as file, self.engine.connect() as connection:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield connection
        else:
            with self.write() as connection:
                self.one_at_a_time(connection, "upgrade")
                yield connection

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 10000")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # an accepted job survives a power cut
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the lock at once: upgrading a read transaction later can fail however long one waits.
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _configure_postgresql(engine: Engine, transaction_seconds: float) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # A process that is frozen, or whose host is gone, would keep its locks for ever.
        limit = f"SET idle_in_transaction_session_timeout = {max(1, round(1000 * transaction_seconds))}"
        connection.autocommit = True
        connection.execute(limit)
        connection.autocommit = False

    @event.listens_for(engine, "after_cursor_execute")
    def _after_cursor_execute(*arguments: Any) -> None:
        # The driver ends a batch with a request to flush, which PostgreSQL takes for activity: that session it would
        # leave alone for ever, until the next statement.
        connection, executed_many = arguments[0], arguments[-1]
        if executed_many:
            connection.connection.driver_connection.execute("SELECT 1")

    @event.listens_for(engine, "handle_error")
    def _handle_error(context: ExceptionContext) -> None:
        # The driver calls the end of such a session an internal error. It is what every end of a connection is.
        if context.is_disconnect and not isinstance(context.sqlalchemy_exception, OperationalError):
            error = context.original_exception
            raise OperationalError(context.statement, None, error, connection_invalidated=True) from error
