"""Start a confined process, relay what it says, and say what its death means."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import structlog

from contract.schemas import Problem, ProblemError
from worker.limits import machine_memory

_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "CUDA_VISIBLE_DEVICES")
_MOST_LINE_CHARACTERS = 2**24
_LOGGED_CHARACTERS = 2000
_SHARE_OF_MEMORY = 0.75
_TICK_SECONDS = 0.2
log = structlog.get_logger()


@dataclass(frozen=True)
class Confined:
    """How confined code is run. Nothing in `hidden`, the folder of everybody's files, is seen but what is named."""

    hidden: Path
    required: bool = False
    seconds: float = 3600.0
    memory_bytes: int = 0
    n_threads: int | None = None
    gpu: bool = False


def run_confined(
    entry: str,
    payload: dict[str, Any],
    how: Confined,
    *,
    scratch: Path,
    readable: Sequence[Path] = (),
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Any, list[str]]:
    """Call `entry`, a "module:function" of ours, with `payload` in a confined process.

    It may read the interpreter, its libraries and `readable`, and write into `scratch`. `on_progress` gets what it
    reports and may raise, which ends it.

    Returns
    -------
    result, missing
        What the function returned, which came from a process that ran foreign code and must be checked; and what this
        machine's kernel could not confine.

    Raises
    ------
    ProblemError
        What the function raised, or `out_of_memory`, `deadline_exceeded`, `model_failed`, `sandbox_unavailable`.
    """
    task = {
        "entry": entry,
        "payload": payload,
        "readable": [str(path) for path in readable],
        "scratch": str(scratch),
        "hidden": str(how.hidden),
        "required": how.required,
        "gpu": how.gpu,
        "limits": {
            "memory_bytes": how.memory_bytes or int(_SHARE_OF_MEMORY * machine_memory()),
            "cpu_seconds": int(how.seconds * (how.n_threads or os.cpu_count() or 1)) + 1,
            "file_bytes": max(2**20, int(0.9 * shutil.disk_usage(scratch).free)),
        },
    }
    private = scratch / "home"
    private.mkdir(exist_ok=True)
    with (private / "stderr").open("w+b") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=_environment(private, how.n_threads),
        )
        try:
            return _converse(process, task, how.seconds, on_progress, said)
        finally:
            process.kill()
            process.wait()


def _environment(home: Path, n_threads: int | None) -> dict[str, str]:
    """Return what a library needs; no variable of ours, and no secret, is among it."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    threads = {} if n_threads is None else {"OMP_NUM_THREADS": str(n_threads)}
    return {
        **kept, **threads, "HOME": str(home), "TMPDIR": str(home), "USER": "model", "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip


def _converse(
    process: subprocess.Popen[bytes],
    task: dict[str, Any],
    seconds: float,
    on_progress: Callable[[int, int], None],
    said: IO[bytes],
) -> tuple[Any, list[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    try:
        process.stdin.write(json.dumps(task).encode() + b"\n")
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died; the end of its output says so
    deadline = time.monotonic() + seconds
    while True:
        try:
            line = lines.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            if time.monotonic() > deadline:
                _too_long(seconds)
            continue
        if time.monotonic() > deadline:
            _too_long(seconds)
        if not line:
            _died(process, seconds, said)
        try:
            event = json.loads(line)
            if "progress" in event:
                done, total = event["progress"]
                on_progress(int(done), int(total))
                continue
            if "problem" in event:
                problem = Problem.model_validate(event["problem"])
                raise ProblemError(problem.code, problem.detail)
            return event["result"], [str(note) for note in event["missing"]]
        except (ValueError, KeyError, TypeError) as error:  # foreign code got hold of the pipe
            raise ProblemError("model_failed", "the process that ran the model gave an answer that is none") from error


def _read(stream: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    with stream:
        while line := stream.readline(_MOST_LINE_CHARACTERS):
            lines.put(line)
    lines.put(b"")


def _too_long(seconds: float) -> NoReturn:
    raise ProblemError("deadline_exceeded", f"the model ran longer than {seconds:g} s; give fewer rows or layers")


def _died(process: subprocess.Popen[bytes], seconds: float, said: IO[bytes]) -> NoReturn:
    status = process.wait()
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - _LOGGED_CHARACTERS))
    log.warning("a confined process died", status=status, said=said.read().decode(errors="replace"))
    if status == -signal.SIGXCPU:
        _too_long(seconds)
    if status == -signal.SIGKILL:
        raise ProblemError("out_of_memory", "the process that ran the model was killed; give fewer rows")
    how = signal.strsignal(-status) if status < 0 else f"exit status {status}"
    raise ProblemError("model_failed", f"the process that ran the model died ({how}); run the model elsewhere first")
