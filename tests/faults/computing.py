"""What the jobs of the fault suite compute: nothing, for a given time, or something that ends badly.

Everything around it is the product: the child process, its events, its progress, and how a report is stored.
"""

import ctypes
import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from worker import child
from worker.child import Emitter
from worker.messages import Event, PlanEvent, PlannedPart, Work

CURED = "cured"  # the file in the data directory with which poison parts do no harm any more
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
        if fault in ("parts", "poison part"):
            return _planned(work, poisoned=fault == "poison part")
        _ACTS[fault](int(work.request["tags"].get("amount", "0")), emitter)
        content = json.dumps({"request": work.request, "filling": _FILLING}, sort_keys=True).encode()
        # The device names the worker, so that the row tells who committed it.
        return child.written(content, str(os.getppid()), Path(work.blobs), emitter)

    real_part = child._compute_part

    def compute_part(work: Work, emitter: Emitter) -> Event:
        if work.request["tags"].get("fault") is None:
            return real_part(work, emitter)
        return _compute_part(work, emitter)

    child._analyze, child._compute_part = analyze, compute_part


def _planned(work: Work, *, poisoned: bool) -> PlanEvent:
    """Trees, two blocks and what joins them, some parts of their own, and the report of all."""
    milliseconds, name = int(work.request["tags"]["amount"]), json.dumps(work.request, sort_keys=True)
    needs = [[], [0], [0], [1, 2], [], [], [], []]
    needs.append(list(range(len(needs))))
    return PlanEvent(
        parts=[
            PlannedPart(
                tasks=[{"milliseconds": milliseconds, "poison": poisoned and number == 5}] if number < 8 else [],
                needs=each,
                cost=1.0,
                about=f"part {number}",
                fingerprint=hashlib.sha256(f"{name} {number}".encode()).hexdigest(),
            )
            for number, each in enumerate(needs)
        ]
    )


def _compute_part(work: Work, emitter: Emitter) -> Event:
    assert work.part is not None
    read = [hashlib.sha256(Path(each.path).read_bytes()).hexdigest() for each in work.part.results]
    assert read == [each.sha256 for each in work.part.results], "a result is not what was stored"
    for task in work.part.tasks:
        _take_time(task["milliseconds"], emitter)
        if task["poison"] and not (Path(work.blobs) / CURED).exists():
            _kill(0, emitter)
    content = json.dumps({"request": work.request, "read": read, "filling": _FILLING, "tasks": work.part.tasks})
    return child.written(content.encode(), "cpu", Path(work.blobs), emitter)


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
