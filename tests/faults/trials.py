"""The trials: what is done to an installation while it works. Each is one promise, or several."""

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError

from tests.faults import history
from tests.faults.invariants import early_losses, silent_attempts, torn_files, violations
from tests.faults.load import Load, Order, slow
from tests.faults.stand import LEASE_SECONDS, PATIENCE_SECONDS, Stand, Stuck


@dataclass
class Outcome:
    """What came of one trial."""

    name: str
    promises: str
    accepted: int = 0
    finished: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""


class Trial:
    """What a trial works with: a stand, its clients, how large to be, and what it finds wrong beside the invariants."""

    def __init__(self, stand: Stand, long: bool) -> None:
        self.stand, self.long = stand, long
        self.load = Load(stand)
        self.random = stand.random
        self.since = history.length(stand.database)
        self.found: list[str] = []
        self.note = ""

    def size(self, short: int, long: int) -> int:
        """Return how many."""
        return long if self.long else short

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note a violation."""
        if not holds:
            self.found.append(otherwise)

    def during(self, orders: list[Order], faults: Callable[[], None], *, doubled: float = 0.0) -> set[str]:
        """Submit jobs while faults are made, wait for the end of all, and return their ids."""
        submitting = ThreadPoolExecutor(1)
        answered = submitting.submit(self.load.submit_all, orders, doubled=doubled)
        # Else the faults are over before the processes of a new installation have begun.
        first = lambda: self.load.accepted or answered.done()  # noqa: E731 - one line says it
        self.stand.until(first, "the first job to be accepted", seconds=PATIENCE_SECONDS)
        faults()
        ids = answered.result()
        submitting.shutdown()
        self.stand.until_ended(ids)
        return ids

    def attempts(self, job: str) -> int:
        """Return how often a job was claimed."""
        return max((change.attempt for change in history.of_job(self.stand.database, job)), default=0)

    def pause(self, least: float, most: float) -> None:
        """Let things go on for a random time."""
        time.sleep(self.random.uniform(least, most))


def run_trial(
    stand: Stand, name: str, act: Callable[[Trial], None], promises: str, *, long: bool, say: Callable[[str], None]
) -> Outcome:
    """Run one trial on a stand and check every invariant."""
    start, kills, deaths = time.monotonic(), stand.kills.copy(), len(stand.deaths)
    trial = Trial(stand, long)
    outcome = Outcome(name, promises)
    try:
        act(trial)
        stand.until_ended(set(trial.load.accepted))
        _quiet(stand)
    except Stuck as error:
        trial.found.append(str(error))
    stand.revive()
    outcome.violations = [
        *trial.found,
        *trial.load.conflicts,
        *stand.deaths[deaths:],
        *violations(stand, trial.load.accepted, trial.since),
    ]
    outcome.accepted = len(trial.load.accepted)
    outcome.finished = stand.finished(set(trial.load.accepted))
    outcome.kills = dict(stand.kills - kills)
    outcome.seconds, outcome.note = time.monotonic() - start, trial.note
    state = "ok" if not outcome.violations else f"{len(outcome.violations)} VIOLATIONS"
    say(f"  {name:<22} {outcome.accepted:>4} accepted  {outcome.kills}  {outcome.seconds:.0f} s  {state}  {trial.note}")
    for violation in outcome.violations[:5]:
        say(f"      {violation}")
    return outcome


def _quiet(stand: Stand) -> None:
    """Wait until processes that are about to follow their parent have done so."""
    end = time.monotonic() + stand.patience
    while stand.orphans() and time.monotonic() < end:
        time.sleep(0.1)


# -- workers ----------------------------------------------------------------------------------------------------------


def worker_kills(trial: Trial) -> None:
    """Workers, their computing processes, and who dispatches are killed at random times."""
    stand = trial.stand

    def faults() -> None:
        for number in range(trial.size(6, 20)):
            trial.pause(0.2, 2.5)
            if stand.dispatchers and number % 2:
                stand.kill(trial.random.choice(stand.dispatchers))
            role = trial.random.choice(stand.workers)
            until_busy(trial, role)
            (stand.kill if trial.random.random() < 0.75 else stand.kill_child)(role)
            trial.found += torn_files(stand)

    trial.during(slow(trial.random, trial.size(40, 120), 50, 1000), faults)
    losses = [c for c in history.changes(stand.database, trial.since) if c.old == "running" and c.new == "queued"]
    trial.note = f"{len(losses)} attempts lost"


def worker_frozen(trial: Trial) -> None:
    """A worker is stopped in the middle of a job until another has it, and then goes on and wants to commit."""
    lost = sum(_freeze_a_worker(trial, late=bool(number % 2)) for number in range(trial.size(2, 6)))
    trial.note = f"{lost} jobs went to another worker"


def _freeze_a_worker(trial: Trial, *, late: bool) -> bool:
    """Let it go on while the other worker has the job, or `late`, when the other has ended it."""
    stand, load = trial.stand, trial.load
    job = load.submit(Order("slow", 3500))
    stand.until(lambda: trial.attempts(job) == 1, "the job to start")
    holder = _holder(stand, job)
    _freeze_between_transactions(stand, holder)
    load.submit_all(slow(trial.random, 4))
    stand.until(lambda: trial.attempts(job) >= 2, "another worker to take the job")
    if late:
        stand.until_ended({job})
    stand.thaw(holder)
    stand.until_ended({job})
    return trial.attempts(job) > 1


def _freeze_between_transactions(stand: Stand, role: str) -> None:
    """Freeze a worker at a moment in which it holds no lock of the database: what it holds then, all wait for."""

    def write() -> None:
        with stand.database.write() as connection:
            stand.database.one_at_a_time(connection, "claim")

    with ThreadPoolExecutor(1) as pool:
        while True:
            stand.freeze(role)
            writing = pool.submit(write)
            try:
                return writing.result(2)
            except (TimeoutError, OperationalError):
                stand.thaw(role)
                stand.kills["frozen"] -= 1
                wait([writing])
                time.sleep(0.05)


def _holder(stand: Stand, job: str) -> str:
    pid = history.worker_of(stand.database, job)
    return next((role for role in stand.workers if stand.pid(role) == pid), stand.workers[0])


def long_jobs(trial: Trial) -> None:
    """Jobs last longer than the lease, and nobody takes them away from a living worker."""
    trial.during([Order("slow", int(2500 * LEASE_SECONDS)) for _ in range(trial.size(2, 4))], lambda: None)
    trial.found += early_losses(trial.stand, trial.since)
    trial.found += silent_attempts(trial.stand, trial.since, LEASE_SECONDS)


def calm(trial: Trial) -> None:
    """Nothing is done at all: many short jobs, and two that are really analysed."""
    orders = slow(trial.random, trial.size(60, 120), 0, 30) + [Order(None) for _ in range(2)]
    trial.during(orders, lambda: None)
    trial.found += early_losses(trial.stand, trial.since)


def rolling_restarts(trial: Trial) -> None:
    """Every process is restarted in turn, as in an upgrade: no attempt is lost."""
    stand = trial.stand
    stand.reconfigure(lease_seconds="600")
    _restart_the_holder(trial)
    statuses: list[tuple[str, int]] = []

    def faults() -> None:
        for role in stand.roles * trial.size(1, 3):
            trial.pause(0.2, 1.0)
            if role in stand.workers:
                until_busy(trial, role)
            statuses.append((role, stand.restart(role)))

    jobs = slow(trial.random, trial.size(60, 120), 300, 1200)
    ids = trial.load.submit_all(jobs[::2])
    ids |= trial.during(jobs[1::2], faults)
    for role, status in statuses:
        # The web server passes the signal on once it has finished what it was doing; a process that has only begun
        # does not know it yet, and has nothing to give back.
        trial.expect(status in (0, -signal.SIGTERM), f"{role} ended with status {status} when it was asked to end")
    lost = [c.job for c in history.changes(stand.database, trial.since) if c.losses]
    trial.expect(not lost, f"{len(set(lost))} of {len(ids)} jobs lost an attempt")
    trial.note = f"{len(statuses)} restarts, {len(set(lost))} attempts lost"
    stand.reconfigure()


def _restart_the_holder(trial: Trial) -> None:
    """Restart the worker of a job that does not end by itself: when it is gone, the job is not its own any more."""
    stand = trial.stand
    job = trial.load.submit(Order("sleep", expected=(("canceled", "canceled"),)))
    stand.until(lambda: trial.attempts(job) == 1, "the job to start")
    holder = _holder(stand, job)
    held_by = stand.pid(holder)
    stand.restart(holder)
    kept = history.worker_of(stand.database, job) == held_by and held_by in history.busy(stand.database)
    trial.expect(not kept, f"{holder} was stopped and has kept {job}")
    trial.load.cancel(job)
    if not kept:  # else it ends with the lease
        stand.until_ended({job})


def until_busy(trial: Trial, role: str) -> None:
    """Wait until a worker is in the middle of a job, or there is none left."""
    stand, pid = trial.stand, trial.stand.pid(role)
    stand.until(
        lambda: pid in history.busy(stand.database) or not stand.unfinished(set(trial.load.accepted)),
        f"{role} to be busy",
    )


def wrong_clocks(trial: Trial) -> None:
    """The workers' clocks are an hour wrong, one before and one behind."""
    stand = trial.stand
    stand.reconfigure(clocks=dict(zip(stand.workers, (3600.0, -3600.0), strict=True)))
    trial.during(slow(trial.random, trial.size(10, 40), 50, 600), lambda: None)
    trial.found += early_losses(stand, trial.since)
    stand.reconfigure()


# -- clients and services ---------------------------------------------------------------------------------------------


def service_kills(trial: Trial) -> None:
    """Services are killed while clients submit, one in five twice with the same key, and while others watch."""
    stand, load = trial.stand, trial.load
    first = load.submit_all(slow(trial.random, 3, 500, 2000))
    with ThreadPoolExecutor(3) as pool:
        watching = [pool.submit(load.watch, job) for job in first]

        def faults() -> None:
            for _ in range(trial.size(4, 14)):
                trial.pause(0.2, 3.0)
                stand.kill(trial.random.choice(stand.services))

        trial.during(slow(trial.random, trial.size(40, 150), 5, 60), faults, doubled=0.2)
        seen = [each.result() for each in watching]
    trial.expect(all(status == "succeeded" for status in seen), f"watchers saw {seen}")


def one_key_many_clients(trial: Trial) -> None:
    """The same request comes from many clients at once, while a service is killed."""
    stand = trial.stand
    killer = threading.Timer(0.3, lambda: stand.kill(stand.services[0]))
    killer.start()
    for _ in range(trial.size(3, 10)):
        trial.load.submit_same(trial.size(10, 25))
    killer.join()


def cancels(trial: Trial) -> None:
    """Jobs are canceled at random points; then every worker is killed and started anew."""
    stand, load = trial.stand, trial.load
    moments = [trial.random.uniform(0, 0.5) for _ in range(trial.size(40, 120))]
    anyhow = (("succeeded", None), ("canceled", "canceled"))

    def one(moment: float) -> str:
        job = load.submit(Order("slow", 250, anyhow))
        time.sleep(moment)
        return load.cancel(job)

    with ThreadPoolExecutor(len(stand.workers)) as pool:
        said = list(pool.map(one, moments))
    stand.until_ended(set(load.accepted))
    for role in stand.workers:
        stand.kill(role)
    trial.during(slow(trial.random, 4), lambda: None)
    trial.note = ", ".join(f"{said.count(each)} {each.replace('_', ' ')}" for each in sorted(set(said)))


def fairness(trial: Trial) -> None:
    """One tenant queues many jobs, another a few later: they do not wait for all of the first."""
    stand = trial.stand
    few = trial.size(3, 5)
    stand.reconfigure(lease_seconds="60")
    trial.load.artifact("b")
    for role in stand.workers:  # so that all jobs are there before the first is claimed
        os.kill(stand.pid(role), signal.SIGSTOP)
    many = trial.load.submit_all([Order("slow", 150) for _ in range(trial.size(30, 60))])
    start = history.length(stand.database)
    late = trial.load.submit_all([Order("slow", 150, tenant="b") for _ in range(few)])
    for role in stand.workers:
        stand.thaw(role)
    stand.until_ended(many | late)
    claims = [c.job for c in history.changes(stand.database, start) if c.old == "queued" and c.new == "running"]
    needed = max((number + 1 for number, job in enumerate(claims) if job in late), default=0)
    trial.note = f"{few} jobs of a second tenant were among the first {needed} claims of {len(claims)}"
    trial.expect(needed <= 2 * few + 4, trial.note)  # they take turns, and each worker had its first before
    stand.reconfigure()
