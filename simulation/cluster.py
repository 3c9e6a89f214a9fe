"""A cluster as discrete events: workers claim, fetch, compute, beat and commit; a database and a store serve them.

Every server takes requests in the order in which they come, so a request is over `service` seconds after a channel is
free: nothing else about a queue needs to be simulated.
"""

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Cluster:
    """What is simulated; all times in seconds."""

    workers: int
    claim: float  # of the database: one after the other, whatever it is
    write: float  # of the database, a heartbeat that writes
    end: float  # of the database, the commit of a part that has ended
    read: float  # of the database, a heartbeat that only looks
    writers: int = 1  # writes that the database does at the same time
    readers: int = 64
    beat_every: float = 0.25
    beats_write: bool = False  # every heartbeat, or only one in a third of the lease
    lease: float = 30.0
    overhead: float = 0.0  # around a part, in the worker: starting, writing and storing its result
    store_bytes_per_second: float = math.inf
    part_bytes: float = 0.0
    spread: float = 0.0  # of the time of a part: standard deviation of its logarithm
    slow_share: float = 0.0  # of the workers
    slowness: float = 1.0  # of those
    worker_mtbf: float = math.inf  # mean time until a worker is killed
    restart: float = 10.0
    contention: float = 1.0  # how much longer a part takes because others compute on the same machine
    seed: int = 0
    horizon: float = math.inf  # where a run is given up that gets nowhere


@dataclass
class Result:
    """How it went."""

    makespan: float
    database_busy: float  # share of the time, of its busiest kind of writing
    store_busy: float
    lost: int  # attempts
    events: int


@dataclass
class _Server:
    channels: list[float]
    busy: float = 0.0

    def serve(self, now: float, seconds: float) -> float:
        begun = max(now, heapq.heappop(self.channels))
        heapq.heappush(self.channels, begun + seconds)
        self.busy += seconds
        return begun + seconds


@dataclass
class _Worker:
    slow: float
    dies_at: float
    part: int = -1  # in its hands


def simulate(cluster: Cluster, parts: Sequence[float], after: float = 0.0) -> Result:
    """Run parts, of which each takes so many seconds of computing, and at last `after` seconds in one worker."""
    return _Run(cluster, parts, after).result()


class _Run:
    def __init__(self, cluster: Cluster, parts: Sequence[float], after: float) -> None:
        self.cluster, self.parts, self.after = cluster, parts, after
        self.random = random.Random(cluster.seed)  # noqa: S311 - a simulation keeps no secrets
        self.claims, self.reads = _Server([0.0]), _Server([0.0] * cluster.readers)
        self.writes = self.claims if cluster.writers == 1 else _Server([0.0] * cluster.writers)
        self.ends = self.claims if cluster.writers == 1 else _Server([0.0])
        self.store = _Server([0.0])
        self.queued = list(range(len(parts)))[::-1]
        self.missing = len(parts)
        self.idle: list[_Worker] = []
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = count()  # events of one moment happen in the order in which they were planned
        self.events, self.lost, self.end, self.now = 0, 0, 0.0, 0.0
        self.workers = [
            _Worker(
                cluster.slowness if self.random.random() < cluster.slow_share else 1.0,
                self.random.expovariate(1 / cluster.worker_mtbf) if cluster.worker_mtbf < math.inf else math.inf,
            )
            for _ in range(cluster.workers)
        ]

    def result(self) -> Result:
        for worker in self.workers:
            self.at(self.random.uniform(0, _POLL_SECONDS), self.claim, worker)
        while self.missing and self.now < self.cluster.horizon:
            now, _, action = heapq.heappop(self.agenda)
            self.events += 1
            self.now = now
            action()
        end = (self.now if self.missing else self.end) + self.after
        busiest = max(server.busy / len(server.channels) for server in (self.claims, self.writes, self.ends))
        share = busiest / end
        return Result(end, share, self.store.busy / end, self.lost, self.events)

    def at(self, when: float, action: Callable[..., None], *arguments: object) -> None:
        heapq.heappush(self.agenda, (when, next(self.numbers), lambda: action(*arguments)))

    def claim(self, worker: _Worker) -> None:
        if not self.queued:
            self.idle.append(worker)
            return
        worker.part = self.queued.pop()
        self.at(self.claims.serve(self.now, self.cluster.claim), self.begin, worker)

    def begin(self, worker: _Worker) -> None:
        cluster = self.cluster
        fetched = self.now
        if cluster.part_bytes:
            fetched = self.store.serve(self.now, cluster.part_bytes / cluster.store_bytes_per_second)
        noise = math.exp(self.random.gauss(-(cluster.spread**2) / 2, cluster.spread)) if cluster.spread else 1.0
        seconds = self.parts[worker.part] * worker.slow * noise * cluster.contention + cluster.overhead
        self.beat(worker, fetched + seconds, self.now)

    def beat(self, worker: _Worker, finish: float, written: float) -> None:
        """Look or write, and come again; the part's end waits for a heartbeat that is under way."""
        cluster = self.cluster
        if worker.dies_at <= self.now:
            self.die(worker, written)
            return
        due = cluster.beats_write or self.now - written >= cluster.lease / 3
        if due:
            answered = self.writes.serve(self.now, cluster.write)
            if answered - written > cluster.lease:
                self.lose(worker, answered)
                return
            written = answered
        else:
            answered = self.reads.serve(self.now, cluster.read)
        again = answered + cluster.beat_every
        if finish <= again:
            self.at(max(finish, answered), self.finish, worker, written)
        else:
            self.at(again, self.beat, worker, finish, written)

    def finish(self, worker: _Worker, written: float) -> None:
        if worker.dies_at <= self.now:
            self.die(worker, written)
            return
        # The row of the analysis is locked by every part that ends: one after the other.
        self.at(self.ends.serve(self.now, self.cluster.end), self.committed, worker, written)

    def committed(self, worker: _Worker, written: float) -> None:
        if self.now - written > self.cluster.lease:
            self.lose(worker, self.now)
            return
        self.missing -= 1
        self.end = self.now
        self.claim(worker)

    def lose(self, worker: _Worker, when: float) -> None:
        """The lease ran out while the database let the worker wait: another gets its part, and it goes on."""
        self.requeue(worker, when)
        self.at(when, self.claim, worker)

    def die(self, worker: _Worker, written: float) -> None:
        self.requeue(worker, max(self.now, written + self.cluster.lease))
        worker.dies_at = self.now + self.random.expovariate(1 / self.cluster.worker_mtbf)
        self.at(self.now + self.cluster.restart, self.claim, worker)

    def requeue(self, worker: _Worker, when: float) -> None:
        self.lost += 1
        self.at(when, self.back, worker.part)

    def back(self, part: int) -> None:
        self.queued.append(part)
        if self.idle:
            self.at(self.now + self.random.uniform(0, _POLL_SECONDS), self.claim, self.idle.pop())
