"""What a worker does for the files on its host, where those of the installation lie in a store elsewhere."""

import threading

import structlog
from sqlalchemy.exc import OperationalError

from contract.artifacts import Artifacts
from contract.blobs import Blobs
from contract.database import Database
from contract.settings import Settings
from contract.spool import sweep_unfinished
from worker.inputs import cache_of

log = structlog.get_logger()


def keep_house(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Delete now and then what killed workers left, and copies of what was deleted, until `stop` is set."""
    blobs, artifacts = Blobs.open(settings), Artifacts(database)
    if blobs.in_place:  # the reconciler does it for all hosts
        return
    cache = cache_of(settings, blobs)
    while not stop.wait(settings.sweep_seconds):
        try:
            files = sweep_unfinished(settings, database, blobs)
            copies = cache.forget(lambda tenant, sha256: artifacts.get(tenant, sha256) is not None)
        except (OperationalError, OSError) as error:
            log.warning("this host was not swept", error=str(error))
        else:
            if files or copies:
                log.info("this host was swept", files=files, copies=copies)
