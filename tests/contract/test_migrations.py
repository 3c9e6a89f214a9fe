"""The migrations lead to the very schema that the code names, on both databases, however many start at once."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Column, Integer, MetaData, Table, inspect

from contract.database import Database
from contract.settings import Settings
from contract.tables import metadata
from tests.conftest import PostgreSQL


@pytest.fixture(params=["sqlite", "postgresql"])
def new_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """An installation whose database is empty."""
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data")
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return Settings(data_dir=tmp_path / "data", database_url=SecretStr(server.url(server.create())))


@pytest.fixture
def opened(new_settings: Settings) -> Iterator[Database]:
    database = Database(new_settings)
    yield database
    database.close()


def differences(database: Database, target: MetaData) -> list[object]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, target))


def test_from_nothing_to_the_schema_of_the_code(opened: Database) -> None:
    opened.upgrade()
    assert differences(opened, metadata) == []
    opened.upgrade()  # again is fine
    assert differences(opened, metadata) == []


def test_a_missing_migration_would_be_noticed(opened: Database) -> None:
    opened.upgrade()
    target = MetaData()
    for table in metadata.tables.values():
        table.to_metadata(target)
    Table("forgotten", target, Column("id", Integer, primary_key=True))
    assert [difference[0] for difference in differences(opened, target)] == ["add_table"]  # type: ignore[index]  # alembic's differences are plain tuples


def test_the_schema_can_be_taken_back(opened: Database) -> None:
    from alembic import command
    from alembic.config import Config

    import contract.database

    opened.upgrade()
    config = Config()
    config.set_main_option("script_location", str(Path(contract.database.__file__).parent / "migrations"))
    with opened.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(opened.engine).get_table_names()) == {"alembic_version"}


def test_processes_that_start_together_upgrade_once(new_settings: Settings, opened: Database) -> None:
    code = (
        "from contract.database import Database; from contract.settings import Settings; Database(Settings()).upgrade()"
    )
    environment = {
        "INTERLAYER_DATA_DIR": str(new_settings.data_dir),
        "INTERLAYER_DATABASE_URL": new_settings.sqlalchemy_url(),
    }
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE) for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert differences(opened, metadata) == []


def test_sqlite_survives_a_power_cut_and_waits_for_others(settings: Settings, database: Database) -> None:
    with database.read() as connection:
        pragma: Callable[[str], object] = lambda name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()  # noqa: E731 - one line says it
        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2  # FULL
        assert pragma("foreign_keys") == 1
        assert pragma("busy_timeout") == 10_000


def test_inputs_and_tags_of_jobs_outlive_the_rewriting_of_their_tables(opened: Database) -> None:
    from alembic import command
    from alembic.config import Config

    import contract.database
    import contract.tables
    from contract.jobs import Jobs, NewJob

    opened.upgrade()
    new = NewJob("a", "analysis", {}, "cpu", "f", inputs=["0" * 64, "1" * 64], tags={"run": "7"})
    job, _ = Jobs(opened).submit(new, max_unfinished=9)
    config = Config()
    config.set_main_option("script_location", str(Path(contract.database.__file__).parent / "migrations"))
    for step in (command.downgrade, command.upgrade):
        with opened.engine.connect() as connection:
            config.attributes["connection"] = connection
            step(config, "0006" if step is command.downgrade else "head")
        with opened.read() as connection:
            inputs = connection.execute(contract.tables.job_inputs.select()).all()
            tags = connection.execute(contract.tables.job_tags.select()).all()
        assert sorted(inputs) == [(job.id, "0" * 64), (job.id, "1" * 64)]
        assert tags == [(job.id, "run", "7")]
    assert differences(opened, metadata) == []
    with opened.write() as connection:
        connection.execute(contract.tables.jobs.delete())  # and they still go with their job
        assert connection.execute(contract.tables.job_tags.select()).all() == []
