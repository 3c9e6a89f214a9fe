"""Real processes under test: started, watched, killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from contract.schemas import Analysis
from interlayer.client import Client

PATIENCE_SECONDS = 120.0
T = TypeVar("T")


def until(condition: Callable[[], T | None], what: str) -> T:
    """Return the first truthy value of a condition; no test depends on how long that takes."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE_SECONDS:g} s for {what}")


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended (one that is dead and not yet reaped counts)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below one."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            below.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        children = below.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


@dataclass
class Up:
    """A running `interlayer up`."""

    process: subprocess.Popen[str]
    url: str
    key: str

    def client(self) -> Client:
        """Return a client of it."""
        return Client(self.url, self.key)

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def interlayer_up(data: Path, log: Path, *options: str, **settings: str) -> Iterator[Up]:
    """Run `interlayer up` on a free port; `settings` go into its environment."""
    environment = os.environ | {f"INTERLAYER_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "interlayer", "up", "--port", "0", "--data", str(data), *options]
    with log.open("a") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"interlayer up did not start: {log.read_text()[-2000:]}"
        yield Up(process, **json.loads(line))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.stdout is not None
        process.stdout.close()


def computing(client: Client, analysis_id: str) -> Analysis | None:
    """Return the analysis once its worker is in the middle of it."""
    analysis = client.status(analysis_id)
    assert analysis.status in ("queued", "running"), f"too quick to be interrupted: {analysis}"
    return analysis if analysis.status == "running" and 0 < analysis.progress.fraction < 1 else None


def worker_pid(analysis: Analysis) -> int:
    """Return the process that runs the analysis at the moment."""
    return int(analysis.execution.workers[-1].rpartition(":")[2])


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Let a process and all below it rest while the block runs: what is to be seen in passing stays to be seen."""
    pids = [pid, *descendants(pid)]
    for each in pids:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in pids:
            os.kill(each, signal.SIGCONT)
