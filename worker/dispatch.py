"""Tells the broker which jobs wait, and requeues those of lost workers. Run: `python -m worker.dispatch`.

Accepting a job never waits for the broker: the row is written, and this process announces it. What the broker loses is
announced again, so it may be wiped or restarted at any time. Several dispatchers do no harm.
"""

import threading
from contextlib import suppress

import structlog
from kombu.exceptions import OperationalError as BrokerError
from sqlalchemy.exc import OperationalError

from contract.counters import Counters
from contract.database import Database
from contract.jobs import Jobs
from contract.logs import configure_logs
from contract.process import end_with_parent, stop_on_signals
from contract.queue import announce, announcements, make_celery
from contract.settings import Settings
from worker.poll import reconcile
from worker.presence import Presence

_BROKER_AWAY_SECONDS = 1.0
_MOST_MESSAGES = 16  # in a queue: whoever is woken works until nothing waits, so more would find nothing to do
_LOOKS_IN_A_POLL = 2  # the way over the broker takes time, and nobody should wait longer than for a polling worker
log = structlog.get_logger()


def dispatch(settings: Settings, database: Database, presence: Presence, stop: threading.Event) -> None:
    """Announce waiting jobs until `stop` is set."""
    jobs, counters, celery = Jobs(database), Counters(database), make_celery(settings)
    while not stop.wait(settings.poll_seconds / _LOOKS_IN_A_POLL):
        try:
            sent = []
            room: dict[str, int] = {}
            for job_id, queue in jobs.unannounced(settings.resend_seconds):
                if queue not in room:
                    room[queue] = _MOST_MESSAGES - announcements(celery, queue)
                if room[queue] > 0:
                    room[queue] -= 1
                    announce(celery, job_id, queue)
                    sent.append(job_id)
            if sent:
                jobs.announced(sent)
            presence.trouble(None)
        except (BrokerError, ConnectionError, TimeoutError, OperationalError) as error:
            log.warning("jobs were not announced, trying again", error=str(error))
            _note_failure(counters, presence, error)
            stop.wait(_BROKER_AWAY_SECONDS)


def _note_failure(counters: Counters, presence: Presence, error: Exception) -> None:
    """Tell the service, which does not know the broker, that jobs are not announced."""
    if not isinstance(error, OperationalError):  # that is the database's, which could not note it either
        counters.add("publish_failures")
        with suppress(OperationalError):
            presence.trouble("the broker does not answer")


def main() -> None:
    """Dispatch until SIGTERM or SIGINT."""
    configure_logs()
    settings = Settings()
    database = Database(settings)
    database.upgrade()
    stop = stop_on_signals()
    end_with_parent()
    presence = Presence(database, "dispatcher", reconciles=True)
    reconciler = threading.Thread(target=reconcile, args=(settings, database, presence, stop))
    reconciler.start()
    log.info("dispatcher ready")
    dispatch(settings, database, presence, stop)
    reconciler.join()
    presence.end()
    database.close()


if __name__ == "__main__":
    main()
