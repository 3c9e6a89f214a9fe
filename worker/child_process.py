"""The computing process, as its parent sees it."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading

from worker.messages import EVENTS, Event, Work

_COMPUTE = (sys.executable, "-m", "worker.child")
_SECRETS = ("INTERLAYER_", "AWS_")


class Child:
    """A warm computing process in a session of its own, so that it can be killed with all it started."""

    def __init__(self, *, warm: bool, memory_bytes: int = 0) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [*_COMPUTE, "--memory", str(memory_bytes), *(["--warm"] if warm else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # No settings, so no secrets: the child talks to us only.
            env={name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)},
        )
        self._events: queue.Queue[Event | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        # Garbage from a dying child counts as its death (a ValidationError is a ValueError).
        with self._process.stdout, contextlib.suppress(ValueError):
            for line in self._process.stdout:
                self._events.put(EVENTS.validate_json(line))
        self._events.put(None)

    def send(self, work: Work) -> None:
        """Hand over a job; a child that died is noticed by `next_event`."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(work.model_dump_json() + "\n")
            self._process.stdin.flush()

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event; None after the child's death. Raises queue.Empty after `timeout` seconds."""
        return self._events.get(timeout=timeout)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def kill(self) -> int:
        """End the process and whatever it started; return its exit status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        return self._process.wait()
