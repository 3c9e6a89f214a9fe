"""An analysis is split into parts, which are jobs with a parent; jobs have a priority."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COLUMNS = ("priority", "parts", "parent", "number", "waits_for", "feeds", "cost")


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
        jobs.add_column(sa.Column("parts", sa.Integer(), nullable=True))
        jobs.add_column(sa.Column("parent", sa.String(), nullable=True))
        jobs.add_column(sa.Column("number", sa.Integer(), nullable=True))
        jobs.add_column(sa.Column("waits_for", sa.Integer(), nullable=True))
        jobs.add_column(sa.Column("feeds", sa.JSON(none_as_null=True), nullable=True))
        jobs.add_column(sa.Column("cost", sa.Float(), nullable=True))
        jobs.create_foreign_key("fk_jobs_parent", "jobs", ["parent"], ["id"], ondelete="CASCADE")
    for name, columns, where in (
        ("ix_jobs_waiting", ["queue", "tenant", "priority", "parent", "number", "id"], sa.text("state = 'queued'")),
        ("ix_jobs_parts", ["parent", "number"], sa.text("parent IS NOT NULL")),
    ):
        op.create_index(name, "jobs", columns, unique=False, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE parent IS NOT NULL")
    op.execute("UPDATE jobs SET state = 'queued' WHERE state = 'split'")
    op.drop_index("ix_jobs_parts", table_name="jobs")
    op.drop_index("ix_jobs_waiting", table_name="jobs")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_constraint("fk_jobs_parent", type_="foreignkey")
        for column in _COLUMNS:
            jobs.drop_column(column)
