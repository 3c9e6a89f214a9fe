"""The Celery worker. Run: `python -m worker.app --concurrency 1`; its queues are those of the settings.

Celery's own pool only babysits: each of its threads has a child process that computes, so a thread pool is the right
one, nothing is forked, and CUDA is never initialised in a parent.
"""

import argparse
import threading
from typing import Any

from contract.database import Database
from contract.jobs import Jobs
from contract.logs import configure_logs
from contract.process import end_with_parent
from contract.queue import INSPECTION_QUEUE, RUN_JOB, make_celery
from contract.settings import Settings
from worker.runner import Runner


def make_worker(settings: Settings, database: Database, stop: threading.Event) -> Any:
    """Return the Celery application with its one task."""
    from celery.signals import worker_shutting_down

    app, jobs, local = make_celery(settings), Jobs(database), threading.local()

    def run_job(job_id: str) -> None:
        if not hasattr(local, "runner"):
            local.runner = Runner(settings, database, warm=True)
        claim = jobs.claim_one(job_id, local.runner.name, settings.lease_seconds)
        if claim is not None:  # else the message came twice, or late
            local.runner.run(claim, stop.is_set)

    app.task(name=RUN_JOB)(run_job)
    # On SIGTERM the running jobs are given back to the queue at once; another worker takes them.
    worker_shutting_down.connect(lambda *_, **__: stop.set(), weak=False)
    return app


def main() -> None:
    """Start the Celery worker."""
    end_with_parent()
    parser = argparse.ArgumentParser(prog="python -m worker.app", description=__doc__.split("\n")[0])
    parser.add_argument("--concurrency", type=int, default=2, help="jobs at the same time (default: 2)")
    arguments = parser.parse_args()
    configure_logs()
    settings = Settings()
    database = Database(settings)
    database.upgrade()
    queues = ",".join((*settings.queue_names(), INSPECTION_QUEUE))
    make_worker(settings, database, threading.Event()).worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={arguments.concurrency}",
            f"--queues={queues}",
            "--loglevel=INFO",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


if __name__ == "__main__":
    main()
