"""The sign of life that a process of the worker's side leaves in the database."""

import threading
import time
from collections.abc import Sequence

import structlog
from sqlalchemy.exc import OperationalError

from contract.counters import Processes
from contract.database import Database

BEAT_SECONDS = 5.0
log = structlog.get_logger()


class Presence:
    """Says now and then that this process is alive. `reconciles`: and that it brings back the jobs of lost workers."""

    def __init__(self, database: Database, role: str, queues: Sequence[str] = (), *, reconciles: bool = False) -> None:
        self._processes = Processes(database)
        self._role, self._queues, self._reconciles = role, ",".join(queues), reconciles
        self._next = 0.0
        self._trouble: str | None = None

    def beat(self) -> None:
        """Note that this process is alive, if the last time is long enough ago."""
        if time.monotonic() >= self._next:
            self._processes.seen(self._role, self._queues, reconciles=self._reconciles)
            self._next = time.monotonic() + BEAT_SECONDS

    def trouble(self, trouble: str | None) -> None:
        """Note what this process cannot do at the moment, or that it can again."""
        if trouble != self._trouble:
            self._processes.troubled(trouble)
            self._trouble = trouble

    def keep(self, stop: threading.Event) -> None:
        """Beat until `stop` is set, also while the database is away."""
        while not stop.is_set():
            try:
                self.beat()
            except OperationalError as error:
                log.warning("no sign of life: the database does not answer", error=str(error.orig))
            stop.wait(1.0)

    def end(self) -> None:
        """Note that this process ends by itself."""
        try:
            self._processes.gone()
        except OperationalError as error:
            log.warning("no farewell: the database does not answer", error=str(error.orig))
