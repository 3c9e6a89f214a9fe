"""A computing process that says what a test wants, when it wants it."""

import queue
import time
from collections.abc import Callable
from pathlib import Path

from contract.schemas import Progress
from worker.messages import Event, ProgressEvent, ReportEvent, Work

Step = Event | None | type[queue.Empty] | Callable[[], object]


class ScriptedChild:
    """A child that says what a test wants, when it wants it."""

    alive = True

    def __init__(self, *script: Step) -> None:
        """Say `script` in turn: an event, None for a death, ``queue.Empty`` for silence, or a deed before the next."""
        self._script = list(script)
        self.work: Work | None = None
        self.killed = False

    def send(self, work: Work) -> None:
        """Keep what was asked for."""
        self.work = work

    def next_event(self, timeout: float) -> Event | None:
        """Take the next step of the script."""
        assert timeout > 0
        step = self._script.pop(0) if self._script else queue.Empty
        while callable(step) and not isinstance(step, type):
            step()
            step = self._script.pop(0)
        if isinstance(step, type):
            time.sleep(0.3)  # until the next heartbeat is due
            raise queue.Empty
        if isinstance(step, ReportEvent):
            assert self.work is not None
            (Path(self.work.blobs) / "tmp" / step.file).write_bytes(b"report")
        return step

    def kill(self) -> int:
        """Note that it was killed."""
        self.killed = True
        return -9


def progress_event(done: int) -> ProgressEvent:
    """Return the progress after so many of four layers."""
    return ProgressEvent(progress=Progress(stage=f"layer {done}", done=done, total=4, fraction=done / 4))


DONE = ReportEvent(sha256="12" * 32, device="cpu", file="12" * 16)
