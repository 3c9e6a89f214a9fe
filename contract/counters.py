"""Counts of events in processes that may die at any time, and the processes themselves: in SQL, for all to read."""

import os
import socket
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.exc import OperationalError

from contract.database import Database, clock, insert_into
from contract.tables import counters, processes

SEEN_SECONDS = 60.0  # a process that was not seen for longer is not there
_FORGOTTEN_SECONDS = 86400.0
log = structlog.get_logger()


@dataclass(frozen=True)
class Process:
    """A process behind the service."""

    name: str
    role: str
    queues: str
    reconciles: bool
    trouble: str | None
    age: float  # seconds since it was seen


class Counters:
    """All statements on the table of counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, label: str = "", count: float = 1.0) -> None:
        """Count events. Where the database does not answer, the work goes on and the count is lost."""
        try:
            with self._database.write() as connection:
                add_up(connection, counters, {"name": name, "label": label}, "value", count)
        except OperationalError as error:
            log.warning("not counted: the database does not answer", counter=name, error=str(error.orig))

    def all(self) -> dict[tuple[str, str], float]:
        """Return every count by name and label."""
        with self._database.read() as connection:
            return {(row.name, row.label): row.value for row in connection.execute(select(counters))}


class Processes:
    """All statements on the table of processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, role: str, queues: str = "", *, reconciles: bool = False) -> None:
        """Note that this process is alive."""
        values = {"role": role, "queues": queues, "reconciles": reconciles}
        name = own_name()
        with self._database.write() as connection:
            changed = update(processes).where(processes.c.name == name).values(seen_at=clock(), **values)
            if not connection.execute(changed).rowcount:
                connection.execute(processes.insert().values(name=name, started_at=clock(), seen_at=clock(), **values))
                connection.execute(delete(processes).where(processes.c.seen_at < clock() - _FORGOTTEN_SECONDS))

    def troubled(self, trouble: str | None) -> None:
        """Note what this process cannot do at the moment, or that it can again."""
        with self._database.write() as connection:
            connection.execute(update(processes).where(processes.c.name == own_name()).values(trouble=trouble))

    def gone(self) -> None:
        """Note that this process ends by itself."""
        with self._database.write() as connection:
            connection.execute(delete(processes).where(processes.c.name == own_name()))

    def all(self) -> list[Process]:
        """Return the processes, those that were seen last first."""
        age = (clock() - processes.c.seen_at).label("age")
        columns = (processes.c.name, processes.c.role, processes.c.queues, processes.c.reconciles, processes.c.trouble)
        with self._database.read() as connection:
            return [Process(*row) for row in connection.execute(select(*columns, age).order_by(age))]


def own_name() -> str:
    """Return what this process is called in the database."""
    return f"{socket.gethostname()}:{os.getpid()}"


def add_up(connection: Any, table: Any, key: dict[str, Any], column: str, amount: float) -> None:
    """Add to a number that is in the table, or begin it."""
    statement = insert_into(table, connection).values({**key, column: amount})
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(key), set_={column: table.c[column] + amount})
    )
