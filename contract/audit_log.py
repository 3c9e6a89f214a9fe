"""Who changed what, when, and how it ended. Secrets and the bytes of files never get here."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from contract.database import Database, clock
from contract.schemas import AuditEntry
from contract.tables import audit_log


@dataclass(frozen=True)
class Deed:
    """One change that somebody asked for."""

    tenant: str
    key_id: str
    action: str
    object: str
    outcome: int  # the HTTP status that was answered
    request_id: str


_INSERT = insert(audit_log).values(at=clock())


class AuditLog:
    """All statements on the audit log. Rows are only added, until their time is over."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, deed: Deed) -> None:
        """Write one row."""
        with self._database.write() as connection:
            write_down(connection, deed)

    def newest(self, tenant: str, *, limit: int, before: str | None = None) -> list[AuditEntry]:
        """Return up to `limit` rows of the tenant, newest first, those older than `before` if it is given."""
        query = select(audit_log).where(audit_log.c.tenant == tenant)
        if before is not None:
            query = query.where(audit_log.c.id < before)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query.order_by(audit_log.c.id.desc()).limit(limit))]

    def forget(self, seconds: float) -> None:
        """Delete the rows that are older."""
        with self._database.write() as connection:
            connection.execute(delete(audit_log).where(audit_log.c.at < clock() - seconds))


def write_down(connection: Connection, deed: Deed) -> None:
    """Write one row in the transaction of what was done."""
    connection.execute(_INSERT, {"id": f"au_{time.time_ns() // 1_000:014x}{secrets.token_hex(8)}", **vars(deed)})


def _entry(row: Row[Any]) -> AuditEntry:
    names = AuditEntry.model_fields
    return AuditEntry.model_validate({name: getattr(row, name) for name in names})
