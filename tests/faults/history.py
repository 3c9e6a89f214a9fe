"""What happened to every job, written down by the database itself in the transaction in which it happened."""

from dataclasses import dataclass

from sqlalchemy import select, text

from contract.database import Database
from contract.job_rows import FINAL
from contract.tables import jobs

_COLUMNS = "job, old, new, attempt, losses, fraction, cancel, sha256, at"
_VALUES = "NEW.id, {old}, NEW.state, NEW.attempt, NEW.losses, NEW.fraction, NEW.cancel_requested, NEW.report_sha256"
_TABLE = """
CREATE TABLE history (
    seq {serial}, job TEXT NOT NULL, old TEXT, new TEXT NOT NULL, attempt INTEGER NOT NULL, losses INTEGER NOT NULL,
    fraction DOUBLE PRECISION NOT NULL, cancel BOOLEAN NOT NULL, sha256 TEXT, at DOUBLE PRECISION NOT NULL)
"""
_SQLITE = """
CREATE TRIGGER history_of_{event} AFTER {event} ON jobs WHEN NEW.kind IN ('analysis', 'part') BEGIN
    INSERT INTO history ({columns}) VALUES ({values}, (julianday('now') - 2440587.5) * 86400.0);
END
"""
_POSTGRESQL = """
CREATE FUNCTION history_of_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO history ({columns}) VALUES ({values}, extract(epoch from clock_timestamp()));
    RETURN NEW;
END $$;
CREATE TRIGGER history_of_{event} AFTER {event} ON jobs FOR EACH ROW WHEN (NEW.kind IN ('analysis', 'part'))
    EXECUTE FUNCTION history_of_{event}();
"""


@dataclass(frozen=True)
class Change:
    """One committed change of a job row."""

    job: str
    old: str | None
    new: str
    attempt: int
    losses: int
    fraction: float
    cancel: bool
    sha256: str | None
    at: float


def install(database: Database) -> None:
    """Have a migrated database keep the history of its jobs."""
    sqlite = database.engine.dialect.name == "sqlite"
    serial = "INTEGER PRIMARY KEY AUTOINCREMENT" if sqlite else "BIGSERIAL PRIMARY KEY"
    with database.write() as connection:
        connection.execute(text(_TABLE.format(serial=serial)))
        connection.execute(text("CREATE INDEX history_job ON history (job)"))
        for event, old in (("INSERT", "NULL"), ("UPDATE", "OLD.state")):
            trigger = (_SQLITE if sqlite else _POSTGRESQL).format(
                event=event, columns=_COLUMNS, values=_VALUES.format(old=old)
            )
            connection.exec_driver_sql(trigger)


def length(database: Database) -> int:
    """Return how many changes there were, which grows while anything goes on."""
    with database.read() as connection:
        return int(connection.execute(text("SELECT coalesce(max(seq), 0) FROM history")).scalar_one())


def changes(database: Database, since: int = 0) -> list[Change]:
    """Return the changes after number `since`, in the order in which they were made."""
    query = text(f"SELECT {_COLUMNS} FROM history WHERE seq > :since ORDER BY seq")
    with database.read() as connection:
        return [Change(**row._mapping) for row in connection.execute(query, {"since": since})]


def by_job(database: Database, since: int = 0) -> dict[str, list[Change]]:
    """Return the changes of every job after number `since`."""
    found: dict[str, list[Change]] = {}
    for change in changes(database, since):
        found.setdefault(change.job, []).append(change)
    return found


def of_job(database: Database, job: str) -> list[Change]:
    """Return the changes of one job."""
    query = text(f"SELECT {_COLUMNS} FROM history WHERE job = :job ORDER BY seq")
    with database.read() as connection:
        return [Change(**row._mapping) for row in connection.execute(query, {"job": job})]


def ended(database: Database) -> set[str]:
    """Return the jobs that have ended, those included that have expired since."""
    query = text("SELECT DISTINCT job FROM history WHERE new IN ('succeeded', 'failed', 'canceled')")
    with database.read() as connection:
        return set(connection.execute(query).scalars())


def worker_of(database: Database, job: str) -> int:
    """Return the process that was the last to claim a job."""
    with database.read() as connection:
        workers = connection.execute(select(jobs.c.workers).where(jobs.c.id == job)).scalar_one()
    return int(workers[-1].rpartition(":")[2])


def busy(database: Database) -> set[int]:
    """Return the processes that hold a running job."""
    query = select(jobs.c.workers).where(jobs.c.state == "running", jobs.c.kind != "inspection")
    with database.read() as connection:
        return {int(workers[-1].rpartition(":")[2]) for workers in connection.execute(query).scalars()}


def open_parts(database: Database) -> int:
    """Return how many parts have not ended."""
    query = select(jobs.c.id).where(jobs.c.parent.is_not(None), jobs.c.state.not_in(FINAL))
    with database.read() as connection:
        return len(connection.execute(query).all())


def all_announced(database: Database, ids: set[str]) -> bool:
    """Tell whether the broker was told of all these jobs."""
    query = select(jobs.c.id).where(jobs.c.sent_at.is_not(None), jobs.c.state == "queued")
    with database.read() as connection:
        return ids <= set(connection.execute(query).scalars())
