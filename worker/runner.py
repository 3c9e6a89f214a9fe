"""Runs claimed jobs: the child computes, the parent renews the lease, relays progress, obeys cancel, and commits."""

import errno
import os
import queue
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus

import structlog
from sqlalchemy.exc import OperationalError

from contract.artifacts import ID_PREFIX, Artifacts
from contract.blobs import Blobs
from contract.counters import Counters
from contract.database import Database
from contract.jobs import Claim, Jobs
from contract.parts import Context, Parts
from contract.quotas import Quotas
from contract.schemas import AnalysisRequest, Problem, ProblemError, Progress
from contract.settings import Settings
from contract.stores import StoreUnavailable
from contract.unfinished import Unfinished
from worker.child_process import Child
from worker.inputs import Inputs, Results
from worker.learning import Learning
from worker.messages import (
    Event,
    InspectionEvent,
    LayersEvent,
    PartWork,
    PlanEvent,
    ProblemEvent,
    ProgressEvent,
    ReportEvent,
    Work,
)
from worker.parting import Parting
from worker.patience import Patience
from worker.turn import Left, Turn, names_of

_COMMIT_PATIENCE_SECONDS = 120.0
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


class Runner:
    """Serves one job at a time with one child process; `warm` prepares it for analyses while nobody waits."""

    def __init__(self, settings: Settings, database: Database, *, warm: bool = False) -> None:
        self._settings = settings
        self._jobs, self._parts = Jobs(database), Parts(database)
        self._artifacts = Artifacts(database)
        self._unfinished = Unfinished(database)
        self._counters, self._quotas = Counters(database), Quotas(settings, database)
        self._blobs = Blobs.open(settings)
        self._inputs, self._results = Inputs(settings, database, self._blobs), Results(self._blobs)
        self._parting = Parting(settings, database, self._blobs)
        self._learning = Learning(settings, database)
        self._warm = warm
        self._child: Child | None = None
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def prepare(self) -> None:
        """Start the child before the first job comes."""
        if self._child is not None and not self._child.alive:
            self.close()
        if self._child is None:
            if self._warm:
                self._learning.announce()
            self._child = Child(warm=self._warm, memory_bytes=self._settings.job_memory_bytes)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def run(self, claim: Claim, stopping: Callable[[], bool] = lambda: False) -> None:
        """Bring one claimed job to its end, or give it back."""
        with structlog.contextvars.bound_contextvars(**names_of(claim)):
            log.info("job started", kind=claim.kind)
            self.prepare()
            assert self._child is not None
            begun = time.monotonic()
            turn = Turn(claim, self._settings, self._jobs, stopping, self._context(claim))
            try:
                outcome = self._attempt(turn, self._child)
            except Left as left:
                outcome = self._abandon(claim, left.held, stopping())
            log.info("job left", outcome=outcome)
            self._count(claim, outcome, time.monotonic() - begun)

    def _count(self, claim: Claim, outcome: str, seconds: float) -> None:
        """Note what operators and quotas want to know of an attempt."""
        if outcome in ("result discarded", "lost to another worker", _OVERTAKEN):
            self._counters.add("fenced_completions")
        if (cause := _CHILD_EXITS.get(outcome)) is not None:
            self._counters.add("child_exits", cause)
        if claim.kind != "inspection":
            if outcome == "succeeded":
                self._learning.note(claim, seconds)
            try:
                self._quotas.computed(claim.tenant, seconds)
            except OperationalError as error:
                log.warning("computing time not noted", error=str(error.orig))

    def _context(self, claim: Claim) -> Context | None:
        return None if claim.parent is None else self._parts.context(claim)

    def _attempt(self, turn: Turn, child: Child) -> str:
        if turn.claim.kind == "part" and turn.context is None:
            raise Left("lost")  # its analysis was deleted
        ids = _artifacts_of(turn)
        inputs = self._inputs.in_place(turn.claim.tenant, ids)
        with ExitStack() as held:
            if inputs is None:
                fetch = partial(self._inputs.fetched, turn.claim.tenant, ids)
                try:
                    inputs, stack = turn.beside("fetching files", 0.0, fetch)
                except ProblemError as error:
                    return self._end(turn, ProblemEvent(problem=error.problem))
                held.enter_context(stack)
            part = None
            if turn.context is not None:
                fetch_results = partial(self._results.fetched, turn.context.results)
                try:
                    needed, stack = turn.beside("fetching results", 0.0, fetch_results)
                except ProblemError as error:
                    return self._end(turn, ProblemEvent(problem=error.problem))
                held.enter_context(stack)
                part = PartWork(tasks=turn.claim.request["tasks"], results=needed)
            child.send(self._work(turn, inputs, part))
            return self._watch(turn, child)

    def _watch(self, turn: Turn, child: Child) -> str:
        tick = turn.tick
        next_beat = 0.0
        progress: Progress | None = None
        while True:
            try:
                event = child.next_event(tick)
            except queue.Empty:
                pass
            else:
                if isinstance(event, LayersEvent):
                    self._show_layers(turn.claim, event)
                elif isinstance(event, ProgressEvent):
                    progress = event.progress
                else:
                    return self._end(turn, event)
            if time.monotonic() < next_beat:
                continue
            next_beat = time.monotonic() + tick
            try:
                turn.beat(progress)
            except Left:
                self.close()
                raise

    def _show_layers(self, claim: Claim, event: LayersEvent) -> None:
        try:
            self._unfinished.add_layers(claim, event.first, event.separations)
        except OperationalError as error:  # a reader misses some layers until the report is there
            log.warning("finished layers not shown", error=str(error.orig))

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

    def _end(self, turn: Turn, event: Event | None) -> str:
        claim = turn.claim
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
        if isinstance(event, PlanEvent):
            known = turn.beside("planning", 0.0, partial(self._parting.known, claim, event))
            if self._commit(lambda: self._parting.split(claim, event, known)):
                return f"split into {len(event.parts)} parts"
            self._commit(lambda: self._jobs.canceled(claim))
            return _OVERTAKEN
        if isinstance(event, ReportEvent):
            turn.beside("storing the report", 1.0, partial(self._keep, event, self._key(claim, event)))
            committed = self._commit(partial(self._succeed, claim, event))
            if not committed:  # canceled in the last moment, or the lease was lost meanwhile
                self._commit(lambda: self._jobs.canceled(claim))
            if event.device == "cpu" and turn.request["device"] == "auto" and "gpu" in self._settings.queue_names():
                self._counters.add("gpu_fallbacks")
            return "succeeded" if committed else "result discarded"
        assert isinstance(event, ProblemEvent)
        if event.problem.code == "out_of_memory":
            self.close()  # a process whose memory ran out is not to be trusted with the next job
        return self._fail(claim, event.problem)

    def _key(self, claim: Claim, event: ReportEvent) -> str:
        """Return where a result belongs: the part without tasks makes the report."""
        whole = claim.parent is None or not claim.request["tasks"]
        return self._blobs.report(event.sha256) if whole else self._blobs.part(event.sha256)

    def _succeed(self, claim: Claim, event: ReportEvent) -> bool:
        if claim.parent is not None:
            return self._parts.succeed(claim, sha256=event.sha256, device=event.device)
        return self._jobs.succeed(claim, report_sha256=event.sha256, device=event.device)

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

    def _keep(self, event: ReportEvent, key: str, patience: Patience) -> None:
        """Store what the child has written. The store is waited for: the work took hours."""
        path = self._blobs.temporary / event.file
        while True:
            try:
                return self._blobs.store.keep(path, key)
            except StoreUnavailable as error:
                patience.trouble("waiting for the store of files", error)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                patience.trouble("waiting for disk space", error)

    def _work(self, turn: Turn, inputs: dict[str, str], part: PartWork | None) -> Work:
        claim = turn.claim
        return Work(
            kind=claim.kind,
            request=turn.request,
            part_seconds=self._settings.part_seconds,
            part=part,
            inputs=inputs,
            blobs=str(self._settings.data_dir),
            max_unpacked_bytes=self._settings.max_unpacked_bytes,
            n_threads=self._settings.worker_threads,
            memory_bytes=self._settings.worker_memory_bytes,
            models_file=None if self._settings.models_file is None else str(self._settings.models_file),
            sandbox_required=self._settings.sandbox == "require",
            model_seconds=self._settings.model_seconds,
            model_memory_bytes=self._settings.job_memory_bytes,
            limits=self._learning.limits() if claim.kind == "analysis" else None,
            names=names_of(claim),
        )


def _artifacts_of(turn: Turn) -> list[str]:
    if turn.claim.kind == "inspection":
        return [ID_PREFIX + turn.request["sha256"]]
    return AnalysisRequest.model_validate(turn.request).artifacts
