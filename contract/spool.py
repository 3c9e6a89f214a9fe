"""What lies on a host until it is stored: the bytes of uploads, and files in the making."""

from contextlib import suppress
from pathlib import Path

from sqlalchemy import literal, select

from contract.blobs import Blobs
from contract.database import Database, uploads
from contract.settings import Settings
from contract.uploads import Uploads


def sweep_spool(settings: Settings, database: Database, blobs: Blobs) -> tuple[int, int]:
    """Drop uploads whose time is over, and files that nobody writes to any more; return how many of each."""
    dropped = Uploads(settings, database, blobs).sweep()
    newest = database.now() - settings.garbage_seconds  # the clock of this process may be wrong
    files = 0
    for path in _old(blobs.temporary, newest):  # of a process that was killed
        path.unlink(missing_ok=True)
        files += 1
    for path in _old(blobs.uploads, newest):
        query = select(literal(1)).where(uploads.c.id == path.name)
        with database.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                path.unlink(missing_ok=True)  # somebody else sweeps, too
                files += 1
    return dropped, files


def _old(folder: Path, newest: float) -> list[Path]:
    """Return the files that were not written to since; one that is still written to is not old."""
    found = []
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < newest:
                found.append(path)
    return found
