"""What the framework around a computation costs: waiting, claiming, committing, and being killed; as ratios."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.faults import history
from tests.faults.load import Load, Order
from tests.faults.stand import Profile, Stand

_SECOND = 1000
Figure = dict[str, Any]  # what was measured, its value, its limit, and whether at most or at least that is wanted


def figures(quick: bool) -> list[Figure]:
    """Measure everything on installations of both profiles."""
    return [*_on("embedded", 0.120, quick), *_on("cluster", 0.050, quick), *_soak(400 if quick else 2000)]


def _on(profile: Profile, wait_limit: float, quick: bool) -> list[Figure]:
    with Stand(profile, seed=1) as stand:
        load = Load(stand)
        stand.until_ended({load.submit(Order("slow", 0)) for _ in range(4)})  # every process is warm
        time.sleep(5)
        waits = [_wait(stand, load) for _ in range(15 if quick else 60)]
        cost, rate = _second_long_jobs(stand, load, 8 if quick else 40)
        calm = _wall_seconds(stand, load, 40, kills=False)
        chaos = _wall_seconds(stand, load, 40, kills=True)
    return [
        _figure(f"{profile}: wait of a job in an idle queue, p95, s", _p95(waits), wait_limit),
        _figure(f"{profile}: cost around a job of 1 s, median, share of it", cost, 0.02),
        _figure(f"{profile}: jobs of 1 s on 2 workers ÷ 2 a second", rate, 0.95, least=True),
        _figure(f"{profile}: wall time with a worker killed every 4 s ÷ without", chaos / calm, 2.0),
    ]


def _figure(name: str, value: float, limit: float, *, least: bool = False) -> Figure:
    return {"name": name, "value": value, "limit": limit, "least": least}


def _wait(stand: Stand, load: Load) -> float:
    job = load.submit(Order("slow", 0))
    stand.until_ended({job})
    time.sleep(0.5 + stand.random.random())  # nothing goes on when the next one comes
    changes = history.of_job(stand.database, job)
    return next(change.at for change in changes if change.new == "running") - changes[0].at


def _second_long_jobs(stand: Stand, load: Load, count: int) -> tuple[float, float]:
    """Return the share of a job's second that is spent around it, and the jobs a second ÷ those that are possible."""
    since = history.length(stand.database)
    ids = load.submit_all([Order("slow", _SECOND) for _ in range(count)])
    stand.until_ended(ids)
    changes = [change for change in history.changes(stand.database, since) if change.job in ids]
    begun = {change.job: change.at for change in changes if change.old == "queued" and change.new == "running"}
    ended = {change.job: change.at for change in changes if change.new == "succeeded"}
    around = statistics.median(ended[job] - begun[job] for job in ids) - _computing_seconds()
    lasted = max(ended.values()) - min(begun.values())
    return around, count / lasted / len(stand.workers)


def _computing_seconds() -> float:
    """Seconds that the same computation takes in a plain loop: sleeping oversleeps, here as there."""
    start = time.perf_counter()
    for _ in range(20):
        time.sleep(_SECOND / 1000 / 20)
    return time.perf_counter() - start


def _wall_seconds(stand: Stand, load: Load, count: int, *, kills: bool) -> float:
    start = last = time.monotonic()
    ids = load.submit_all([Order("slow", _SECOND) for _ in range(count)])
    while stand.unfinished(ids):
        if kills and time.monotonic() - last > 4:
            stand.kill(stand.random.choice(stand.workers))
            last = time.monotonic()
        time.sleep(0.05)
    return time.monotonic() - start


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def _soak(count: int) -> list[Figure]:
    """Run many tiny jobs; what grows with them would grow for ever."""
    with Stand("embedded", seed=1, keep_history=False) as stand:
        load = Load(stand)
        _work_off(stand, load, count // 2)
        before, size = _state(stand), _database_bytes(stand)
        _work_off(stand, load, count // 2)
        after, grown = _state(stand), _database_bytes(stand) - size
    return [
        _figure(f"memory of the workers after {count} jobs ÷ after {count // 2}", after[0] / before[0], 1.1),
        _figure(f"open files of the workers after {count} jobs − after {count // 2}", after[1] - before[1], 2),
        _figure("database bytes for a job", grown / (count // 2), 2048),
    ]


def _work_off(stand: Stand, load: Load, count: int) -> None:
    ids = load.submit_all([Order("slow", 0) for _ in range(count)])
    stand.until(lambda: not stand.unfinished(ids), "the jobs")


def _state(stand: Stand) -> tuple[int, int]:
    """Return resident kilobytes and open files of the workers."""
    kilobytes = files = 0
    for role in stand.workers:
        process = Path(f"/proc/{stand.pid(role)}")
        kilobytes += int(next(x for x in (process / "status").read_text().splitlines() if "VmRSS" in x).split()[1])
        files += len(list((process / "fd").iterdir()))
    return kilobytes, files


def _database_bytes(stand: Stand) -> int:
    with stand.database.read() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        free = connection.execute(text("PRAGMA freelist_count")).scalar_one()
        return int((pages - free) * connection.execute(text("PRAGMA page_size")).scalar_one())
