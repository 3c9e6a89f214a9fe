"""Tenants take turns: when each was served last is looked up at every claim."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_jobs_tenant_started_at", "jobs", ["tenant", "started_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_jobs_tenant_started_at", table_name="jobs")
