"""What the workers of an installation can do: how fast they are beside the reference machine, and with how much memory.

Workers say what they have when they begin, and after every analysis how long it was predicted to take and took. Of that
the database keeps two sums that fade: their ratio is the speed of this installation, whatever its processors or GPU.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from contract.database import Database, insert_into
from contract.settings import Settings
from contract.shapes import Processor
from contract.tables import counters

_PREDICTED, _USED, _THREADS, _MEMORY = "predicted_seconds", "used_seconds", "worker_threads", "worker_memory_bytes"
_KEPT = 0.9  # of the sums, at each analysis more: the last ten or so decide
_LEAST_SECONDS = 0.2  # what is over sooner says more of the machine's mood than of its speed
_PRIOR_SECONDS = 5.0  # so much as if it had been predicted rightly
_MOST = 50.0
LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Ability:
    """What the workers of one queue can do.

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
        self._known: dict[str, tuple[float, Ability]] = {}

    def announce(self, queues: Sequence[str], *, threads: int, memory_bytes: int) -> None:
        """Say what a worker of some queues has."""
        self._add(queues, {_THREADS: float(threads), _MEMORY: float(memory_bytes)}, kept=0.0)

    def note(self, queues: Sequence[str], predicted: float, used: float) -> None:
        """Say how many seconds a computation was predicted to take on the reference machine, and took here."""
        if used < _LEAST_SECONDS or predicted <= 0.0:
            return
        self._add(queues, {_PREDICTED: predicted, _USED: used}, kept=_KEPT)

    def of(self, queue: str) -> Ability:
        """Return what is known of the workers of a queue."""
        looked, known = self._known.get(queue, (0.0, None))
        if known is None or time.monotonic() - looked > LOOK_SECONDS:
            known = self._look(queue)
            self._known[queue] = time.monotonic(), known
        return known

    def _look(self, queue: str) -> Ability:
        query = select(counters.c.name, counters.c.value).where(counters.c.label == queue)
        with self._database.read() as connection:
            found = {row.name: float(row.value) for row in connection.execute(query)}
        ratio = (found.get(_USED, 0.0) + _PRIOR_SECONDS) / (found.get(_PREDICTED, 0.0) + _PRIOR_SECONDS)
        threads = self._settings.worker_threads or int(found.get(_THREADS, 1))
        return Ability(
            Processor(threads, self._settings.worker_memory_bytes),
            min(_MOST, max(1 / _MOST, ratio)),
            self._settings.job_memory_bytes or int(found.get(_MEMORY, 0)),
        )

    def _add(self, queues: Sequence[str], amounts: Mapping[str, float], *, kept: float) -> None:
        """Add to what is `kept` of each number that is there."""
        rows = [{"name": name, "label": queue, "value": value} for name, value in amounts.items() for queue in queues]
        with self._database.write() as connection:
            new = insert_into(counters, connection).values(rows)
            total = counters.c.value * kept + new.excluded.value
            connection.execute(new.on_conflict_do_update(index_elements=["name", "label"], set_={"value": total}))
