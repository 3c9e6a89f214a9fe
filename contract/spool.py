"""What lies on a host until it is stored: the bytes of uploads, and files in the making."""

from contextlib import suppress
from pathlib import Path

from sqlalchemy import literal, select

from contract.blobs import Blobs
from contract.database import Database
from contract.settings import Settings
from contract.tables import uploads
from contract.uploads import Uploads


def sweep_spool(settings: Settings, database: Database, blobs: Blobs) -> tuple[int, int]:
    """Drop uploads whose time is over, and files that nobody writes to any more; return how many of each."""
    dropped = Uploads(settings, database, blobs).sweep()
    files = sweep_unfinished(settings, database, blobs)
    newest = database.now() - settings.garbage_seconds  # the clock of this process may be wrong
    for path in _old(blobs.uploads, newest):
        query = select(literal(1)).where(uploads.c.id == path.name)
        with database.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                path.unlink(missing_ok=True)  # somebody else sweeps, too
                files += 1
    return dropped, files


def sweep_unfinished(settings: Settings, database: Database, blobs: Blobs) -> int:
    """Delete files in the making whose process was killed; return how many."""
    count = 0
    for path in _old(blobs.temporary, database.now() - settings.garbage_seconds):
        path.unlink(missing_ok=True)
        count += 1
    return count


def _old(folder: Path, newest: float) -> list[Path]:
    """Return the files that were not written to since; one that is still written to is not old."""
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < newest:
                found.append(path)
    return found
