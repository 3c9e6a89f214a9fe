"""What workers can do: announced, learned, and faded."""

import pytest

from contract.database import Database
from contract.settings import Settings
from contract.workforce import Workforce


def slowness(settings: Settings, database: Database, queue: str = "cpu") -> float:
    return Workforce(settings, database).of(queue).slowness  # a fresh one has not looked yet


def test_without_history_this_is_the_reference_machine(settings: Settings, any_database: Database) -> None:
    found = Workforce(settings, any_database).of("cpu")
    assert (found.slowness, found.processor.threads, found.memory_bytes) == (1.0, 1, 0)


def test_a_worker_says_what_it_has_and_settings_overrule_it(settings: Settings, any_database: Database) -> None:
    settings = settings.model_copy(update={"worker_threads": 0})
    workforce = Workforce(settings, any_database)
    workforce.announce(["cpu", "gpu"], threads=32, memory_bytes=10**9)
    workforce.announce(["cpu"], threads=16, memory_bytes=2 * 10**9)
    assert (workforce.of("gpu").processor.threads, workforce.of("gpu").memory_bytes) == (32, 10**9)
    assert (workforce.of("cpu").processor.threads, workforce.of("cpu").memory_bytes) == (16, 2 * 10**9)
    set_here = settings.model_copy(update={"worker_threads": 4, "job_memory_bytes": 5, "worker_memory_bytes": 7})
    found = Workforce(set_here, any_database).of("cpu")
    assert (found.processor.threads, found.processor.budget_bytes, found.memory_bytes) == (4, 7, 5)


@pytest.mark.parametrize("factor", [0.05, 0.5, 3.0])
def test_the_speed_of_an_installation_is_learned_from_a_few_analyses(
    settings: Settings, any_database: Database, factor: float
) -> None:
    workforce = Workforce(settings, any_database)
    for predicted in (30.0, 200.0, 10.0, 100.0):
        workforce.note(["cpu"], predicted, factor * predicted)
    assert slowness(settings, any_database) == pytest.approx(factor, rel=0.4)
    assert slowness(settings, any_database, "gpu") == 1.0


def test_machines_that_are_replaced_are_forgotten(settings: Settings, any_database: Database) -> None:
    workforce = Workforce(settings, any_database)
    for _ in range(50):
        workforce.note(["cpu"], 100.0, 100.0)
    for _ in range(20):
        workforce.note(["cpu"], 100.0, 400.0)
    assert slowness(settings, any_database) == pytest.approx(4.0, rel=0.2)


def test_what_is_over_in_a_moment_teaches_nothing(settings: Settings, any_database: Database) -> None:
    workforce = Workforce(settings, any_database)
    for _ in range(1000):
        workforce.note(["cpu"], 0.001, 0.19)
    assert slowness(settings, any_database) == 1.0
