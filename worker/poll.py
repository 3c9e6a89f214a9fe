"""A worker that needs no broker: it looks into the database for work. Run: `python -m worker.poll`."""

import sys
import threading
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError

from contract.counters import Counters
from contract.database import Database
from contract.jobs import Jobs
from contract.logs import configure_logs
from contract.process import end_with_parent, stop_on_signals
from contract.queue import INSPECTION_QUEUE
from contract.retention import Retention
from contract.settings import Settings
from contract.stores import StoreUnavailable
from worker.host import keep_house
from worker.limits import BABYSITTING, die_at_oom
from worker.presence import Presence
from worker.runner import Runner

RECONCILE_SECONDS = 1.0
log = structlog.get_logger()


def serve_lane(
    settings: Settings, database: Database, queues: tuple[str, ...], warm: bool, stop: threading.Event
) -> None:
    """Run the jobs of some queues, one after the other, until `stop` is set; a `warm` lane is ready for analyses."""
    jobs, runner = Jobs(database), Runner(settings, database, warm=warm)
    runner.prepare()
    try:
        while not stop.is_set():
            try:
                claim = jobs.claim(
                    runner.name, settings.lease_seconds, queues=queues, most_running=settings.most_running()
                )
                if claim is None:
                    stop.wait(settings.poll_seconds)
                else:
                    runner.run(claim, stop.is_set)
            except OperationalError as error:  # a job that was running comes back when its lease has run out
                log.warning("the database does not answer", error=str(error.orig))
                stop.wait(1.0)
    finally:
        runner.close()


def reconcile(settings: Settings, database: Database, presence: Presence, stop: threading.Event) -> None:
    """Put jobs of silent workers back into the queue and sweep, once a second, until `stop` is set."""
    jobs, counters, retention = Jobs(database), Counters(database), Retention(settings, database)
    while not stop.wait(RECONCILE_SECONDS):
        try:
            jobs.shorten_leases(settings.lease_seconds)
            count = jobs.requeue_expired(settings.max_attempts)
            presence.beat()
            retention.sweep_if_due()
        except OperationalError as error:
            log.warning("no reconciliation: the database does not answer", error=str(error.orig))
        except (OSError, StoreUnavailable) as error:
            log.warning("not swept", error=str(error))
        else:
            if count:
                counters.add("lease_expiries", count=count)
                log.warning("requeued jobs of lost workers", count=count)


def main() -> None:
    """Serve analyses and inspections side by side until SIGTERM or SIGINT."""
    configure_logs()
    die_at_oom(BABYSITTING)
    settings = Settings()
    database = Database(settings)
    database.upgrade()
    stop = stop_on_signals()
    end_with_parent()
    failed = threading.Event()
    presence = Presence(database, "worker", settings.queue_names(), reconciles=True)

    def guarded(lane: Callable[..., None], *arguments: Any) -> None:
        """Run a lane; if it fails, end the whole worker, so that whoever supervises it notices."""
        try:
            lane(*arguments)
        except Exception:
            log.exception("a lane of the worker failed")
            failed.set()
            stop.set()

    lanes = [
        threading.Thread(target=guarded, args=(serve_lane, settings, database, queues, warm, stop))
        for queues, warm in ((settings.queue_names(), True), ((INSPECTION_QUEUE,), False))
    ]
    lanes.append(threading.Thread(target=guarded, args=(reconcile, settings, database, presence, stop)))
    lanes.append(threading.Thread(target=guarded, args=(keep_house, settings, database, stop)))
    for lane in lanes:
        lane.start()
    log.info("worker ready", queues=settings.queue_names())
    for lane in lanes:
        lane.join()
    presence.end()
    database.close()
    sys.exit(1 if failed.is_set() else 0)


if __name__ == "__main__":
    main()
