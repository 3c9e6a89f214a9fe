"""Baselines: names of reports. A name changes only where the caller says what it means so far; nothing is forgotten."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select
from sqlalchemy.exc import IntegrityError

from contract.database import Database, clock
from contract.report_history import current_baselines, name_of_key, own_report, stored_report
from contract.schemas import ProblemError
from contract.schemas.history import Baseline, BaselineChange
from contract.tables import baselines, reports

ANY, NONE = "*", None
"""What a caller may assume besides a version: that the name means something, or that it means nothing."""


class Baselines:
    """All statements on the table of baselines. Every one names the tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, name: str) -> Baseline | None:
        """Return what a name means now."""
        with self._database.read() as connection:
            found = _named(connection, tenant, _current(tenant).where(baselines.c.name == name))
        return found[0] if found else None

    def list(self, tenant: str) -> Sequence[Baseline]:
        """Return every name and what it means now, in the order of the names."""
        with self._database.read() as connection:
            return _named(connection, tenant, _current(tenant).order_by(baselines.c.name))

    def history(self, tenant: str, name: str) -> Sequence[BaselineChange]:
        """Return every change of a name, newest first; of a name that was given up as well."""
        query = select(baselines).where(baselines.c.tenant == tenant, baselines.c.name == name)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(baselines.c.version.desc()))
            return [_change(row) for row in rows]

    def bless(
        self, tenant: str, key_id: str, name: str, report_id: str, *, note: str, assumed: int | str | None
    ) -> None:
        """Let a name mean a report from now on.

        Raises
        ------
        ProblemError
            `baseline_changed` where the name does not mean what is `assumed`; `not_found` for the report.
        """
        self._change(tenant, key_id, name, report_id, note, assumed)

    def give_up(self, tenant: str, key_id: str, name: str, *, assumed: int | str | None) -> None:
        """Let a name mean nothing from now on; its history stays.

        Raises
        ------
        ProblemError
            `baseline_not_found`; `baseline_changed` as above.
        """
        self._change(tenant, key_id, name, None, "", assumed)

    def _change(
        self, tenant: str, key_id: str, name: str, report_id: str | None, note: str, assumed: int | str | None
    ) -> None:
        try:
            with self._database.write() as connection:
                newest = connection.execute(
                    select(func.max(baselines.c.version)).where(baselines.c.tenant == tenant, baselines.c.name == name)
                ).scalar()
                now = connection.execute(_current(tenant).where(baselines.c.name == name)).one_or_none()
                _check(name, None if now is None else now.version, assumed, must_exist=report_id is None)
                report = None
                if report_id is not None:  # the lock keeps the report from being deleted meanwhile
                    report = connection.execute(own_report(tenant, report_id).with_for_update()).one_or_none()
                    if report is None:
                        raise ProblemError("not_found", f"there is no report {report_id}")
                connection.execute(
                    insert(baselines).values(
                        tenant=tenant,
                        name=name,
                        version=(newest or 0) + 1,
                        report_id=report_id,
                        sha256=None if report is None else report.sha256,
                        note=note,
                        changed_by=name_of_key(key_id),
                        changed_at=clock(),
                    )
                )
        except IntegrityError as error:  # another request wrote this version between our look and our insert
            raise _changed(name) from error


def _check(name: str, version: int | None, assumed: int | str | None, *, must_exist: bool) -> None:
    if version is None and must_exist:
        raise ProblemError("baseline_not_found", f"there is no baseline {name!r}")
    met = version is not None if assumed == ANY else version == assumed
    if not met:
        raise _changed(name, version)


def _changed(name: str, version: int | None = None) -> ProblemError:
    now = "does not exist" if version is None else f"is at version {version}"
    return ProblemError("baseline_changed", f"the baseline {name!r} {now}; look at it, and decide again")


def _current(tenant: str) -> Any:
    return current_baselines().where(baselines.c.tenant == tenant, baselines.c.report_id.is_not(None))


def _named(connection: Connection, tenant: str, query: Any) -> Sequence[Baseline]:
    """Return the baselines of a query together with their reports."""
    rows = connection.execute(query).all()
    ids = [row.report_id for row in rows]
    own = connection.execute(select(reports).where(reports.c.tenant == tenant, reports.c.id.in_(ids)))
    found = {row.id: stored_report(row) for row in own}
    return [
        Baseline(
            name=row.name,
            version=row.version,
            report=found[row.report_id],
            note=row.note,
            blessed_by=row.changed_by,
            blessed_at=datetime.fromtimestamp(row.changed_at, UTC),
        )
        for row in rows
        if row.report_id in found  # else it was given up, and its report deleted, between the two statements
    ]


def _change(row: Row[Any]) -> BaselineChange:
    return BaselineChange.model_validate(
        {
            "version": row.version,
            "action": "delete" if row.report_id is None else "bless",
            "report": row.report_id,
            "sha256": row.sha256,
            "note": row.note,
            "by": row.changed_by,
            "at": row.changed_at,
        }
    )
