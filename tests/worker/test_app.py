"""The task of a Celery worker, as its pool would run it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from contract.database import Database
from contract.jobs import Claim, Jobs, NewJob
from contract.queue import RUN_JOB
from contract.settings import Settings
from tests.conftest import PostgreSQL
from worker.app import make_worker


class Noting:
    """A runner that ends every job at once."""

    def __init__(self, database: Database) -> None:
        self.name, self.ran = "w", list[str]()
        self._jobs = Jobs(database)

    def run(self, claim: Claim, _stopping: Any) -> None:
        self.ran.append(claim.id)
        assert self._jobs.succeed(claim, report_sha256=None, device=None)


@pytest.fixture
def place(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[str, Settings, Database]]:
    name = postgresql.create()
    url, broker = SecretStr(postgresql.url(name)), SecretStr("redis://127.0.0.1:1/0")
    settings = Settings(data_dir=tmp_path, database_url=url, broker_url=broker)
    database = Database(settings)
    database.upgrade()
    yield name, settings, database
    database.close()


def test_a_database_that_is_away_is_said_in_a_line_and_the_job_is_announced_again(
    postgresql: PostgreSQL, place: tuple[str, Settings, Database]
) -> None:
    name, settings, database = place
    runner = Noting(database)
    app = make_worker(settings, database, [runner], threading.Event())  # type: ignore[list-item]  # all that is asked of it
    job, _ = Jobs(database).submit(NewJob("a", "analysis", {}, "cpu", "f"), max_unfinished=9)
    Jobs(database).announced([job.id])

    def woken() -> Any:
        return app.tasks[RUN_JOB].apply((job.id,), routing_key="cpu")

    postgresql.cut_off(name)
    with structlog.testing.capture_logs() as lines:
        assert woken().successful()
    assert [(line["log_level"], line["event"]) for line in lines] == [("warning", "the database does not answer")]
    assert "\n" not in lines[0]["error"].strip()
    assert runner.ran == []

    postgresql.let_in(name)
    assert [waiting for waiting, _ in Jobs(database).unannounced(0.0)] == [job.id]
    assert woken().successful(), "its runner was given back"
    assert runner.ran == [job.id]
