"""Tells the broker which jobs wait, and requeues those of lost workers. Run: `python -m worker.dispatch`.

Accepting a job never waits for the broker: the row is written, and this process announces it. What the broker loses is
announced again, so it may be wiped or restarted at any time. Several dispatchers do no harm.
"""

import threading

import structlog
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import OperationalError

from contract.database import Database
from contract.jobs import Jobs
from contract.logs import configure_logs
from contract.process import end_with_parent, stop_on_signals
from contract.queue import announce, announcements, make_celery
from contract.settings import Settings
from worker.poll import reconcile

_BROKER_AWAY_SECONDS = 1.0
log = structlog.get_logger()


def dispatch(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Announce waiting jobs until `stop` is set."""
    jobs, celery = Jobs(database), make_celery(settings)
    while not stop.wait(settings.poll_seconds):
        try:
            waiting = jobs.unannounced(settings.resend_seconds)
            # While messages wait, the broker has forgotten nothing, and a long queue must not grow by being told again.
            remembered = {
                queue for queue in {queue for _, queue, told in waiting if told} if announcements(celery, queue)
            }
            for job_id, queue, told in waiting:
                if not (told and queue in remembered):
                    announce(celery, job_id, queue)
            if waiting:
                jobs.announced([job_id for job_id, _, _ in waiting])
        except (BrokerError, ConnectionError, TimeoutError, OperationalError) as error:
            log.warning("jobs were not announced, trying again", error=str(error))
            stop.wait(_BROKER_AWAY_SECONDS)


def main() -> None:
    """Dispatch until SIGTERM or SIGINT."""
    configure_logs()
    settings = Settings()
    database = Database(settings)
    database.upgrade()
    stop = stop_on_signals()
    end_with_parent()
    reconciler = threading.Thread(target=reconcile, args=(settings, database, stop))
    reconciler.start()
    log.info("dispatcher ready")
    dispatch(settings, database, stop)
    reconciler.join()
    database.close()


if __name__ == "__main__":
    main()
