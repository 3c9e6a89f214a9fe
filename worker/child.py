"""The computing process: reads work from stdin, writes events to stdout, lives for many jobs.

It dies with its parent: end of file on stdin ends it at once, even in the middle of a computation.
"""

import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

import structlog

from contract.blobs import Blobs
from contract.logs import configure_logs
from contract.schemas import AnalysisRequest, Problem, ProblemError, Progress
from worker.messages import Event, InspectionEvent, ProblemEvent, ProgressEvent, ReportEvent, Work

_PROGRESS_SECONDS = 0.1
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


def perform(work: Work, emitter: Emitter) -> Event:
    """Do one job and return how it ended."""
    try:
        return _inspect(work) if work.kind == "inspection" else _analyze(work, emitter)
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


def _inspect(work: Work) -> Event:
    from worker.activations import open_activations

    (path,) = work.inputs.values()
    file = open_activations(Path(path), max_unpacked_bytes=work.max_unpacked_bytes)
    return InspectionEvent(inspection=file.inspection())


def _analyze(work: Work, emitter: Emitter) -> Event:
    from worker.analysis import analyze
    from worker.measuring import Resources

    report, device = analyze(
        AnalysisRequest.model_validate(work.request),
        {artifact: Path(path) for artifact, path in work.inputs.items()},
        Resources(
            n_threads=work.n_threads or None,
            memory_bytes=work.memory_bytes or None,
            max_unpacked_bytes=work.max_unpacked_bytes,
        ),
        on_progress=emitter.progress,
    )
    return ReportEvent(sha256=Blobs(Path(work.blobs)).put_report(report.to_bytes()), device=device)


def _read_stdin(works: "queue.Queue[Work]") -> None:
    for line in sys.stdin:
        works.put(Work.model_validate_json(line))
    os._exit(0)  # the parent has gone; nothing we compute can be committed any more


def main() -> None:
    """Serve jobs until the parent goes."""
    # Whatever a library prints must not end up among the events.
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    configure_logs()
    works: queue.Queue[Work] = queue.Queue()
    threading.Thread(target=_read_stdin, args=(works,), daemon=True).start()
    if "--warm" in sys.argv:
        from worker.warm_up import warm_up

        warm_up()
    emitter = Emitter(events)
    while True:
        emitter.emit(perform(works.get(), emitter))


if __name__ == "__main__":
    main()
