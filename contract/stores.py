"""Where finished files lie: in a folder that every process of the installation sees, or in a bucket.

A key is a path below the installation, `artifacts/TENANT/12/12…` or `reports/ab/ab….json`; the last part of it is the
SHA-256 of the bytes. So a file never changes, and to store it again is to store the same.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_BLOCK_BYTES = 2**20


class StoreUnavailable(Exception):
    """The store does not answer, or answers nonsense; trying again later may help. The message is for people."""


@dataclass(frozen=True)
class StoredFile:
    """One file of a store; `modified` in seconds since 1970, by the clock of the store."""

    key: str
    modified: float


class Store(Protocol):
    """Complete files by their keys. Every method may raise `StoreUnavailable`, and `OSError` of this host's disk."""

    def keep(self, path: Path, key: str) -> None:
        """Store a file of this host, whole or not at all. When this returns it is durable, and `path` is gone."""

    def path(self, key: str) -> Path | None:
        """Return where a file can be opened in place; None where it must be fetched."""

    def blocks(self, key: str, start: int = 0) -> Iterator[bytes | memoryview]:
        """Yield a file from some byte on, in blocks. Raises `FileNotFoundError`."""

    def modified(self, key: str) -> float | None:
        """Return when a file was stored last, in seconds since 1970 by the store's clock; None where there is none."""

    def delete(self, key: str) -> None:
        """Delete a file; one that is not there is no error."""

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Yield every file below a folder, which need not exist."""

    def trouble(self) -> str | None:
        """Say what is wrong with the store, if anything is; answers within seconds."""


class Folder:
    """A folder, on a local disk or on one that all hosts share."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, path: Path, key: str) -> None:
        """Give a file of the same disk its final name, durably."""
        target = self._root / key
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.utime(path)  # whoever looks for files without a row spares those that have only just come
        path.replace(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)  # the new name, too, must survive a power cut
        finally:
            os.close(directory)

    def path(self, key: str) -> Path:
        """Return where a file lies."""
        return self._root / key

    def blocks(self, key: str, start: int = 0) -> Iterator[bytes]:
        """Yield a file from some byte on."""
        with self.path(key).open("rb", buffering=0) as file:
            file.seek(start)
            while block := file.read(_BLOCK_BYTES):
                yield block

    def modified(self, key: str) -> float | None:
        """Return when a file was stored last."""
        try:
            return self.path(key).stat().st_mtime
        except FileNotFoundError:
            return None

    def delete(self, key: str) -> None:
        """Delete a file."""
        self.path(key).unlink(missing_ok=True)

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Yield every file below a folder."""
        for path in (self._root / folder).rglob("*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                if path.is_file():
                    yield StoredFile(path.relative_to(self._root).as_posix(), path.stat().st_mtime)

    def trouble(self) -> str | None:
        """Nothing: what can be wrong with a disk is seen in its free space."""
        return None
