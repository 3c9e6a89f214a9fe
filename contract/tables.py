"""The tables of the SQL database; `contract/migrations` says how they came about."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
    text,
)

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
