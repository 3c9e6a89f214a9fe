"""The Celery worker. Run: `python -m worker.app --concurrency 1`; its queues are those of the settings.

A message only wakes: the woken worker claims the jobs whose turn it is, by the same rule as a polling one, until none
waits. Celery's own pool only babysits: each of its threads has a child process that computes, so a thread pool is the
right one, nothing is forked, and CUDA is never initialised in a parent.
"""

import argparse
import os
import queue
import signal
import threading
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError

from contract.database import Database
from contract.jobs import Jobs
from contract.logs import configure_logs
from contract.process import end_with_parent
from contract.queue import INSPECTION_QUEUE, RUN_JOB, make_celery
from contract.settings import Settings
from worker.host import keep_house
from worker.limits import BABYSITTING, die_at_oom
from worker.poll import serve_lane
from worker.presence import Presence
from worker.runner import Runner

log = structlog.get_logger()


def make_worker(settings: Settings, database: Database, runners: list[Runner], stop: threading.Event) -> Any:
    """Return the Celery application with its one task, which takes one of the runners at a time."""
    from celery.signals import worker_shutting_down

    app, jobs = make_celery(settings), Jobs(database)
    idle: queue.SimpleQueue[Runner] = queue.SimpleQueue()
    for runner in runners:
        idle.put(runner)

    def run_job(task: Any, _job_id: str) -> None:
        runner, queues = idle.get(), [task.request.delivery_info["routing_key"]]
        try:
            # The queue, but not the id: a tenant with many messages must not go before one with few.
            while not stop.is_set():
                claim = jobs.claim(
                    runner.name, settings.lease_seconds, queues=queues, most_running=settings.most_running()
                )
                if claim is None:
                    break
                runner.run(claim, stop.is_set)
        except OperationalError as error:  # what waits is announced again, what ran comes back with its lease
            log.warning("the database does not answer", error=str(error.orig))
        finally:
            idle.put(runner)

    app.task(name=RUN_JOB, bind=True)(run_job)
    # On SIGTERM the running jobs are given back to the queue at once; another worker takes them.
    worker_shutting_down.connect(lambda *_, **__: stop.set(), weak=False)
    return app


def _inspect(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Look into uploads beside the analyses; if that fails, end the whole worker, so that it is started anew."""
    try:
        serve_lane(settings, database, (INSPECTION_QUEUE,), False, stop)
    except Exception:
        log.exception("the lane for inspections failed")
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Start the Celery worker."""
    end_with_parent()
    parser = argparse.ArgumentParser(prog="python -m worker.app", description=__doc__.split("\n")[0])
    parser.add_argument("--concurrency", type=int, default=2, help="jobs at the same time (default: 2)")
    arguments = parser.parse_args()
    configure_logs()
    die_at_oom(BABYSITTING)
    settings = Settings()
    database = Database(settings)
    database.upgrade()
    stop = threading.Event()
    inspections = threading.Thread(target=_inspect, args=(settings, database, stop))
    inspections.start()
    presence = Presence(database, "worker", settings.queue_names())
    beats = threading.Thread(target=presence.keep, args=(stop,))
    beats.start()
    threading.Thread(target=keep_house, args=(settings, database, stop), daemon=True).start()
    runners = [Runner(settings, database, warm=True) for _ in range(arguments.concurrency)]
    for runner in runners:
        runner.prepare()
    options = [
        "--pool=threads",
        f"--concurrency={arguments.concurrency}",
        f"--queues={','.join(settings.queue_names())}",
    ]
    options += ["--loglevel=INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    try:
        make_worker(settings, database, runners, stop).worker_main(["worker", *options])
    finally:
        stop.set()
        inspections.join()
        beats.join()
        for runner in runners:
            runner.close()
        presence.end()


if __name__ == "__main__":
    main()
