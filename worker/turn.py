"""One attempt at a job, and how it is kept: by renewing the lease, also while something else takes long."""

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import OperationalError

from contract.jobs import Claim, Jobs
from contract.parts import Context
from contract.schemas import Progress
from contract.settings import Settings
from worker.patience import Patience

_TICK_SECONDS = 0.25
log = structlog.get_logger()
T = TypeVar("T")


class Left(Exception):
    """The job is to be left; `held` says what the last heartbeat has learnt."""

    def __init__(self, held: str) -> None:
        super().__init__(held)
        self.held = held


class Turn:
    """One attempt, from its claim to its end or the moment when it is to be left.

    Attributes
    ----------
    claim, context
        What was claimed, and of a part the analysis that it is one of.
    tick
        Seconds between two looks.
    """

    def __init__(
        self, claim: Claim, settings: Settings, jobs: Jobs, stopping: Callable[[], bool], context: Context | None
    ) -> None:
        self.claim, self.context = claim, context
        self.tick = min(_TICK_SECONDS, settings.lease_seconds / 3)
        self._lease_seconds, self._jobs, self._stopping = settings.lease_seconds, jobs, stopping
        self._deadline = time.monotonic() + settings.deadline_seconds

    @property
    def request(self) -> dict[str, Any]:
        """What was asked for."""
        return self.claim.request if self.context is None else self.context.request

    def beat(self, progress: Progress | None) -> None:
        """Renew the lease; raise `Left` where the job is to be left."""
        held = self._heartbeat(progress)
        if held != "held" or self._stopping() or time.monotonic() > self._deadline:
            raise Left(held)

    def beside(self, stage: str, fraction: float, action: Callable[[Patience], T]) -> T:
        """Run what may take long in a thread, and keep the job meanwhile. Its errors are raised here."""
        patience, done = Patience(stage), Future[T]()
        context = contextvars.copy_context()  # the names of the job, for the log

        def run() -> None:
            try:
                done.set_result(context.run(action, patience))
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        while True:
            wait([done], self.tick)
            if done.done():
                return done.result()
            try:
                self.beat(Progress(stage=patience.stage, done=0, total=1, fraction=fraction))
            except Left:
                patience.give_up()
                raise

    def _heartbeat(self, progress: Progress | None) -> str:
        try:
            return self._jobs.heartbeat(self.claim, self._lease_seconds, progress)
        except OperationalError as error:  # a database that is away may be back before the lease runs out
            log.warning("heartbeat failed", error=str(error.orig))
            return "held"


def names_of(claim: Claim) -> dict[str, str | int | None]:
    """Return what the log lines of an attempt are found by, in this process and in the computing one."""
    return {"job": claim.id, "attempt": claim.attempt, "request": claim.request_id}
