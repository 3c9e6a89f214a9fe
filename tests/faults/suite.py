"""Which trials there are, and in which order they are run on one installation."""

import shutil
from collections.abc import Callable
from typing import Any

from tests.faults import (
    trials,
    trials_backups,
    trials_broker,
    trials_limits,
    trials_moments,
    trials_parts,
    trials_storage,
)
from tests.faults.guards import GUARDS
from tests.faults.stand import Profile, Stand
from tests.faults.trials import Outcome, Trial, run_trial

_GUARD_PATIENCE_SECONDS = 20.0
_GUARD_TRIES = 3
_DISK = "disk full"
# name → (what is done, the promises that are checked)
TRIALS: dict[str, tuple[Callable[[Trial], None], str]] = {
    "calm": (trials.calm, "P3"),
    "worker kills": (trials.worker_kills, "P1 P2 P6 P9"),
    "worker frozen": (trials.worker_frozen, "P2"),
    "long jobs": (trials.long_jobs, "P6"),
    "service kills": (trials.service_kills, "P4 P9 P10"),
    "one key, many clients": (trials.one_key_many_clients, "P10"),
    "cancels": (trials.cancels, "P8"),
    "poison": (trials_limits.poison, "P7"),
    "parts": (trials_parts.parts, "P1 P2 P7 P8"),
    "killed in the worst moment": (trials_moments.killed_in_the_worst_moment, "P1 P2 P4 P5"),
    "canceled in the worst moment": (trials_moments.canceled_in_the_worst_moment, "P8"),
    "killed as a file appears": (trials_moments.killed_as_a_file_appears, "P2 P17"),
    "frozen in a transaction": (trials_moments.frozen_in_a_transaction, "P1 P2"),
    "clock jumps": (trials_moments.clock_jumps, "P1 P6"),
    "deadlines": (trials_limits.deadlines, "P14"),
    "memory": (trials_limits.memory, "P12"),
    "uploads cut off": (trials_limits.uploads_cut_off, "P17"),
    "uploads resumed": (trials_storage.uploads_resumed, "P17"),
    "rolling restarts": (trials.rolling_restarts, "P15"),
    "wrong clocks": (trials.wrong_clocks, "P6"),
    "fairness": (trials.fairness, "P18"),
    "broker wiped": (trials_broker.broker_wiped, "P5"),
    "broker away": (trials_broker.broker_away, "P5"),
    "duplicates": (trials_broker.duplicates, "P3"),
    "backups": (trials_backups.backups, "P19"),
    "expiry": (trials_storage.expiry, "P16"),
    _DISK: (trials_limits.disk_full, "P11"),
}
_WITH_BROKER = ("broker wiped", "broker away", "duplicates")


def run_profile(
    profile: Profile, long: bool, seed: int, only: list[str] | None, say: Callable[[str], None]
) -> list[Outcome]:
    """Run the trials of a profile, all but the last on one installation."""
    wanted = [name for name in TRIALS if only is None or name in only]
    outcomes = []
    on_one = [name for name in wanted if name != _DISK and (profile == "cluster" or name not in _WITH_BROKER)]
    if on_one:
        with Stand(profile, seed=seed) as stand:
            outcomes = [run_trial(stand, name, *TRIALS[name], long=long, say=say) for name in on_one]
        _tidy(stand, outcomes, say)
    if _DISK in wanted:
        outcomes.append(_run_on_small_disk(profile, long, seed, say))
    return outcomes


def _run_on_small_disk(profile: Profile, long: bool, seed: int, say: Callable[[str], None]) -> Outcome:
    stand = Stand(profile, seed=seed)
    with trials_limits.small_disk(stand.folder / "disk") as disk:
        if disk is None:
            say("  disk full              not run: this user may not mount a small file system")
            return Outcome(_DISK, TRIALS[_DISK][1], note="not run: no permission to mount a small file system")
        stand.data = disk
        with stand:
            outcome = run_trial(stand, _DISK, *TRIALS[_DISK], long=long, say=say)
    _tidy(stand, [outcome], say)
    return outcome


def without_guard(name: str, seed: int, say: Callable[[str], None]) -> Outcome:
    """Run the trial of a guard on an installation that lacks it.

    The fault must meet the moment that the guard is for, so a trial that notices nothing is run again with other seeds.
    """
    guard = GUARDS[name]
    for each in range(seed, seed + _GUARD_TRIES):
        say(f"without {name} ({guard.what}), {guard.profile}, seed {each}")
        with Stand(guard.profile, seed=each, without=name, patience=_GUARD_PATIENCE_SECONDS) as stand:
            outcome = run_trial(stand, guard.trial, *TRIALS[guard.trial], long=False, say=say)
        shutil.rmtree(stand.folder, ignore_errors=True)
        if outcome.violations:
            break
    return outcome


def _tidy(stand: Stand, outcomes: list[Any], say: Callable[[str], None]) -> None:
    if any(outcome.violations for outcome in outcomes):
        say(f"  logs and data are kept in {stand.folder}")
    else:
        shutil.rmtree(stand.folder, ignore_errors=True)
