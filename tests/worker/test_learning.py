"""Estimates learn from whole analyses and from parts."""

import pytest

from contract.database import Database
from contract.job_rows import Claim
from contract.settings import Settings
from contract.workforce import Workforce
from worker.learning import Learning


def test_a_part_teaches_by_the_cost_that_its_plan_predicted(settings: Settings, database: Database) -> None:
    learning = Learning(settings, database)
    for number in range(5):
        learning.note(Claim(f"pt_{number}", "a", "part", {}, 1, 0, cost=20.0), seconds=60.0)
    assert Workforce(settings, database).of("cpu").slowness == pytest.approx(3.0, rel=0.1)


def test_a_part_without_a_prediction_teaches_nothing(settings: Settings, database: Database) -> None:
    Learning(settings, database).note(Claim("pt_1", "a", "part", {}, 1, 0), seconds=60.0)
    assert Workforce(settings, database).of("cpu").slowness == 1.0
