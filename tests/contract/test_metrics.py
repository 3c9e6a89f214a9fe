"""What an autoscaler is told, against a count by hand."""

import re
from typing import Any

from sqlalchemy import update

from contract.database import Database, clock
from contract.jobs import Jobs, NewJob
from contract.metrics import Metrics
from contract.schemas import Problem
from contract.settings import Settings
from contract.tables import jobs

FAMILIES = ("interlayer_queue_jobs", "interlayer_queue_predicted_seconds", "interlayer_queue_unpredicted_jobs")


def told(settings: Settings, database: Database, family: str) -> dict[tuple[str, str], float]:
    """Return a family of metrics by queue and state, without zeros."""
    pattern = rf'^{family}{{queue="(\w+)",state="(\w+)"}} (\S+)$'
    lines = re.findall(pattern, Metrics(settings, database).text().decode(), re.MULTILINE)
    assert lines
    return {(queue, state): float(value) for queue, state, value in lines if float(value)}


def add(database: Database, queue: str, state: str, **values: Any) -> None:
    job, _ = Jobs(database).submit(NewJob("a", "analysis", {}, queue, "f"), max_unfinished=99)
    values |= {"state": state, "finished_at": clock() if state == "succeeded" else None}
    with database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(values))


def test_an_empty_queue_is_a_zero_and_not_a_silence(any_settings: Settings, any_database: Database) -> None:
    offered = any_settings.model_copy(update={"queues": "cpu,gpu", "model_queue": "sandbox"})
    text = Metrics(offered, any_database).text().decode()
    for queue in ("cpu", "gpu", "sandbox", "inspect"):
        for family in FAMILIES:
            for state in ("queued", "running"):
                assert f'{family}{{queue="{queue}",state="{state}"}} 0.0\n' in text
        assert f'interlayer_oldest_queued_seconds{{queue="{queue}"}} 0.0\n' in text


def test_rows_by_queue_and_state(any_settings: Settings, any_database: Database) -> None:
    for queue, state in [("cpu", "queued")] * 3 + [("cpu", "running"), ("gpu", "queued"), ("cpu", "succeeded")]:
        add(any_database, queue, state)
    expected = {("cpu", "queued"): 3, ("cpu", "running"): 1, ("gpu", "queued"): 1}
    assert told(any_settings, any_database, FAMILIES[0]) == expected
    assert told(any_settings, any_database, FAMILIES[2]) == expected, "nothing was predicted of any"
    assert told(any_settings, any_database, FAMILIES[1]) == {}


def test_predicted_seconds_are_those_that_are_left(any_settings: Settings, any_database: Database) -> None:
    add(any_database, "cpu", "queued", cost=10.0)
    add(any_database, "cpu", "queued", cost=2.5)
    add(any_database, "cpu", "queued")
    add(any_database, "cpu", "running", cost=100.0, fraction=0.75)
    add(any_database, "gpu", "waiting", cost=7.0)
    add(any_database, "gpu", "split", cost=1000.0)
    add(any_database, "gpu", "succeeded", cost=1000.0)
    assert told(any_settings, any_database, FAMILIES[1]) == {
        ("cpu", "queued"): 12.5,
        ("cpu", "running"): 25.0,
        ("gpu", "waiting"): 7.0,
    }
    assert told(any_settings, any_database, FAMILIES[2]) == {("cpu", "queued"): 1}
    assert told(any_settings, any_database, FAMILIES[0])[("cpu", "queued")] == 3


def test_what_was_given_up_is_counted_whatever_errors_say(any_settings: Settings, any_database: Database) -> None:
    lost, other = (
        Problem.of("worker_lost", "the worker died"),
        Problem.of("model_failed", 'it said \x00 and "worker_lost"'),
    )
    day = 86_400.0
    for problem, values in (
        (lost, {"losses": 3}),
        (lost, {"parts": 9}),
        (lost, {"losses": 3, "kind": "part"}),
        (lost, {"losses": 3, "age": 1.1 * day}),
        (other, {"losses": 1}),
        (other, {"parts": 9}),
        (other, {}),
    ):
        age = values.pop("age", 0.0)
        add(any_database, "cpu", "failed", error=problem.model_dump(mode="json"), **values)
        with any_database.write() as connection:
            newest = jobs.c.finished_at.is_(None)
            connection.execute(update(jobs).where(newest).values(finished_at=clock() - age))
    assert "interlayer_dead_letters 2.0\n" in Metrics(any_settings, any_database).text().decode()
