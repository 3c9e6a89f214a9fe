"""What the workers of an installation can do: how fast they are beside the reference machine, and with how much memory.

Workers say what they have when they begin, and after every analysis how long it was predicted to take and took. Of that
the database keeps two sums that fade: their ratio is the speed of this installation, whatever its processors or GPU.
"""

import time
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from contract.costs import Processor
from contract.database import Database, counters
from contract.settings import Settings

Device = Literal["cpu", "gpu"]
_PREDICTED, _USED, _THREADS, _MEMORY = "predicted_seconds", "used_seconds", "worker_threads", "worker_memory_bytes"
_KEPT = 0.9  # of the sums, at each analysis more: the last ten or so decide
_LEAST_SECONDS = 0.2  # what is over sooner says more of the machine's mood than of its speed
_PRIOR_SECONDS = 5.0  # so much as if it had been predicted rightly
_MOST = 50.0
_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Ability:
    """What the workers with one kind of device can do.

    Attributes
    ----------
    processor
        Threads and working memory of a computation.
    slowness
        Seconds here for a second on the reference machine.
    memory_bytes
        What one job may allocate; 0 where that is not known.
    """

    processor: Processor
    slowness: float
    memory_bytes: int


class Workforce:
    """All statements on what workers can do."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._known: dict[Device, tuple[float, Ability]] = {}

    def announce(self, device: Device, *, threads: int, memory_bytes: int) -> None:
        """Say what a worker has."""
        with self._database.write() as connection:
            for name, value in ((_THREADS, threads), (_MEMORY, memory_bytes)):
                _fade_and_add(connection, name, device, float(value), kept=0.0)

    def note(self, device: Device, predicted: float, used: float) -> None:
        """Say how many seconds a computation was predicted to take on the reference machine, and took here."""
        if used < _LEAST_SECONDS or predicted <= 0.0:
            return
        with self._database.write() as connection:
            for name, value in ((_PREDICTED, predicted), (_USED, used)):
                _fade_and_add(connection, name, device, value, kept=_KEPT)

    def of(self, device: Device) -> Ability:
        """Return what is known of the workers with a device."""
        looked, known = self._known.get(device, (0.0, None))
        if known is None or time.monotonic() - looked > _LOOK_SECONDS:
            known = self._look(device)
            self._known[device] = time.monotonic(), known
        return known

    def _look(self, device: Device) -> Ability:
        query = select(counters.c.name, counters.c.value).where(counters.c.label == device)
        with self._database.read() as connection:
            found = {row.name: float(row.value) for row in connection.execute(query)}
        ratio = (found.get(_USED, 0.0) + _PRIOR_SECONDS) / (found.get(_PREDICTED, 0.0) + _PRIOR_SECONDS)
        threads = self._settings.worker_threads or int(found.get(_THREADS, 1))
        return Ability(
            Processor(threads, self._settings.worker_memory_bytes),
            min(_MOST, max(1 / _MOST, ratio)),
            self._settings.job_memory_bytes or int(found.get(_MEMORY, 0)),
        )


def _fade_and_add(connection: Any, name: str, label: str, amount: float, *, kept: float) -> None:
    insert = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
    statement = insert(counters).values(name=name, label=label, value=amount)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name", "label"], set_={"value": counters.c.value * kept + amount}
        )
    )
