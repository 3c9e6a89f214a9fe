"""Rotation of keys, audit log, counters and heartbeats, use of tenants, what has expired."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("old_secret_sha256", sa.String(), nullable=True))
    op.add_column("api_keys", sa.Column("old_secret_until", sa.Float(), nullable=True))
    op.add_column("jobs", sa.Column("request_id", sa.String(), nullable=True))
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("object", sa.String(), nullable=False),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_log_at"), ["at"], unique=False)
        batch_op.create_index("ix_audit_log_tenant_id", ["tenant", "id"], unique=False)

    op.create_table(
        "processes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("queues", sa.String(), nullable=False),
        sa.Column("reconciles", sa.Boolean(), nullable=False),
        sa.Column("trouble", sa.String(), nullable=True),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", name=op.f("pk_counters")),
    )
    op.create_table(
        "compute_use",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", name=op.f("pk_compute_use")),
    )
    op.create_table(
        "expired",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_expired")),
    )
    with op.batch_alter_table("expired", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_expired_at"), ["at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("expired", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_expired_at"))

    op.drop_table("expired")
    op.drop_table("compute_use")
    op.drop_table("counters")
    op.drop_table("processes")
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.drop_index("ix_audit_log_tenant_id")
        batch_op.drop_index(batch_op.f("ix_audit_log_at"))

    op.drop_table("audit_log")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("request_id")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_column("old_secret_until")
        batch_op.drop_column("old_secret_sha256")
