"""Immutable files, addressed by the SHA-256 of their bytes. A file is complete or it is not there."""

import hashlib
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self


class Blobs:
    """Uploads (one folder a tenant, so that nobody can tell what others uploaded) and reports."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary = root / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True, mode=0o700)

    def artifact(self, tenant: str, sha256: str) -> Path:
        """Return where a tenant's upload lies."""
        return self._root / "artifacts" / tenant / sha256[:2] / sha256

    def report(self, sha256: str) -> Path:
        """Return where a report lies."""
        return self._root / "reports" / sha256[:2] / f"{sha256}.json"

    def free_bytes(self) -> int:
        """Return the free space of the disk."""
        return shutil.disk_usage(self._root).free

    def writer(self) -> "Writer":
        """Start a file; it appears under its address when `keep` is called and leaves no trace otherwise."""
        return Writer(self._temporary / secrets.token_hex(16))

    def put_report(self, content: bytes) -> str:
        """Store a report and return its address."""
        with self.writer() as writer:
            writer.write(content)
            sha256 = writer.sha256()
            writer.keep(self.report(sha256))
        return sha256


class Writer:
    """A file in the making, hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("xb", buffering=0)
        return self

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        view = memoryview(chunk)
        while view:  # an unbuffered write may be short
            view = view[self._file.write(view) :]
        self._hash.update(chunk)
        self.size += len(chunk)

    def sha256(self) -> str:
        """Return the hexadecimal digest of what was written so far."""
        return self._hash.hexdigest()

    def keep(self, target: Path) -> None:
        """Make the file durable under its final name."""
        os.fsync(self._file.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)  # the new name, too, must survive a power cut
        finally:
            os.close(directory)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
