"""A soak: tiny jobs for hours, and what grows with them. `python -m tests.faults --soak MINUTES`."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, text

from contract.tables import metadata
from tests.faults.load import Load, Order
from tests.faults.stand import Profile, Stand

_ROUND_JOBS = 50
_KEPT_SECONDS = "30"
MOST_MEMORY_RATIO = 1.1
MOST_FILES = 4  # more or fewer at one moment than at another: connections of clients that were just served
MOST_JOB_BYTES = 2048
MOST_ROWS_RATIO = 2.0  # how many jobs have not expired yet depends on how busy the machine is
_DIARIES = ("audit_log", "expired")


@dataclass(frozen=True)
class Sample:
    """What the parents of an installation hold after so many jobs."""

    jobs: int
    kilobytes: dict[str, int]
    files: dict[str, int]
    database_bytes: int
    rows: int = 0
    """Of all tables but those that keep a line for everything that was here, for weeks."""


def soak(profile: Profile, minutes: float, seed: int, say: Callable[[str], None]) -> list[str]:
    """Run jobs for some minutes; return what grew that should not. The first fifth warms up."""
    samples: list[Sample] = []
    with Stand(profile, seed=seed, keep_history=False) as stand:
        stand.reconfigure(sweep_seconds="5", job_seconds=_KEPT_SECONDS, garbage_seconds=_KEPT_SECONDS)
        load, end, jobs = Load(stand), time.monotonic() + 60 * minutes, 0
        while time.monotonic() < end:
            ids = load.submit_all([Order("slow", 0) for _ in range(_ROUND_JOBS)])
            stand.until(lambda ids=ids: not stand.unfinished(ids), "the jobs")  # type: ignore[misc]  # of this round
            jobs += len(ids)
            samples.append(_sample(stand, jobs))
            if len(samples) % 20 == 0:
                say(f"  {jobs:>7} jobs, {sum(samples[-1].kilobytes.values()) / 1024:.0f} MiB in all")
    return _judged(samples[len(samples) // 5 :], say)


def _sample(stand: Stand, jobs: int) -> Sample:
    kilobytes, files = {}, {}
    for role in stand.roles:
        process = Path(f"/proc/{stand.pid(role)}")
        kilobytes[role] = int((process / "status").read_text().partition("VmRSS:")[2].split()[0])
        files[role] = len(list((process / "fd").iterdir()))
    return Sample(jobs, kilobytes, files, _database_bytes(stand), _rows(stand))


def _database_bytes(stand: Stand) -> int:
    with stand.database.read() as connection:
        if stand.cluster:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
        pages, free, size = (
            int(connection.execute(text(f"PRAGMA {name}")).scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size


def _rows(stand: Stand) -> int:
    tables = [table for name, table in metadata.tables.items() if name not in _DIARIES]
    with stand.database.read() as connection:
        return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)


def _judged(samples: list[Sample], say: Callable[[str], None]) -> list[str]:
    found = []
    quarter = max(1, len(samples) // 4)
    begin, end = samples[:quarter], samples[-quarter:]
    for role in samples[0].kilobytes:
        before, after = (statistics.median(each.kilobytes[role] for each in part) for part in (begin, end))
        files = [statistics.median(each.files[role] for each in part) for part in (begin, end)]
        say(f"  {role}: memory {after / before:.3f} ×, {files[0]:g} open files and then {files[1]:g}")
        if after / before > MOST_MEMORY_RATIO:
            found.append(f"the memory of {role} grew {after / before:.2f} ×")
        if files[1] - files[0] > MOST_FILES:
            found.append(f"{role} has {files[1]:g} open files instead of {files[0]:g}")
    rows = [statistics.median(each.rows for each in part) for part in (begin, end)]
    say(f"  {rows[0]:g} rows and then {rows[1]:g}, without audit log and notes of what has expired")
    if rows[1] > MOST_ROWS_RATIO * max(1.0, rows[0]):
        found.append(f"the database has {rows[1]:g} rows instead of {rows[0]:g}")
    grown = (samples[-1].database_bytes - samples[0].database_bytes) / max(1, samples[-1].jobs - samples[0].jobs)
    say(f"  {samples[-1].jobs} jobs, {grown:.0f} bytes of database for each, after those that expired")
    if grown > MOST_JOB_BYTES:
        found.append(f"the database grew by {grown:.0f} bytes for each job")
    return found
