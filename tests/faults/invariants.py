"""What must hold after every trial, whatever was done to the processes."""

import hashlib
import time
from pathlib import Path

from sqlalchemy import select, text

from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import FINAL
from contract.tables import expired, jobs
from tests.faults import history
from tests.faults.history import Change
from tests.faults.load import Accepted
from tests.faults.stand import LEASE_SECONDS, Stand

_ARROWS = {
    (None, "queued"),
    ("queued", "running"),
    ("queued", "canceled"),
    ("running", "queued"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "canceled"),
    ("running", "split"),
    ("split", "succeeded"),
    ("split", "failed"),
    ("split", "canceled"),
    # Of parts:
    (None, "waiting"),
    (None, "succeeded"),
    ("waiting", "queued"),
    ("waiting", "canceled"),
    # The same state again: heartbeats, a cancel that was asked for, an announcement.
    ("queued", "queued"),
    ("running", "running"),
    ("waiting", "waiting"),
    ("split", "split"),
}


def violations(stand: Stand, accepted: dict[str, Accepted], since: int) -> list[str]:
    """Return every promise that does not hold for what was accepted and done since a point of the history."""
    found = torn_files(stand) + [f"process {pid} has no parent of ours" for pid in stand.orphans()]
    by_job = history.by_job(stand.database, since)
    with stand.database.read() as connection:
        known = select(jobs).where(jobs.c.id.in_(by_job))
        rows = {row.id: row for row in connection.execute(known.where(jobs.c.parent.is_(None)))}
        parts = connection.execute(known.where(jobs.c.parent.is_not(None))).all()
        if not stand.cluster:
            answer = connection.execute(text("PRAGMA integrity_check")).scalar_one()
            found += [] if answer == "ok" else [f"the database is damaged: {answer}"]
    gone = rows.keys() | expiries(stand.database).keys()
    found += [f"{job} was accepted and is lost" for job in accepted if job not in gone]
    found += [f"{job} runs though nobody was told of it" for job in rows if job not in accepted]
    found += [f"{job}: {problem}" for job, changes in by_job.items() for problem in of_changes(changes)]
    for part in parts:
        if part.state not in FINAL:
            found.append(f"{part.id} is {part.state} and does not end")
        if rows[part.parent].state == "succeeded":
            found.append(f"{part.id} is kept though its report is there")
        if part.state == "succeeded" and not _has_content(
            stand.data / Blobs(stand.data).part(part.report_sha256), part.report_sha256
        ):
            found.append(f"{part.id} has succeeded, and its result is not there")
    for job, row in rows.items():
        if row.state not in FINAL:
            found.append(f"{job} is {row.state} and does not end")
        if row.state == "succeeded" and row.device != "cpu" and row.device != row.workers[-1].rpartition(":")[2]:
            found.append(f"{job} was committed by {row.device}, but {row.workers[-1]} had it")
        if row.state == "succeeded" and not _has_content(
            stand.data / Blobs(stand.data).report(row.report_sha256), row.report_sha256
        ):
            found.append(f"{job} has succeeded, and its report is not there")
        expected = accepted[job].expected if job in accepted else None
        if expected is not None and (row.state, (row.error or {}).get("code")) not in expected:
            found.append(f"{job} ended as {row.state} {(row.error or {}).get('code', '')}, not as any of {expected}")
        if job in accepted and accepted[job].canceled and row.state != "canceled":
            found.append(f"{job} was said to be canceled and is {row.state}")
    return found + list(_queues(stand))


def expiries(database: Database) -> dict[str, float]:
    """Return when each thing that is gone has expired, by its id."""
    with database.read() as connection:
        return {row.id: row.at for row in connection.execute(select(expired))}


def of_changes(changes: list[Change]) -> list[str]:
    """Return what is wrong with the life of one job."""
    found, ends = [], 0
    for before, change in zip([None, *changes], changes, strict=False):
        if (change.old, change.new) not in _ARROWS:
            found.append(f"went from {change.old} to {change.new}")
        ends += change.new in FINAL
        if before is None:
            continue
        same = change.attempt == before.attempt and change.new == before.new and change.new in ("running", "split")
        if same and change.fraction < before.fraction:
            found.append(f"progress fell from {before.fraction} to {change.fraction}")
        if change.attempt < before.attempt:
            found.append("the attempts were counted backwards")
    if ends > 1:
        found.append(f"ended {ends} times")
    return found


def early_losses(stand: Stand, since: int, lease: float = LEASE_SECONDS) -> list[str]:
    """Return the jobs that were taken from a worker whose lease had not run out. For trials that kill no child."""
    beats: dict[str, float] = {}
    found = []
    for change in history.changes(stand.database, since):
        lost = change.old == "running" and change.new in ("queued", "failed") and change.losses > 0
        if lost and change.at - beats.get(change.job, change.at) < 0.8 * lease and change.new == "queued":
            found.append(f"{change.job} was taken away {change.at - beats[change.job]:.2f} s after its last heartbeat")
        if change.new == "running":
            beats[change.job] = change.at
    return found


def silent_attempts(stand: Stand, since: int, seconds: float) -> list[str]:
    """Return the attempts that lasted longer than some seconds and in which no lease was ever renewed."""
    begun: dict[str, Change] = {}
    renewed: set[tuple[str, int]] = set()
    found = []
    for change in history.changes(stand.database, since):
        if change.new == "running":
            if change.old == "queued":
                begun[change.job] = change
            elif change.attempt == begun[change.job].attempt:
                renewed.add((change.job, change.attempt))
        elif change.old == "running":
            lasted = change.at - begun[change.job].at
            if lasted > seconds and (change.job, change.attempt) not in renewed:
                found.append(f"{change.job} was computed for {lasted:.1f} s without a heartbeat")
    return found


def torn_files(stand: Stand) -> list[str]:
    """Return the files that lie under an address which is not the digest of what they hold."""
    folders = [stand.data / name for name in ("reports", "artifacts", "parts")]
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [f"{path.relative_to(stand.data)} is torn" for path in paths if not _has_content(path, path.stem)]


def _has_content(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except FileNotFoundError:
        return False


def _queues(stand: Stand) -> list[str]:
    """Nothing may be left in the broker; a message of a job that has ended is read and dropped in a moment."""
    if not stand.cluster:
        return []
    end = time.monotonic() + stand.patience
    while left := {name: stand.broker.connect().llen(name) for name in ("cpu",)} | {
        "unacked": stand.broker.connect().hlen("unacked")
    }:
        if not any(left.values()):
            return []
        if time.monotonic() > end:
            return [f"the broker's queues do not drain: {left}"]
        time.sleep(0.1)
    return []
