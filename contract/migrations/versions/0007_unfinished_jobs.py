"""What asks for unfinished jobs looks at these only, however long the history is; a job takes fewer bytes of SQLite."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_UNFINISHED = sa.text("finished_at IS NULL")
_NARROW = {
    "job_inputs": ("sha256", "", "sha256"),
    "job_tags": ("name", ", value VARCHAR NOT NULL", "name, value"),
}


def upgrade() -> None:
    for name, columns in (
        ("ix_jobs_unfinished_state_queue_id", ["state", "queue", "id"]),
        ("ix_jobs_unfinished_tenant_kind_state", ["tenant", "kind", "state"]),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED)
    op.drop_index("ix_jobs_state_queue_id", table_name="jobs")
    _rebuild(" WITHOUT ROWID")


def downgrade() -> None:
    op.create_index("ix_jobs_state_queue_id", "jobs", ["state", "queue", "id"])
    op.drop_index("ix_jobs_unfinished_tenant_kind_state", table_name="jobs")
    op.drop_index("ix_jobs_unfinished_state_queue_id", table_name="jobs")
    _rebuild("")


def _rebuild(kind: str) -> None:
    """Write SQLite's tables of two keys anew: without row numbers, each row is stored once instead of twice."""
    if op.get_bind().dialect.name != "sqlite":
        return
    for table, (second, more, columns) in _NARROW.items():
        op.execute(
            f"CREATE TABLE new_{table} (job_id VARCHAR NOT NULL, {second} VARCHAR NOT NULL{more}, "
            f"CONSTRAINT pk_{table} PRIMARY KEY (job_id, {second}), "
            f"CONSTRAINT fk_{table}_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE){kind}"
        )
        op.execute(f"INSERT INTO new_{table} (job_id, {columns}) SELECT job_id, {columns} FROM {table}")  # noqa: S608 - names of our own
        op.drop_table(table)
        op.rename_table(f"new_{table}", table)
    op.create_index("ix_job_inputs_sha256", "job_inputs", ["sha256"])
