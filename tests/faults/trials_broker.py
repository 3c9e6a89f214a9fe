"""Trials about the broker, which may forget, stop, lie and repeat itself."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from celery import Celery
from pydantic import SecretStr

from contract.queue import RUN_JOB, announce, make_celery
from tests.faults import history
from tests.faults.load import Order, slow
from tests.faults.trials import Trial

_REPEATS = 5


def broker_wiped(trial: Trial) -> None:
    """The broker is killed or emptied, again and again; it never remembers anything."""
    stand = trial.stand

    def faults() -> None:
        for _ in range(trial.size(3, 12)):
            trial.pause(0.2, 2.0)
            if trial.random.random() < 0.6:
                stand.stop_broker()
                stand.start_broker()
            else:
                stand.kills["broker"] += 1
                stand.broker.connect().flushall()

    trial.during(slow(trial.random, trial.size(40, 120)), faults)
    # Now every message is lost, and no later one wakes a worker.
    for role in stand.workers:
        stand.freeze(role)
    stand.broker.connect().flushall()  # what woke nobody any more
    ids = trial.load.submit_all(slow(trial.random, 5))
    stand.until(lambda: history.all_announced(stand.database, ids), "the announcements")
    stand.kills["broker"] += 1
    stand.broker.connect().flushall()
    for role in stand.workers:
        stand.kill(role)
    stand.until_ended(ids)


def broker_away(trial: Trial) -> None:
    """Jobs are accepted while the broker is frozen, and while there is none; they run when it is back."""
    stand, load = trial.stand, trial.load
    count = trial.size(8, 30)
    medians = []
    states: list[tuple[Callable[[], None], Callable[[], None]]] = [
        (lambda: None, lambda: None),
        (lambda: stand.freeze("broker"), lambda: stand.thaw("broker")),
        (stand.stop_broker, stand.start_broker),
    ]
    for away, back in states:
        away()
        seconds = []
        for order in slow(trial.random, count, 5, 20):
            start = time.monotonic()
            load.submit(order)
            seconds.append(time.monotonic() - start)
        trial.pause(1, 3)
        back()
        medians.append(1000 * statistics.median(seconds))
        stand.until_ended(set(load.accepted))
    trial.note = "median of a POST: {:.0f} ms, {:.0f} ms with the broker frozen, {:.0f} ms without one".format(*medians)


def duplicates(trial: Trial) -> None:
    """Every message comes many times, and among them are some that nobody of ours has sent."""
    stand, load = trial.stand, trial.load
    celery: Any = make_celery(stand.settings.model_copy(update={"broker_url": SecretStr(stand.broker.url)}))
    stranger: Any = Celery(broker=stand.broker.url)
    stand.reconfigure(lease_seconds="60")
    ids = load.submit_all([Order("slow", trial.random.randint(5, 60)) for _ in range(trial.size(15, 30))])
    for job in sorted(ids) * _REPEATS:
        announce(celery, job, "cpu")
    for arguments in ([], ["../../etc/passwd"], ["an_" + "0" * 30], [{"job": 1}], ["a", "b"]):
        celery.send_task(RUN_JOB, args=arguments, queue="cpu")
    stranger.send_task(RUN_JOB, args=["x"], queue="cpu", serializer="pickle")
    stranger.send_task("os.system", args=["true"], queue="cpu")
    stand.until_ended(ids)
    for job in ids:
        attempts = trial.attempts(job)
        trial.expect(attempts == 1, f"{job} was run {attempts} times")
    trial.note = f"{len(ids) * _REPEATS} messages too many, {len(ids)} runs"
    celery.close()
    stranger.close()
    stand.reconfigure()
