"""`python -m tests.faults --form short|long --profile embedded|cluster|both [--seed N] [--out docs/reliability.md]`.

`--only TRIAL` runs one trial, `--without GUARD` one trial with a guard taken away, which must end with violations, and
`--guards` all of these. `--soak MINUTES` lets an installation work through tiny jobs and tells what grows.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.guards import GUARDS
from tests.faults.page import write_page
from tests.faults.soak import soak
from tests.faults.stand import Profile
from tests.faults.suite import TRIALS, run_profile, without_guard
from tests.faults.trials import Outcome

PROFILES: tuple[Profile, ...] = ("embedded", "cluster")


def say(line: str) -> None:
    """Show a line at once."""
    print(line, flush=True)  # noqa: T201 - for a person


def _run(profiles: list[Profile], long: bool, seed: int, only: list[str] | None) -> dict[str, list[Outcome]]:
    """Run the trials of some profiles side by side: an installation waits more than it works."""

    def run(profile: Profile) -> list[Outcome]:
        say(f"{profile}, {'long' if long else 'short'} form, seed {seed}")
        return run_profile(profile, long, seed, only, lambda line: say(f"{profile:<8} {line}"))

    with ThreadPoolExecutor(len(profiles)) as pool:
        return dict(zip(profiles, pool.map(run, profiles), strict=True))


def main() -> int:
    """Run what is asked for; the exit status tells whether every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Kill, freeze, starve; check promises.")
    parser.add_argument("--form", choices=["short", "long"], default="short", help="how many jobs and faults")
    parser.add_argument("--profile", choices=[*PROFILES, "both"], default="both")
    parser.add_argument("--seed", type=int, help="of what is done when (default: the time)")
    parser.add_argument("--only", choices=TRIALS, action="append", help="a single trial, several times for several")
    parser.add_argument("--without", choices=GUARDS, help="take a guard away; the trial that needs it must fail")
    parser.add_argument("--guards", action="store_true", help="take every guard away in turn; every trial must fail")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="tiny jobs for so long; nothing may grow")
    parser.add_argument("--out", type=Path, help="write the tables into this page")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time()) % 10**6
    if options.soak:
        profile: Profile = "cluster" if options.profile == "cluster" else "embedded"
        grew = soak(profile, options.soak, seed, say)
        say("\n".join(grew) or "nothing grew")
        return int(bool(grew))
    if options.without:
        outcome = without_guard(options.without, seed, say)
        return int(bool(outcome.violations))
    if options.guards:
        caught = {name: without_guard(name, seed, say) for name in GUARDS}
        missed = [name for name, outcome in caught.items() if not outcome.violations]
        say(f"{len(caught) - len(missed)} of {len(caught)} removals were noticed; not noticed: {missed or 'none'}")
        if options.out:
            write_page(options.out, caught=caught)
        return int(bool(missed))
    profiles: list[Profile] = [each for each in PROFILES if options.profile in (each, "both")]
    outcomes = _run(profiles, options.form == "long", seed, options.only)
    wrong = sum(len(each.violations) for found in outcomes.values() for each in found)
    accepted = sum(each.accepted for found in outcomes.values() for each in found)
    say(f"{accepted} accepted jobs, {wrong} violations")
    if options.out:
        write_page(options.out, outcomes=outcomes, form=options.form, seed=seed)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
