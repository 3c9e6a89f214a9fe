"""Files of the store on this host, each fetched once for all its workers, the longest unused deleted first.

A file is whole or not there: it is fetched into a `.part` beside it, under an exclusive lock, and gets its name when
its digest is right. Who reads one holds a shared lock on it, which whoever needs room respects. The locks are those of
the kernel, so a worker that is killed at any point leaves none behind.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import structlog

from contract.blobs import digest_of
from contract.stores import Store, StoreUnavailable
from worker.patience import Patience

# The modification time of every file whose digest was right. Whatever writes to one later changes it.
_WHOLE_NS = 10**18
_TRIES = 3
_OTHER_WORKER_SECONDS = 0.1
log = structlog.get_logger()


class DamagedFile(Exception):
    """The store returns other bytes than were stored, again and again."""


class Cache:
    """A folder that several processes use at the same time."""

    def __init__(self, folder: Path, limit_bytes: int, store: Store) -> None:
        self._folder, self._limit, self._store = folder, limit_bytes, store

    @contextmanager
    def hold(self, key: str, size: int, patience: Patience) -> Iterator[Path]:
        """Keep a file here, whole, while the block lasts, and fetch it first if need be.

        Raises
        ------
        FileNotFoundError
            The store has no such file.
        DamagedFile
            It has another one.
        GivenUp
        """
        file = self._held(key, size, patience)
        try:
            yield self._path(key)
        finally:
            file.close()

    def _path(self, key: str) -> Path:
        return self._folder / key.split("/")[1] / digest_of(key)

    def _held(self, key: str, size: int, patience: Patience) -> FileIO:
        """Return the file under a shared lock."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        while (file := _opened(path, size)) is None:
            part = _locked(path.with_suffix(".part"), os.O_RDWR | os.O_CREAT)
            if part is None:
                patience.pause(_OTHER_WORKER_SECONDS)  # another worker of this host fetches it
                continue
            with part:
                if (file := _opened(path, size)) is not None:  # it has, since we looked
                    path.with_suffix(".part").unlink()
                    return file
                try:
                    self._fetch(key, size, part, patience)
                except BaseException:
                    path.with_suffix(".part").unlink()
                    raise
                path.with_suffix(".part").replace(path)
        return file

    def _fetch(self, key: str, size: int, part: FileIO, patience: Patience) -> None:
        for left in reversed(range(_TRIES)):
            if self._written(key, size, part, patience) == digest_of(key):
                os.fsync(part.fileno())  # its name must not survive a power cut without its bytes
                os.fchmod(part.fileno(), 0o400)
                _touch(part.fileno())
                return
            log.warning("the store returned other bytes than were stored", key=key, tries_left=left)
        raise DamagedFile(key)

    def _written(self, key: str, size: int, part: FileIO, patience: Patience) -> str:
        """Fetch a file, as long as it takes; what has come is not fetched again. Return its digest."""
        digest, position = hashlib.sha256(), 0
        part.truncate(0)
        self._make_room(size)
        part.truncate(size)  # so that others see how much room it will take
        part.seek(0)
        while position < size:
            try:
                for block in self._store.blocks(key, position):
                    patience.require()
                    _write(part, block)
                    digest.update(block)
                    position += len(block)
                break
            except StoreUnavailable as error:
                patience.trouble("waiting for the store of files", error)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self._make_room(self._limit)
                patience.trouble("waiting for disk space", error)
            part.seek(position)
        return digest.hexdigest()

    def _make_room(self, size: int) -> None:
        """Delete what has not been used for longest, until `size` more bytes fit. What is in use stays."""
        entries = sorted(_entries(self._folder))
        total = sum(entry_size for _, entry_size, _ in entries)
        for _, entry_size, path in entries:
            if total + size <= self._limit:
                break
            if _evicted(path):
                total -= entry_size

    def forget(self, is_known: Callable[[str, str], bool]) -> int:
        """Delete what is not known any more, by its tenant and digest; return how many files."""
        gone = [path for _, _, path in _entries(self._folder) if not is_known(path.parent.name, path.stem)]
        return sum(_evicted(path) for path in gone)


def _entries(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield when each file was used last, its size, and where it is."""
    for path in folder.glob("*/*"):
        with suppress(FileNotFoundError):
            found = path.stat()
            yield found.st_atime_ns, found.st_size, path


def _opened(path: Path, size: int) -> FileIO | None:
    """Return a whole file under a shared lock; None where there is none."""
    try:
        file = FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return None
    fcntl.flock(file, fcntl.LOCK_SH)  # whoever deletes files holds a lock for a moment only
    found = os.fstat(file.fileno())
    if found.st_nlink and (found.st_size, found.st_mtime_ns) == (size, _WHOLE_NS):
        _touch(file.fileno())
        return file
    if found.st_nlink:
        log.warning("a file of the cache has changed and is fetched again", path=str(path))
    file.close()
    return None


def _locked(path: Path, flags: int) -> FileIO | None:
    """Return a file under an exclusive lock; None where another process has one, or the file has just gone."""
    try:
        file = FileIO(os.open(path, flags | os.O_CLOEXEC, 0o600), "r+" if flags & os.O_RDWR else "r")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    found = os.fstat(file.fileno())
    if found.st_nlink and _is_at(found, path):
        return file
    file.close()  # it was deleted, or got its final name, before we had the lock
    return None


def _is_at(found: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(found, path.stat())
    except FileNotFoundError:
        return False


def _evicted(path: Path) -> bool:
    """Delete a file that nobody uses; return whether it is gone."""
    file = _locked(path, os.O_RDONLY)
    if file is None:
        return False
    with file:
        path.unlink()
    return True


def _write(file: FileIO, block: bytes | memoryview) -> None:
    view = memoryview(block)
    while view:  # an unbuffered write may be short
        view = view[file.write(view) :]


def _touch(file: int) -> None:
    """Note that a whole file is used now."""
    os.utime(file, ns=(time.time_ns(), _WHOLE_NS))
