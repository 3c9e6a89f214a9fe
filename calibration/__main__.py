"""Run the simulations and write the page: ``python -m calibration``, half an hour on two idle cores."""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from calibration.grid import scenarios
from calibration.page import write_page
from calibration.scenarios import Scenario
from calibration.simulate import Outcome, run


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m calibration", description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--share", type=float, default=1.0, help="share of the repeats of the grid (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=Path("docs/calibration.json"), help="where the numbers go")
    parser.add_argument("--page", type=Path, default=Path("docs/calibration.md"), help="where the page goes")
    parser.add_argument("--resume", action="store_true", help="keep the scenarios that an interrupted run has saved")
    parser.add_argument("--page-only", action="store_true", help="write the page from the numbers that are there")
    arguments = parser.parse_args()
    if not arguments.page_only:
        simulate(
            arguments.data,
            share=arguments.share,
            seed=arguments.seed,
            processes=arguments.processes,
            resume=arguments.resume,
        )
    outcomes = [Outcome(**row) for row in json.loads(arguments.data.read_text())["outcomes"]]
    write_page(outcomes, arguments.page)
    print(f"wrote {arguments.page}")


def simulate(data: Path, *, share: float, seed: int, processes: int, resume: bool) -> None:
    """Run the grid, and save the numbers after every scenario."""
    known: list[Outcome] = []
    if resume and data.exists():
        saved: dict[str, Any] = json.loads(data.read_text())
        known = [Outcome(**row) for row in saved["outcomes"] if saved["seed"] == seed]
    outcomes: list[Outcome] = []
    grid = scenarios()
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as executor:
        for place, scenario in enumerate(grid):
            repeats = max(2, round(share * scenario.repeats))
            here = [outcome for outcome in known if _is_of(outcome, scenario) and outcome.repeats == repeats]
            outcomes += here or run(place, repeats=repeats, seed=seed, executor=executor)
            _save(data, seed, list(dict.fromkeys([*outcomes, *known])))
            print(f"{place + 1}/{len(grid)} {scenario.kind}, {scenario.name}, K = {scenario.n_classes}", flush=True)
    _save(data, seed, outcomes)  # without scenarios that have left the grid


def _save(data: Path, seed: int, outcomes: list[Outcome]) -> None:
    rows = [asdict(outcome) for outcome in outcomes]
    data.write_text(json.dumps({"seed": seed, "outcomes": rows}, indent=1) + "\n")


def _is_of(outcome: Outcome, scenario: Scenario) -> bool:
    return (outcome.scenario, outcome.kind, outcome.truth, outcome.n_classes, outcome.n, outcome.dimension) == (
        scenario.name,
        scenario.kind,
        scenario.truth,
        scenario.n_classes,
        scenario.n,
        scenario.dimension,
    )


if __name__ == "__main__":
    main()
