"""Signals to processes that may have ended in this very moment."""

import os
import signal
import subprocess
from pathlib import Path

from tests.e2e.processes import descendants


def send_signal(pid: int, number: int) -> None:
    """Send a signal, if there is still somebody to get it."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def state_of(pid: int) -> str:
    """Return the state of a process that has not been waited for, as `ps` writes it: `T` stands still, `Z` is dead."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all below it."""
    for pid in [*descendants(process.pid), process.pid]:
        send_signal(pid, signal.SIGKILL)
    process.wait()
