"""Jobs that are done when a test says so: no waiting for a polling worker."""

from collections.abc import Iterator
from contextlib import contextmanager

from contract.database import Database
from contract.jobs import Claim, Jobs
from contract.queue import INSPECTION_QUEUE
from contract.settings import Settings
from worker.runner import Runner

QUEUES = ("cpu", "gpu", INSPECTION_QUEUE)


def next_claim(settings: Settings, database: Database) -> Claim | None:
    """Claim whatever waits."""
    return Jobs(database).claim("test", settings.lease_seconds, queues=QUEUES)


@contextmanager
def runner_of(settings: Settings, database: Database) -> Iterator[Runner]:
    """A runner whose computing process ends with the block."""
    runner = Runner(settings, database)
    try:
        yield runner
    finally:
        runner.close()


def work_off(settings: Settings, database: Database) -> int:
    """Run every waiting job to its end and return how many there were."""
    count = 0
    with runner_of(settings, database) as runner:
        while (claim := next_claim(settings, database)) is not None:
            runner.run(claim)
            count += 1
    return count
