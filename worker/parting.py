"""From the plan of the computing process to rows of parts: which are known, and which queue each goes to."""

from collections.abc import Mapping
from contextlib import suppress

from contract.blobs import Blobs
from contract.counters import SEEN_SECONDS, Processes
from contract.database import Database
from contract.jobs import Claim
from contract.parts import NewPart, Parts
from contract.settings import Settings
from contract.stores import StoreUnavailable
from worker.messages import PlanEvent
from worker.patience import Patience

_SMALL = 0.25
"""Parts that cost less than this share of a usual one are not worth a GPU."""


class Parting:
    """Splits analyses."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._settings, self._blobs = settings, blobs
        self._parts, self._processes = Parts(database), Processes(database)

    def known(self, claim: Claim, plan: PlanEvent, patience: Patience) -> dict[str, str]:
        """Return results of earlier, failed tries that this one can take over, by fingerprint: those that are whole."""
        whole = {}
        for name, sha256 in self._parts.known(claim.tenant, [part.fingerprint for part in plan.parts]).items():
            patience.require()
            with suppress(FileNotFoundError, StoreUnavailable):  # then it is computed again
                if self._blobs.sha256(self._blobs.part(sha256)) == sha256:
                    whole[name] = sha256
        return whole

    def split(self, claim: Claim, plan: PlanEvent, known: Mapping[str, str]) -> bool:
        """Write the parts of a plan down, with what is `known` of them. False as `Parts.split`."""
        choice = self._served() if claim.request["device"] == "auto" else set[str]()
        large = _SMALL * self._settings.part_seconds
        parts = [
            NewPart(
                number,
                {"tasks": part.tasks, "about": part.about},
                part.needs,
                part.cost,
                part.fingerprint,
                ("gpu" if part.cost >= large and part.tasks else "cpu") if choice >= {"cpu", "gpu"} else claim.queue,
            )
            for number, part in enumerate(plan.parts)
        ]
        return self._parts.split(claim, parts, known)

    def _served(self) -> set[str]:
        """Return the queues that workers serve at the moment."""
        workers = [each for each in self._processes.all() if each.role == "worker" and each.age < SEEN_SECONDS]
        return {queue for worker in workers for queue in worker.queues.split(",")}
