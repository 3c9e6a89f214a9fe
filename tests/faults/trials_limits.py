"""Trials about jobs that end badly, and about a full disk."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.computing import ENDLESS, POISON
from tests.faults.invariants import torn_files
from tests.faults.load import SUCCEEDED, Accepted, Order, slow
from tests.faults.trials import Trial

_ATTEMPTS = 3
_LIMIT_BYTES = 256 * 2**20
_DISK_BYTES = 64 * 2**20


def poison(trial: Trial) -> None:
    """Some jobs kill the process that computes them; they are given up, and the others are not harmed."""
    stand, load = trial.stand, trial.load
    stand.reconfigure(lease_seconds="60", max_attempts=str(_ATTEMPTS))
    kinds = [POISON[n % len(POISON)] for n in range(trial.size(3, 12))]
    orders = [Order(kind, 0, (("failed", "worker_lost"),)) for kind in kinds]
    healthy = slow(trial.random, trial.size(12, 60), 5, 100)
    first = load.submit(orders[0])
    mixed = orders[1:] + healthy
    trial.random.shuffle(mixed)
    load.submit_all(mixed)
    stand.until(lambda: trial.attempts(first) > _ATTEMPTS or not stand.unfinished({first}), "the first to be given up")
    if trial.attempts(first) <= _ATTEMPTS:
        again = load.request("POST", f"/v1/analyses/{first}/retry")
        trial.expect(again.status_code == 202, f"a retry was answered with {again.status_code}")
        load.accepted[again.json()["id"]] = Accepted("a", orders[0].expected)
        stand.until_ended(set(load.accepted))
    for job, accepted in load.accepted.items():
        attempts, wanted = trial.attempts(job), 1 if accepted.expected == SUCCEEDED else _ATTEMPTS
        trial.expect(attempts == wanted, f"{job} was run {attempts} times instead of {wanted}")
    stand.kills["child"] += _ATTEMPTS * (len(kinds) + 1)
    stand.reconfigure()


def deadlines(trial: Trial) -> None:
    """Some jobs never end by themselves: busy, asleep, in a C call, with a process of their own."""
    stand = trial.stand
    stand.reconfigure(deadline_seconds="4", lease_seconds="60")
    too_late = ("failed", "deadline_exceeded")
    orders = [Order(kind, 0, (too_late,)) for kind in ENDLESS * trial.size(1, 3)]
    # Where the machine is busy, starting a process may take as long as the deadline.
    orders += [Order("slow", 20, (*SUCCEEDED, too_late)) for _ in range(trial.size(4, 12))]
    trial.during(orders, lambda: None)
    stand.reconfigure()


def memory(trial: Trial) -> None:
    """Some jobs want twice the memory that a job may have; their workers live on, and so do the others."""
    stand = trial.stand
    stand.reconfigure(job_memory_bytes=str(_LIMIT_BYTES), lease_seconds="60")
    before = [stand.pid(role) for role in stand.workers]
    orders = [Order("memory", 2 * _LIMIT_BYTES, (("failed", "out_of_memory"),)) for _ in range(trial.size(3, 12))]
    orders += slow(trial.random, trial.size(6, 24), 5, 50)
    trial.random.shuffle(orders)
    trial.during(orders, lambda: None)
    trial.expect(before == [stand.pid(role) for role in stand.workers], "a worker did not survive")
    stand.reconfigure()


def uploads_cut_off(trial: Trial) -> None:
    """Services are killed in the middle of uploads; nothing of a file is seen before it is complete."""
    stand = trial.stand
    said = []
    for _ in range(trial.size(2, 10)):
        killer = threading.Timer(trial.random.uniform(0.1, 0.9), lambda: stand.kill(stand.services[0]))
        killer.start()
        said.append(trial.load.upload_noise(8, seconds=0.8))
        killer.join()
        trial.found += torn_files(stand)
    trial.note = f"{sum(status == 201 for status in said)} of {len(said)} uploads were quicker than the kill"
    trial.during(slow(trial.random, 2), lambda: None)


def disk_full(trial: Trial) -> None:
    """The disk is filled to the last byte at random moments of submitting, uploading, computing and storing."""
    stand, load = trial.stand, trial.load
    ballast = stand.data / "ballast"
    refused: list[int] = []

    def faults() -> None:
        for _ in range(trial.size(4, 16)):
            trial.pause(0.1, 1.0)
            _fill(ballast)
            stand.kills["disk full"] += 1
            answer = load.request("POST", "/v1/analyses", json={}, patient_with=())
            refused.append(load.upload_noise(1))
            trial.expect(answer.status_code < 500 or answer.status_code in (503, 507), f"{answer.status_code}")
            trial.pause(0.2, 1.5)
            ballast.unlink()

    trial.during(slow(trial.random, trial.size(30, 100), 5, 300), faults)
    trial.expect(all(status in (0, 201, 200, 503, 507) for status in refused), f"uploads were answered with {refused}")
    trial.note = f"full {len(refused)} times, {sum(status >= 500 for status in refused)} uploads refused"


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small file system, or give None where this is not permitted."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=700", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
