"""What a service process does for the files on its own host, where the finished ones lie in a store elsewhere.

Where all lie in one folder, the reconciler does it for all hosts.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import OperationalError

from contract.spool import sweep_spool
from contract.stores import StoreUnavailable
from service.deps import Stores

_RESUME_SECONDS = 5.0
_END_SECONDS = 5.0
log = structlog.get_logger()


@contextmanager
def keeping_house(found: Stores) -> Iterator[None]:
    """Store what is complete, and drop what has expired, while the block lasts."""
    if found.blobs.in_place:
        yield
        return
    if elsewhere := found.uploads.elsewhere():
        log.warning("unfinished uploads lie on other hosts; services must share the data directory", count=elsewhere)
    stop = threading.Event()
    # A daemon: a store that is slow must not hold up the end; what is not stored then is stored after the next start.
    thread = threading.Thread(target=_keep, args=(found, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_END_SECONDS)


def _keep(found: Stores, stop: threading.Event) -> None:
    next_sweep = time.monotonic() + found.settings.sweep_seconds
    while True:
        try:
            count = found.uploads.resume()
            if count:
                log.info("complete uploads stored", count=count)
            if time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + found.settings.sweep_seconds
                sweep_spool(found.settings, found.database, found.blobs)
        except (OperationalError, OSError, StoreUnavailable) as error:
            log.warning("uploads wait on this host", error=str(error))
        if stop.wait(_RESUME_SECONDS):
            return
