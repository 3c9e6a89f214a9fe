"""How long analyses take here beside what was predicted: every worker notes it, so that estimates are of this place."""

from dataclasses import replace

import structlog
from sqlalchemy.exc import OperationalError

from contract.artifacts import ID_PREFIX, Artifacts
from contract.database import Database
from contract.jobs import Claim
from contract.predictions import KnownInput, Limits, predict
from contract.schemas import AnalysisRequest
from contract.settings import Settings
from contract.shapes import Processor
from contract.workforce import Ability, Workforce
from hpcore.threads import available_threads
from worker.limits import job_memory

log = structlog.get_logger()


class Learning:
    """What one worker says of itself. Where the database does not answer, the work goes on without."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._queues = settings, settings.queue_names()
        self._workforce, self._artifacts = Workforce(settings, database), Artifacts(database)
        self._processor = Processor(settings.worker_threads or available_threads(), settings.worker_memory_bytes)
        self._memory_bytes = job_memory(settings.job_memory_bytes)

    def announce(self) -> None:
        """Say what this worker has."""
        try:
            self._workforce.announce(self._queues, threads=self._processor.threads, memory_bytes=self._memory_bytes)
        except OperationalError as error:
            log.warning("not announced: the database does not answer", error=str(error.orig))

    def limits(self) -> Limits:
        """Return what a job may take: the memory of this worker, and times at the speed that was learned."""
        try:
            ability = self._workforce.of(self._queues[0])
        except OperationalError as error:
            log.warning("speed not known: the database does not answer", error=str(error.orig))
            ability = Ability(self._processor, 1.0, self._memory_bytes)
        own = replace(ability, processor=self._processor, memory_bytes=self._memory_bytes)
        return Limits.of(own, self._settings)

    def note(self, claim: Claim, seconds: float) -> None:
        """Note how long a part, or an analysis whose files are all known, took beside what was predicted."""
        try:
            if claim.kind == "part":
                self._workforce.note(self._queues, claim.cost or 0.0, seconds)
                return
            request = AnalysisRequest.model_validate(claim.request)
            artifacts = self._artifacts.several(claim.tenant, [i.removeprefix(ID_PREFIX) for i in request.artifacts])
            files = {artifact.id: artifact for artifact in artifacts}
            found = [KnownInput.of(item, files[item.artifact]) for item in request.inputs if item.artifact in files]
            inputs = [known for known in found if known is not None]
            if len(inputs) == len(request.inputs):
                predicted = predict(request, inputs, self._processor).seconds
                self._workforce.note(self._queues, predicted, seconds)
        except OperationalError as error:
            log.warning("speed not noted: the database does not answer", error=str(error.orig))
