"""The SQL database: engine, schema, and the database's own clock."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    ExceptionContext,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    false,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from contract.settings import Settings

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("secret_sha256", String, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("last_used_at", Float),
    Column("old_secret_sha256", String),  # the secret before the last rotation, while both are valid
    Column("old_secret_until", Float),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("format", String, nullable=False),
    Column("status", String, nullable=False),
    Column("inspection", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("created_at", Float, nullable=False),
    Column("name", String),  # of the file, as whoever sent it called it
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False, index=True),
    Column("length", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),  # bytes that are on the disk for good
    Column("description", String, nullable=False),  # the client's Upload-Metadata, as it was sent
    Column("expected_sha256", String),
    Column("sha256", String),  # of all bytes, once they are there
    Column("format", String),
    Column("expires_at", Float, nullable=False, index=True),
    Column("settled", Boolean, nullable=False, server_default=false()),  # it counts as an artifact, not as an upload
)

_OF_UNFINISHED: dict[str, Any] = {
    "sqlite_where": text("finished_at IS NULL"),
    "postgresql_where": text("finished_at IS NULL"),
}
jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("request", JSON, nullable=False),
    Column("idempotency_key", String),
    Column("fingerprint", String, nullable=False),
    Column("queue", String, nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("losses", Integer, nullable=False),  # attempts that ended in a lost worker
    Column("lease_until", Float),
    Column("cancel_requested", Boolean, nullable=False),
    Column("stage", String, nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("fraction", Float, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("report_sha256", String),
    Column("device", String),
    Column("workers", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("sent_at", Float),  # the outbox: when the job was last announced to the broker
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("request_id", String),  # of the request that submitted the job
    Column("priority", Integer, nullable=False, server_default="0"),  # among the tenant's own jobs, the highest first
    Column("parts", Integer),  # how many an analysis was split into
    # Of a part:
    Column("parent", String, ForeignKey("jobs.id", ondelete="CASCADE")),
    Column("number", Integer),
    Column("waits_for", Integer),  # so many other parts
    Column("feeds", JSON(none_as_null=True)),  # numbers of the parts that wait for it
    Column("cost", Float),  # predicted seconds
    UniqueConstraint("tenant", "idempotency_key"),
    # Of the unfinished alone, which are few however long the history is. Queries must say `UNFINISHED` to be served.
    Index("ix_jobs_unfinished_state_queue_id", "state", "queue", "id", **_OF_UNFINISHED),
    Index("ix_jobs_unfinished_tenant_kind_state", "tenant", "kind", "state", **_OF_UNFINISHED),
    # Small, for they hold what waits and what was split, and nothing of the past.
    Index(
        "ix_jobs_waiting",
        *("queue", "tenant", "priority", "parent", "number", "id"),
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_jobs_parts",
        *("parent", "number"),
        sqlite_where=text("parent IS NOT NULL"),
        postgresql_where=text("parent IS NOT NULL"),
    ),
    Index("ix_jobs_tenant_kind_id", "tenant", "kind", "id"),
    Index("ix_jobs_tenant_started_at", "tenant", "started_at"),
)

# Exactly while the state is not final: every arrow to a final one sets the time.
UNFINISHED = jobs.c.finished_at.is_(None)

job_inputs = Table(
    "job_inputs",
    metadata,
    Column("job_id", String, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("sha256", String, primary_key=True, index=True),
    sqlite_with_rowid=False,
)

job_tags = Table(
    "job_tags",
    metadata,
    Column("job_id", String, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
    sqlite_with_rowid=False,
)

sessions = Table(
    "sessions",
    metadata,
    Column("secret_sha256", String, primary_key=True),
    Column("key_id", String, ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", Float, nullable=False),
)

finished_layers = Table(
    "finished_layers",
    metadata,
    Column("job_id", String, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("separation", JSON, nullable=False),
)

# A report of the history: computed here and blessed, or made elsewhere and sent. Its file is a blob.
reports = Table(
    "reports",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("sha256", String, nullable=False, index=True),
    Column("bytes", BigInteger, nullable=False),
    Column("job_id", String),  # no foreign key: the report outlives the analysis that made it
    Column("summary", JSON, nullable=False),
    Column("created_by", String, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("tenant", "sha256"),
    Index("ix_reports_tenant_id", "tenant", "id"),
)

# Rows are only added: the highest version of a name is what it means now, and one without a report ends it.
baselines = Table(
    "baselines",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("report_id", String, index=True),
    Column("sha256", String),
    Column("note", String, nullable=False),
    Column("changed_by", String, nullable=False),
    Column("changed_at", Float, nullable=False),
)

# What was done, by whom, and how it ended. Never a secret, never a byte of a file.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    Column("tenant", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("action", String, nullable=False),
    Column("object", String, nullable=False),
    Column("outcome", Integer, nullable=False),
    Column("request_id", String, nullable=False),
    Index("ix_audit_log_tenant_id", "tenant", "id"),
)

# The processes that work behind the service, and when each was last seen.
processes = Table(
    "processes",
    metadata,
    Column("name", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("queues", String, nullable=False),
    Column("reconciles", Boolean, nullable=False),
    Column("trouble", String),  # what it cannot do at the moment
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
)

# What processes count that may die at any time: events by name and cause, and the seconds a tenant computed on a day.
counters = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("label", String, primary_key=True),
    Column("value", Float, nullable=False),
)

compute_use = Table(
    "compute_use",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("seconds", Float, nullable=False),
)

# What was here and has expired, so that whoever asks for it learns that.
expired = Table(
    "expired",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False, index=True),
)


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

    @event.listens_for(engine, "handle_error")
    def _handle_error(context: ExceptionContext) -> None:
        # The driver calls the end of such a session an internal error. It is what every end of a connection is.
        if context.is_disconnect and not isinstance(context.sqlalchemy_exception, OperationalError):
            error = context.original_exception
            raise OperationalError(context.statement, None, error, connection_invalidated=True) from error
