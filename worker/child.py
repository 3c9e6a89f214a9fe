"""The computing process: reads work from stdin, writes events to stdout, lives for many jobs.

It dies with its parent: end of file on stdin ends it at once, even in the middle of a computation.
"""

import argparse
import errno
import hashlib
import os
import queue
import secrets
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import structlog

from contract.formats import file_format
from contract.logs import configure_logs
from contract.schemas import AnalysisRequest, Pairs, Problem, ProblemError, Progress, Separation
from worker.limits import COMPUTING, die_at_oom, limit_memory
from worker.messages import (
    Event,
    InspectionEvent,
    LayersEvent,
    PlanEvent,
    ProblemEvent,
    ProgressEvent,
    ReportEvent,
    Work,
)

if TYPE_CHECKING:
    from worker.measuring import Resources
    from worker.models.sources import ModelRunning

_PROGRESS_SECONDS = 0.1
_LAYERS_SECONDS = 0.7
_DISK_FULL_SECONDS = 1.0
_MOST_PARTIAL_PAIRS = 200  # a growing picture draws no more dots than these
log = structlog.get_logger()


class Emitter:
    """Writes events, progress at most ten times a second."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0

    def emit(self, event: Event) -> None:
        """Write one event."""
        print(event.model_dump_json(), file=self._stream, flush=True)

    def progress(self, stage: str, done: int, total: int, fraction: float) -> None:
        """Write progress, if the last is old enough."""
        now = time.monotonic()
        if now - self._last >= _PROGRESS_SECONDS:
            self._last = now
            self.emit(ProgressEvent(progress=Progress(stage=stage, done=done, total=total, fraction=fraction)))


class FinishedLayers:
    """Tells of finished layers now and then; an analysis that is over in a moment tells of none."""

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._last = time.monotonic()
        self._told = 0
        self._waiting: list[Separation] = []

    def add(self, separation: Separation, number: int | None = None) -> None:
        """Note one more layer, and its number if that is not the next; what only the report needs is left out."""
        if number is not None and number != self._told + len(self._waiting):
            self.tell()
            self._told = number
        if len(separation.pairs.statistic) > _MOST_PARTIAL_PAIRS:
            empty: dict[str, list[str]] = {name: [] for name in Pairs.model_fields}
            separation = separation.model_copy(update={"pairs": Pairs.model_validate(empty)})
        self._waiting.append(separation.model_copy(update={"fold_means": None}))
        if time.monotonic() - self._last >= _LAYERS_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Tell of those that have not been told of."""
        if self._waiting:
            self._emitter.emit(LayersEvent(first=self._told, separations=self._waiting))
        self._last, self._told, self._waiting = time.monotonic(), self._told + len(self._waiting), []


def perform(work: Work, emitter: Emitter) -> Event:
    """Do one job and return how it ended."""
    try:
        return {"inspection": _inspect, "analysis": _analyze, "part": _compute_part}[work.kind](work, emitter)
    except ProblemError as error:
        return ProblemEvent(problem=error.problem)
    except MemoryError:
        log.exception("out of memory")
        return ProblemEvent(
            problem=Problem.of("out_of_memory", "the worker ran out of memory; analyse fewer rows or smaller layers")
        )
    except Exception:
        log.exception("a job failed unexpectedly")
        return ProblemEvent(
            problem=Problem.of("internal_error", "the analysis failed in a way we did not foresee; the log says more")
        )


def _inspect(work: Work, _emitter: Emitter) -> Event:
    from worker.activations import open_activations
    from worker.models.sources import inspect_model

    (path,) = work.inputs.values()
    if file_format(Path(path)) == "onnx":
        return InspectionEvent(inspection=inspect_model(Path(path), _running(work)))
    file = open_activations(Path(path), max_unpacked_bytes=work.max_unpacked_bytes)
    return InspectionEvent(inspection=file.inspection())


def _analyze(work: Work, emitter: Emitter) -> Event:
    from worker.analysis import analyze, analyze_study, open_study
    from worker.part import planned

    request, resources = AnalysisRequest.model_validate(work.request), _resources(work)
    paths = {artifact: Path(path) for artifact, path in work.inputs.items()}
    layers = FinishedLayers(emitter)
    if any(item.model is not None for item in request.inputs):  # what a model records is not kept for others
        report, device = analyze(
            request, paths, resources, on_progress=emitter.progress, on_layer=layers.add, running=_running(work)
        )
    else:
        study = open_study(request, paths, resources)
        if work.part_seconds and (parts := planned(study, work.part_seconds)):
            return PlanEvent(parts=parts)
        report, device = analyze_study(study, emitter.progress, layers.add)
    return written(report.to_bytes(), device, Path(work.blobs), emitter)


def _compute_part(work: Work, emitter: Emitter) -> Event:
    from worker.part import computed

    assert work.part is not None
    finished = FinishedLayers(emitter)
    content, device = computed(
        work, work.part, _resources(work), emitter.progress, lambda number, found: finished.add(found, number)
    )
    finished.tell()
    return written(content, device, Path(work.blobs), emitter)


def _resources(work: Work) -> "Resources":
    from worker.measuring import Resources

    return Resources(
        n_threads=work.n_threads or None,
        memory_bytes=work.memory_bytes or None,
        max_unpacked_bytes=work.max_unpacked_bytes,
        limits=work.limits,
    )


def _running(work: Work) -> "ModelRunning":
    from worker.models.sources import ModelRunning
    from worker.sandbox import Confined

    return ModelRunning(
        Confined(
            hidden=Path(work.blobs),
            required=work.sandbox_required,
            seconds=work.model_seconds,
            memory_bytes=work.model_memory_bytes,
        ),
        None if work.models_file is None else Path(work.models_file),
    )


def written(report: bytes, device: str, folder: Path, emitter: Emitter) -> ReportEvent:
    """Write a report or a result down. A full disk is waited out, as long as cancel allows: the work took hours."""
    name = secrets.token_hex(16)
    path = folder / "tmp" / name
    while True:
        try:
            path.write_bytes(report)
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            log.warning("the disk is full, the report waits", error=str(error))
        else:
            return ReportEvent(sha256=hashlib.sha256(report).hexdigest(), device=device, file=name)
        emitter.progress("waiting for disk space", 1, 1, 1.0)
        time.sleep(_DISK_FULL_SECONDS)


def _read_stdin(works: "queue.Queue[Work]") -> None:
    for line in sys.stdin:
        works.put(Work.model_validate_json(line))
    # The parent has gone; nothing that we, or processes of ours, compute can be committed any more.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def main() -> None:
    """Serve jobs until the parent goes."""
    parser = argparse.ArgumentParser(prog="python -m worker.child", description=__doc__.split("\n")[0])
    parser.add_argument("--warm", action="store_true", help="be ready for analyses before the first comes")
    parser.add_argument("--memory", type=int, default=0, help="bytes it may allocate (default: what the machine has)")
    arguments = parser.parse_args()
    die_at_oom(COMPUTING)
    limit_memory(arguments.memory)
    # Whatever a library prints must not end up among the events.
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    configure_logs()
    works: queue.Queue[Work] = queue.Queue()
    threading.Thread(target=_read_stdin, args=(works,), daemon=True).start()
    if arguments.warm:
        from worker.warm_up import warm_up

        warm_up()
    emitter = Emitter(events)
    while True:
        work = works.get()
        with structlog.contextvars.bound_contextvars(**work.names):
            emitter.emit(perform(work, emitter))


if __name__ == "__main__":
    main()
