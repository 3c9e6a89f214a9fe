"""Immutable files, addressed by the SHA-256 of their bytes. A file is complete or it is not there."""

import fcntl
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
        self.root = root
        self._temporary = root / "tmp"
        self._uploads = root / "uploads"
        for folder in (self._temporary, self._uploads):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def artifact(self, tenant: str, sha256: str) -> Path:
        """Return where a tenant's upload lies."""
        return self.root / "artifacts" / tenant / sha256[:2] / sha256

    def report(self, sha256: str) -> Path:
        """Return where a report lies."""
        return self.root / "reports" / sha256[:2] / f"{sha256}.json"

    def partial(self, upload_id: str) -> Path:
        """Return where the bytes of an unfinished resumable upload lie."""
        return self._uploads / upload_id

    def begin(self, upload_id: str) -> None:
        """Make the empty file of a resumable upload."""
        os.close(os.open(self.partial(upload_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def free_bytes(self) -> int:
        """Return the free space of the disk."""
        return shutil.disk_usage(self.root).free

    def disk_bytes(self) -> int:
        """Return the size of the disk."""
        return shutil.disk_usage(self.root).total

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
        move(self._path, target)

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


class Partial:
    """The bytes of a resumable upload so far. One process holds them at a time; its death lets go of them.

    Raises
    ------
    BlockingIOError
        While another request, of this process or any other, holds them.
    FileNotFoundError
        Where there is no such upload any more.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise

    def cut(self, size: int) -> bool:
        """Forget what lies beyond the first `size` bytes; returns False where there are fewer."""
        if os.fstat(self._file).st_size < size:
            return False
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)
        return True

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._file, view) :]

    def sync(self) -> None:
        """Return when every byte so far would survive a power cut."""
        os.fsync(self._file)

    def start(self, size: int) -> bytes:
        """Return the first bytes."""
        return os.pread(self._file, size, 0)

    def sha256(self) -> "hashlib._Hash":
        """Hash every byte from the disk."""
        digest, position = hashlib.sha256(), 0
        while block := os.pread(self._file, 2**20, position):
            digest.update(block)
            position += len(block)
        return digest

    def close(self) -> None:
        """Let go of the bytes."""
        os.close(self._file)


def move(path: Path, target: Path) -> None:
    """Give a file its final name, durably."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.utime(path)  # whoever looks for files without a row spares those that have only just come
    path.replace(target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the new name, too, must survive a power cut
    finally:
        os.close(directory)
