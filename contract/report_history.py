"""The reports that a tenant keeps: content-addressed, and pinned while a baseline names them."""

import secrets
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from contract.database import Database, clock
from contract.schemas import Report
from contract.schemas.history import StoredReport
from contract.tables import api_keys, baselines, reports


class ReportHistory:
    """All statements on the table of reports. Every one names the tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        tenant: str,
        key_id: str,
        sha256: str,
        size: int,
        report: Report,
        *,
        job_id: str | None = None,
        admit: Callable[[Connection], None] = lambda _: None,
    ) -> tuple[StoredReport, bool]:
        """Note a stored report; the second value is False where the tenant had it already.

        `admit` may refuse a new one, in the transaction of its row.
        """
        values = {
            "id": f"rp_{time.time_ns() // 1_000:014x}{secrets.token_hex(8)}",
            "tenant": tenant,
            "sha256": sha256,
            "bytes": size,
            "job_id": job_id,
            "summary": {
                "schema_version": report.schema_version,
                "metric": report.provenance.metric,
                "classes": len(report.classes),
                "layers": len(report.layers),
                "findings": list(dict.fromkeys(finding.code for finding in report.findings)),
            },
            "created_by": name_of_key(key_id),
            "created_at": clock(),
        }
        try:
            with self._database.write() as connection:
                row = connection.execute(insert(reports).values(values).returning(reports)).one()
                admit(connection)
        except IntegrityError:
            with self._database.read() as connection:
                row = connection.execute(
                    select(reports).where(reports.c.tenant == tenant, reports.c.sha256 == sha256)
                ).one_or_none()
            if row is None:
                raise
            return stored_report(row), False
        return stored_report(row), True

    def get(self, tenant: str, report_id: str) -> StoredReport | None:
        """Return a report of the tenant."""
        with self._database.read() as connection:
            row = connection.execute(own_report(tenant, report_id)).one_or_none()
        return None if row is None else stored_report(row)

    def newest(self, tenant: str, *, limit: int, before: str | None = None) -> list[StoredReport]:
        """Return up to `limit` reports of the tenant, newest first, those older than `before` if it is given."""
        query = select(reports).where(reports.c.tenant == tenant)
        if before is not None:
            query = query.where(reports.c.id < before)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(reports.c.id.desc()).limit(limit))
            return [stored_report(row) for row in rows]

    def delete(self, tenant: str, report_id: str) -> bool | str:
        """Forget a report. Returns False if the tenant has none of this id, or the name of a baseline that needs it."""
        with self._database.write() as connection:
            # The lock keeps a blessing that goes on at the same moment waiting until this has ended.
            if connection.execute(own_report(tenant, report_id).with_for_update()).first() is None:
                return False
            name = connection.execute(naming(tenant, report_id)).scalar()
            if name is not None:
                return str(name)
            connection.execute(delete(reports).where(reports.c.tenant == tenant, reports.c.id == report_id))
        return True


def own_report(tenant: str, report_id: str) -> Any:
    """Return the query of one report of a tenant."""
    return select(reports).where(reports.c.tenant == tenant, reports.c.id == report_id)


def current_baselines() -> Any:
    """Return the query of what every name of every tenant means now; names that were given up have no report."""
    newest = (
        select(baselines.c.tenant, baselines.c.name, func.max(baselines.c.version).label("version"))
        .group_by(baselines.c.tenant, baselines.c.name)
        .subquery()
    )
    same = (
        (baselines.c.tenant == newest.c.tenant)
        & (baselines.c.name == newest.c.name)
        & (baselines.c.version == newest.c.version)
    )
    return select(baselines).join(newest, same)


def naming(tenant: str, report_id: str) -> Any:
    """Return the query of the names that mean a report now."""
    now = current_baselines().subquery()
    return select(now.c.name).where(now.c.tenant == tenant, now.c.report_id == report_id).limit(1)


def name_of_key(key_id: str) -> Any:
    """Return the name that a key has at this moment, for a history that outlives the key."""
    return func.coalesce(select(api_keys.c.name).where(api_keys.c.id == key_id).scalar_subquery(), key_id)


def stored_report(row: Row[Any]) -> StoredReport:
    """Return a row as clients see it."""
    return StoredReport.model_validate(
        {
            "id": row.id,
            "sha256": row.sha256,
            "bytes": row.bytes,
            "created_at": row.created_at,
            "created_by": row.created_by,
            "analysis": row.job_id,
            **row.summary,
        }
    )
