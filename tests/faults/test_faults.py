"""The fault suite finds nothing wrong with the product, and something wrong with a product that lacks a guard."""

from pathlib import Path

import pytest

from tests.faults.guards import GUARDS
from tests.faults.page import write_page
from tests.faults.soak import Sample, _judged
from tests.faults.stand import Profile
from tests.faults.suite import TRIALS, run_profile, without_guard
from tests.faults.trials import Outcome

SEED = 7


def say(_line: str) -> None:
    """Be silent."""


@pytest.mark.parametrize("profile", ["embedded", "cluster"])
def test_every_promise_holds_where_services_are_killed(profile: Profile) -> None:
    (outcome,) = run_profile(profile, False, SEED, ["one key, many clients"], say)
    assert outcome.violations == []
    assert outcome.accepted == outcome.finished == 3
    assert outcome.kills == {"service": 1}


@pytest.mark.parametrize("name", ["commit first", "idempotency", "cancel", "fair order"])
def test_a_missing_guard_is_noticed(name: str) -> None:
    assert without_guard(name, SEED, say).violations


def test_every_guard_has_its_trial() -> None:
    assert {guard.trial for guard in GUARDS.values()} <= set(TRIALS)


def test_the_page_shows_what_was_lost(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- trials:start -->\nold\n<!-- trials:end -->\nafter\n")
    bad = Outcome("calm", "P3", accepted=5, finished=4, kills={"worker": 2}, violations=["an_1: ended 2 times"])
    good = Outcome("calm", "P3", accepted=5, finished=5, kills={"worker": 1})
    write_page(page, outcomes={"embedded": [bad], "cluster": [good]}, form="long", seed=1)
    text = page.read_text()
    assert "| **both** | 10 | 9 | 1 | 1 | 3 worker | 1 |" in text
    assert "old" not in text
    assert text.startswith("before")
    assert text.endswith("after\n")


def test_a_soak_tells_what_grows() -> None:
    def sample(jobs: int, kilobytes: int, files: int, database: int, rows: int = 500) -> Sample:
        return Sample(jobs, {"worker-1": kilobytes}, {"worker-1": files}, database, rows)

    steady = [sample(100 * n, 50_000 + n % 3, 20, 10_000 + 500 * n) for n in range(40)]
    assert _judged(steady, say) == []
    assert len(_judged([sample(100 * n, 50_000 + 500 * n, 20, 0) for n in range(40)], say)) == 1
    assert len(_judged([sample(100 * n, 50_000, 20 + n, 0) for n in range(40)], say)) == 1
    assert len(_judged([sample(100 * n, 50_000, 20, 300_000 * n) for n in range(40)], say)) == 1
    assert len(_judged([sample(100 * n, 50_000, 20, 0, 50 * n) for n in range(40)], say)) == 1
