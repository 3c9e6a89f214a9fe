"""What the jobs of the fault suite compute: nothing, for a given time, or something that ends badly.

Everything around it is the product: the child process, its events, its progress, and how a report is stored.
"""

import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from worker import child
from worker.child import Emitter
from worker.messages import Event, Work

_STEPS = 20
_FOREVER = 10**6
_FILLING = "x" * 100_000  # reports of a size that can tear


def install() -> None:
    """Take the place of the analysis, for jobs that carry the tag `fault`."""
    real = child._analyze

    def analyze(work: Work, emitter: Emitter) -> Event:
        fault = work.request["tags"].get("fault")
        if fault is None:
            return real(work, emitter)
        _ACTS[fault](int(work.request["tags"].get("amount", "0")), emitter)
        content = json.dumps({"request": work.request, "filling": _FILLING}, sort_keys=True).encode()
        # The device names the worker, so that the row tells who committed it.
        return child.written(content, str(os.getppid()), Path(work.blobs), emitter)

    child._analyze = analyze


def _take_time(milliseconds: int, emitter: Emitter) -> None:
    for step in range(_STEPS):
        emitter.progress(f"step {step}", step, _STEPS, step / _STEPS)
        time.sleep(milliseconds / 1000 / _STEPS)


def _kill(_amount: int, _emitter: Emitter) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _segfault(_amount: int, _emitter: Emitter) -> None:
    ctypes.string_at(0)


def _exit(_amount: int, _emitter: Emitter) -> None:
    os._exit(3)


def _allocate(n_bytes: int, _emitter: Emitter) -> None:
    bytearray(n_bytes)


def _spin(_amount: int, _emitter: Emitter) -> None:
    while True:
        pass


def _sleep(_amount: int, _emitter: Emitter) -> None:
    time.sleep(_FOREVER)


def _hold_the_interpreter(_amount: int, _emitter: Emitter) -> None:
    ctypes.PyDLL(None).sleep(_FOREVER)  # a C call that does not release the lock


def _have_a_grandchild(_amount: int, _emitter: Emitter) -> None:
    subprocess.Popen(["sleep", str(_FOREVER)])
    time.sleep(_FOREVER)


_ACTS = {
    "none": lambda _amount, _emitter: None,
    "slow": _take_time,
    "kill": _kill,
    "segfault": _segfault,
    "exit": _exit,
    "memory": _allocate,
    "spin": _spin,
    "sleep": _sleep,
    "hold": _hold_the_interpreter,
    "family": _have_a_grandchild,
}
POISON = ("kill", "segfault", "exit")
ENDLESS = ("spin", "sleep", "hold", "family")
