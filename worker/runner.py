"""Runs claimed jobs: the child computes, the parent renews the lease, relays progress, obeys cancel, and commits."""

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

import structlog
from sqlalchemy.exc import OperationalError

from contract.artifacts import ID_PREFIX, Artifacts
from contract.blobs import Blobs
from contract.counters import Counters
from contract.database import Database
from contract.jobs import Claim, Jobs
from contract.quotas import Quotas
from contract.schemas import AnalysisRequest, Problem, Progress
from contract.settings import Settings
from contract.unfinished import Unfinished
from worker.messages import (
    EVENTS,
    Event,
    InspectionEvent,
    LayersEvent,
    ProblemEvent,
    ProgressEvent,
    ReportEvent,
    Work,
)

_TICK_SECONDS = 0.25
_COMMIT_PATIENCE_SECONDS = 120.0
_COMPUTE = (sys.executable, "-m", "worker.child")
_OVERTAKEN = "canceled, or lost to another worker"
# Outcomes that end the computing process, and what they are counted as.
_CHILD_EXITS = {
    "child died": "died",
    "canceled": "canceled",
    "given back": "stopped",
    "lost to another worker": "lease lost",
    "failed: deadline_exceeded": "deadline",
    "failed: out_of_memory": "out of memory",
}
log = structlog.get_logger()


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
            env={name: value for name, value in os.environ.items() if not name.startswith("INTERLAYER_")},
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


class Runner:
    """Serves one job at a time with one child process; `warm` prepares it for analyses while nobody waits."""

    def __init__(self, settings: Settings, database: Database, *, warm: bool = False) -> None:
        self._settings = settings
        self._jobs = Jobs(database)
        self._artifacts = Artifacts(database)
        self._unfinished = Unfinished(database)
        self._counters, self._quotas = Counters(database), Quotas(settings, database)
        self._blobs = Blobs(settings.data_dir)
        self._warm = warm
        self._child: Child | None = None
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def prepare(self) -> None:
        """Start the child before the first job comes."""
        if self._child is not None and not self._child.alive:
            self.close()
        if self._child is None:
            self._child = Child(warm=self._warm, memory_bytes=self._settings.job_memory_bytes)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def run(self, claim: Claim, stopping: Callable[[], bool] = lambda: False) -> None:
        """Bring one claimed job to its end, or give it back."""
        with structlog.contextvars.bound_contextvars(**_names(claim)):
            log.info("job started", kind=claim.kind)
            self.prepare()
            assert self._child is not None
            begun = time.monotonic()
            self._child.send(self._work(claim))
            outcome = self._watch(claim, self._child, stopping)
            log.info("job left", outcome=outcome)
            self._count(claim, outcome, time.monotonic() - begun)

    def _count(self, claim: Claim, outcome: str, seconds: float) -> None:
        """Note what operators and quotas want to know of an attempt."""
        if outcome in ("result discarded", "lost to another worker", _OVERTAKEN):
            self._counters.add("fenced_completions")
        if (cause := _CHILD_EXITS.get(outcome)) is not None:
            self._counters.add("child_exits", cause)
        if claim.kind == "analysis":
            try:
                self._quotas.computed(claim.tenant, seconds)
            except OperationalError as error:
                log.warning("computing time not noted", error=str(error.orig))

    def _watch(self, claim: Claim, child: Child, stopping: Callable[[], bool]) -> str:
        deadline = time.monotonic() + self._settings.deadline_seconds
        tick = min(_TICK_SECONDS, self._settings.lease_seconds / 3)
        next_beat = 0.0
        progress: Progress | None = None
        while True:
            try:
                event = child.next_event(tick)
            except queue.Empty:
                pass
            else:
                if isinstance(event, LayersEvent):
                    self._show_layers(claim, event)
                elif isinstance(event, ProgressEvent):
                    progress = event.progress
                else:
                    return self._end(claim, event)
            if time.monotonic() < next_beat:
                continue
            next_beat = time.monotonic() + tick
            held = self._heartbeat(claim, progress)
            if held != "held" or stopping() or time.monotonic() > deadline:
                self.close()
                return self._abandon(claim, held, stopping())

    def _show_layers(self, claim: Claim, event: LayersEvent) -> None:
        try:
            self._unfinished.add_layers(claim, event.first, event.separations)
        except OperationalError as error:  # a reader misses some layers until the report is there
            log.warning("finished layers not shown", error=str(error.orig))

    def _heartbeat(self, claim: Claim, progress: Progress | None) -> str:
        try:
            return self._jobs.heartbeat(claim, self._settings.lease_seconds, progress)
        except OperationalError as error:  # a database that is away may be back before the lease runs out
            log.warning("heartbeat failed", error=str(error.orig))
            return "held"

    def _abandon(self, claim: Claim, held: str, stopping: bool) -> str:
        if held == "lost":
            return "lost to another worker"
        if held == "cancel":
            self._commit(lambda: self._jobs.canceled(claim))
            return "canceled"
        if stopping:
            self._commit(lambda: self._jobs.release(claim, lost=False, max_attempts=self._settings.max_attempts))
            return "given back"
        limit = self._settings.deadline_seconds
        problem = Problem.of("deadline_exceeded", f"the analysis ran longer than {limit:g} s; analyse fewer rows")
        return self._fail(claim, problem)

    def _end(self, claim: Claim, event: Event | None) -> str:
        if event is None:
            status = self._child.kill() if self._child is not None else None
            self._child = None
            log.error("the computing process died", exit_status=status)
            self._commit(lambda: self._jobs.release(claim, lost=True, max_attempts=self._settings.max_attempts))
            return "child died"
        # What went wrong on our side says nothing about the file: it stays unjudged, and an analysis may still read it.
        ours = isinstance(event, ProblemEvent) and event.problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if isinstance(event, InspectionEvent | ProblemEvent) and claim.kind == "inspection" and not ours:
            found = event.inspection if isinstance(event, InspectionEvent) else event.problem
            self._commit(lambda: self._artifacts.inspected(claim.tenant, claim.request["sha256"], found))
            self._commit(lambda: self._jobs.succeed(claim, report_sha256=None, device=None))
            return "inspected"
        if isinstance(event, ReportEvent):
            committed = self._commit(lambda: self._jobs.succeed(claim, report_sha256=event.sha256, device=event.device))
            if not committed:  # canceled in the last moment, or the lease was lost meanwhile
                self._commit(lambda: self._jobs.canceled(claim))
            if event.device == "cpu" and claim.request["device"] == "auto" and "gpu" in self._settings.queue_names():
                self._counters.add("gpu_fallbacks")
            return "succeeded" if committed else "result discarded"
        assert isinstance(event, ProblemEvent)
        if event.problem.code == "out_of_memory":
            self.close()  # a process whose memory ran out is not to be trusted with the next job
        return self._fail(claim, event.problem)

    def _fail(self, claim: Claim, problem: Problem) -> str:
        if self._commit(lambda: self._jobs.fail(claim, problem)):
            return f"failed: {problem.code}"
        self._commit(lambda: self._jobs.canceled(claim))  # what was answered to a client holds, or another has the job
        return _OVERTAKEN

    def _commit(self, statement: Callable[[], bool | None]) -> bool | None:
        """Run a final statement, patient with a database that is away for a moment."""
        end, pause = time.monotonic() + _COMMIT_PATIENCE_SECONDS, 0.1
        while True:
            try:
                return statement()
            except OperationalError as error:
                if time.monotonic() > end:
                    raise
                log.warning("commit failed, trying again", error=str(error.orig))
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _work(self, claim: Claim) -> Work:
        if claim.kind == "inspection":
            ids = [ID_PREFIX + claim.request["sha256"]]
        else:
            request = AnalysisRequest.model_validate(claim.request)
            ids = request.artifacts
        return Work(
            kind=claim.kind,
            request=claim.request,
            inputs={i: str(self._blobs.artifact(claim.tenant, i.removeprefix(ID_PREFIX))) for i in ids},
            blobs=str(self._settings.data_dir),
            max_unpacked_bytes=self._settings.max_unpacked_bytes,
            n_threads=self._settings.worker_threads,
            memory_bytes=self._settings.worker_memory_bytes,
            models_file=None if self._settings.models_file is None else str(self._settings.models_file),
            sandbox_required=self._settings.sandbox == "require",
            model_seconds=self._settings.model_seconds,
            model_memory_bytes=self._settings.job_memory_bytes,
            names=_names(claim),
        )


def _names(claim: Claim) -> dict[str, str | int | None]:
    """Return what the log lines of an attempt are found by, in this process and in the computing one."""
    return {"job": claim.id, "attempt": claim.attempt, "request": claim.request_id}
