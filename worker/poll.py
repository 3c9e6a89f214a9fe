"""A worker that needs no broker: it looks into the database for work. Run: `python -m worker.poll`."""

import threading

import structlog
from sqlalchemy.exc import OperationalError

from contract.database import Database
from contract.jobs import Jobs
from contract.logs import configure_logs
from contract.process import end_with_parent, stop_on_signals
from contract.queue import INSPECTION_QUEUE
from contract.settings import Settings
from worker.runner import Runner

RECONCILE_SECONDS = 1.0
# What a job of each lane needs first, imported before it comes.
WARM_ANALYSIS = ("worker.analysis", "hpcore.study")
WARM_INSPECTION = ("worker.activations",)
log = structlog.get_logger()


def serve_lane(
    settings: Settings, database: Database, queues: tuple[str, ...], warm: tuple[str, ...], stop: threading.Event
) -> None:
    """Run the jobs of some queues, one after the other, until `stop` is set."""
    jobs, runner = Jobs(database), Runner(settings, database, warm_modules=warm)
    runner.prepare()
    try:
        while not stop.is_set():
            try:
                claim = jobs.claim(runner.name, settings.lease_seconds, queues=queues)
            except OperationalError as error:
                log.warning("no claim: the database does not answer", error=str(error.orig))
                stop.wait(1.0)
                continue
            if claim is None:
                stop.wait(settings.poll_seconds)
            else:
                runner.run(claim, stop.is_set)
    finally:
        runner.close()


def reconcile(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Put jobs of silent workers back into the queue, once a second, until `stop` is set."""
    jobs = Jobs(database)
    while not stop.wait(RECONCILE_SECONDS):
        try:
            count = jobs.requeue_expired(settings.max_attempts)
        except OperationalError as error:
            log.warning("no reconciliation: the database does not answer", error=str(error.orig))
        else:
            if count:
                log.warning("requeued jobs of lost workers", count=count)


def main() -> None:
    """Serve analyses and inspections side by side until SIGTERM or SIGINT."""
    configure_logs()
    settings = Settings()
    database = Database(settings)
    database.upgrade()
    stop = stop_on_signals()
    end_with_parent()
    lanes = [
        threading.Thread(target=serve_lane, args=(settings, database, settings.queue_names(), WARM_ANALYSIS, stop)),
        threading.Thread(target=serve_lane, args=(settings, database, (INSPECTION_QUEUE,), WARM_INSPECTION, stop)),
        threading.Thread(target=reconcile, args=(settings, database, stop)),
    ]
    for lane in lanes:
        lane.start()
    log.info("worker ready", queues=settings.queue_names())
    for lane in lanes:
        lane.join()
    database.close()


if __name__ == "__main__":
    main()
