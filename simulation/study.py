"""The scenarios of docs/scaling.md, and how well the simulation reproduces what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from simulation.cluster import Cluster, Result, simulate

WORKERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
PART_SECONDS, PARTS_A_WORKER = 20.0, 10
PARTS_OF_A_JOB = 4000
_NETWORK = 1.25e9  # bytes a second: 10 Gbit/s, all of the store's
_PART_BYTES = 120e6  # a layer of 10,000 rows of 3,072 numbers in float32
_POSTGRESQL_WRITERS = 16


@dataclass(frozen=True)
class Scenario:
    """One line of a picture."""

    name: str
    cluster: Cluster
    part_seconds: float = PART_SECONDS


@dataclass(frozen=True)
class Point:
    """A scenario with so many workers."""

    workers: int
    speed_up: float
    result: Result


def sqlite(measured: Mapping[str, Any]) -> Cluster:
    """Workers on one SQLite database: all writes one after the other."""
    return _cluster(measured, "sqlite", writers=1)


def postgresql(measured: Mapping[str, Any]) -> Cluster:
    """Workers on PostgreSQL: claims one after the other, and the ends of one analysis' parts."""
    return _cluster(measured, "postgresql", writers=_POSTGRESQL_WRITERS)


def _cluster(measured: Mapping[str, Any], database: str, *, writers: int) -> Cluster:
    return Cluster(workers=1, **measured["databases"][database], writers=writers, spread=0.2)


def databases(measured: Mapping[str, Any]) -> list[Scenario]:
    """Where the database becomes the limit."""
    embedded, server = sqlite(measured), postgresql(measured)
    return [
        Scenario("PostgreSQL", server),
        Scenario("SQLite", embedded),
        Scenario("SQLite, every heartbeat writes", replace(embedded, beats_write=True)),
        Scenario("PostgreSQL, parts of 2 s", server, 2.0),
        Scenario("SQLite, parts of 2 s", embedded, 2.0),
    ]


def troubles(measured: Mapping[str, Any]) -> list[Scenario]:
    """What workers and the store can do to a run."""
    calm = postgresql(measured)
    return [
        Scenario("nothing goes wrong", calm),
        Scenario("1 worker in 20 is 3 × slower", replace(calm, slow_share=0.05, slowness=3.0)),
        Scenario("each worker dies every 30 min", replace(calm, worker_mtbf=1800.0)),
        Scenario("a store of 10 Gbit/s", replace(calm, part_bytes=_PART_BYTES, store_bytes_per_second=_NETWORK)),
    ]


def growing(scenario: Scenario) -> list[Point]:
    """As many parts a worker, however many workers there are."""
    return [_point(scenario, n, PARTS_A_WORKER * n) for n in WORKERS]


def fixed(scenario: Scenario) -> list[Point]:
    """One job of 4,000 parts, on more and more workers."""
    return [_point(scenario, n, PARTS_OF_A_JOB) for n in WORKERS]


def _point(scenario: Scenario, workers: int, n_parts: int) -> Point:
    parts = [scenario.part_seconds] * n_parts
    result = simulate(replace(scenario.cluster, workers=workers), parts)
    return Point(workers, sum(parts) / result.makespan, result)


def reproduced(measured: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return (run, measured seconds, simulated seconds).

    First both are simulated from what the parts took in the run with one worker: nothing of the other run is used. Then
    the one with two, whose workers share a machine here, with parts as much longer as they were.
    """
    runs, base = measured["runs"], replace(sqlite(measured), spread=0.0)
    one = runs["1"]
    # Of the time between claim and end the commits are simulated, the rest is the part's.
    parts = [seconds - base.end for seconds in one["parts"]]
    between = (one["seconds"] - sum(one["parts"])) / (len(parts) - 1) - base.claim
    base = replace(base, overhead=max(0.0, between))
    found = []
    slower = fmean(runs["2"]["parts"]) / fmean(one["parts"])
    for workers, contention, name in (
        (1, 1.0, "one worker"),
        (2, 1.0, "two workers"),
        (2, slower, f"two workers that slow each other down by {slower - 1:.0%}"),
    ):
        cluster = replace(base, workers=workers, contention=contention)
        simulated = fmean(simulate(replace(cluster, seed=seed), parts).makespan - base.claim for seed in range(20))
        found.append((name, runs[str(workers)]["seconds"], simulated))
    return found
