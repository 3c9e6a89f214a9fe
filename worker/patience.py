"""Waiting beside the heartbeat: for a store that is away, for room on a disk, for another worker of the host."""

import threading

import structlog

_PAUSE_SECONDS = 1.0
log = structlog.get_logger()


class GivenUp(Exception):
    """Nobody waits for this any more: its job is canceled, out of time, another worker's, or this worker stops."""


class Patience:
    """What a thread that takes long asks now and then, and says what it waits for."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Have the thread end at its next question."""
        self._given_up.set()

    def require(self) -> None:
        """Raise `GivenUp` where that is so."""
        if self._given_up.is_set():
            raise GivenUp

    def pause(self, seconds: float = _PAUSE_SECONDS) -> None:
        """Wait a moment; raise `GivenUp` as soon as that is so."""
        if self._given_up.wait(seconds):
            raise GivenUp

    def trouble(self, stage: str, error: Exception) -> None:
        """Say what is waited for, and wait a moment."""
        log.warning(stage, error=str(error))
        self.stage = stage
        self.pause()
