"""Immutable files, addressed by the SHA-256 of their bytes. A file is complete or it is not there.

What is finished lies in a store. What is not, bytes of uploads and files in the making, lies on this host.
"""

import errno
import fcntl
import hashlib
import math
import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from contract.settings import Settings
from contract.stores import Folder, Store, StoreUnavailable
from contract.writeback import Writeback

_HEARSAY_SECONDS = 5.0


class Blobs:
    """Uploads (one folder a tenant, so that nobody can tell what others uploaded), reports, and results of parts."""

    def __init__(self, root: Path, store: Store | None = None) -> None:
        self.root = root
        self.store = store or Folder(root)
        self.in_place = isinstance(self.store, Folder)  # files need not be sent, and who sees one sees the others
        self._trouble: str | None = None
        self._asked = -math.inf
        self.temporary = root / "tmp"
        self.uploads = root / "uploads"
        for folder in (self.temporary, self.uploads):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Return the files of an installation."""
        if settings.blobs_url is None:
            return cls(settings.data_dir)
        try:
            from contract.s3 import Bucket
        except ModuleNotFoundError as error:
            raise RuntimeError(f'{settings.blobs_url} needs the extra s3: pip install "interlayer[s3]"') from error

        return cls(settings.data_dir, Bucket(settings.blobs_url))

    def artifact(self, tenant: str, sha256: str) -> str:
        """Return the key of a tenant's upload."""
        return f"artifacts/{tenant}/{sha256[:2]}/{sha256}"

    def report(self, sha256: str) -> str:
        """Return the key of a report."""
        return f"reports/{sha256[:2]}/{sha256}.json"

    def part(self, sha256: str) -> str:
        """Return the key of the result of a part of an analysis."""
        return f"parts/{sha256[:2]}/{sha256}.npz"

    def spool(self) -> str:
        """Return the name of this folder of unfinished uploads, 8 hexadecimal digits: hosts that share it agree."""
        path = self.root / "spool"
        try:
            return path.read_text()
        except FileNotFoundError:
            made = self.temporary / secrets.token_hex(16)
            made.write_text(secrets.token_hex(4))
            with suppress(FileExistsError):  # the first of several processes names it
                os.link(made, path)
            made.unlink()
            return path.read_text()

    def partial(self, upload_id: str) -> Path:
        """Return where the bytes of an unfinished resumable upload lie."""
        return self.uploads / upload_id

    def begin(self, upload_id: str) -> None:
        """Make the empty file of a resumable upload."""
        os.close(os.open(self.partial(upload_id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))

    def free_bytes(self) -> int:
        """Return the free space of the disk."""
        return shutil.disk_usage(self.root).free

    def disk_bytes(self) -> int:
        """Return the size of the disk."""
        return shutil.disk_usage(self.root).total

    def trouble(self) -> str | None:
        """Say what is wrong with the store, if anything is; what is heard from it holds for some seconds."""
        if time.monotonic() > self._asked + _HEARSAY_SECONDS:
            self._trouble, self._asked = self.store.trouble(), time.monotonic()
        return self._trouble

    def writer(self) -> "Writer":
        """Start a file; it appears under its key when `keep` is called and leaves no trace otherwise."""
        return Writer(self.temporary / secrets.token_hex(16), self.store)

    def put_report(self, content: bytes) -> str:
        """Store a report and return its digest."""
        with self.writer() as writer:
            writer.write(content)
            sha256 = writer.sha256()
            writer.keep(self.report(sha256))
        return sha256

    def exists(self, key: str) -> bool:
        """Tell whether a finished file is there."""
        return self.store.modified(key) is not None

    def sha256(self, key: str) -> str:
        """Hash a finished file, whatever its key says. Raises `FileNotFoundError`, `StoreUnavailable`."""
        path, digest = self.store.path(key), hashlib.sha256()
        if path is None:
            for block in self.store.blocks(key):
                digest.update(block)
            return digest.hexdigest()
        with path.open("rb", buffering=0) as file:
            digest = hashlib.file_digest(file, "sha256")
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # a check must not push out what is in use
        return digest.hexdigest()

    def read(self, key: str) -> bytes:
        """Return the bytes of a small file.

        Raises
        ------
        FileNotFoundError
        StoreUnavailable
            Also where the store returns other bytes than it was given.
        """
        path = self.store.path(key)
        if path is not None:
            return path.read_bytes()
        content = b"".join(self.store.blocks(key))
        if hashlib.sha256(content).hexdigest() != digest_of(key):
            raise StoreUnavailable(f"the store returns other bytes than were stored as {key}")
        return content


def digest_of(key: str) -> str:
    """Return the SHA-256 that a key names."""
    return PurePosixPath(key).stem


class Writer:
    """A file in the making, hashed while it is written."""

    def __init__(self, path: Path, store: Store) -> None:
        self._path, self._store = path, store
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("xb", buffering=0)
        self._writeback = Writeback(self._file.fileno())
        return self

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        view = memoryview(chunk)
        while view:  # an unbuffered write may be short
            view = view[self._file.write(view) :]
        self._hash.update(chunk)
        self.size += len(chunk)
        self._writeback.reached(self.size)

    def sha256(self) -> str:
        """Return the hexadecimal digest of what was written so far."""
        return self._hash.hexdigest()

    def keep(self, key: str) -> None:
        """Make the file durable under its key."""
        self._store.keep(self._path, key)

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
        Where there is no such upload any more, or only a link to some other file.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise FileNotFoundError(path) from error
            raise
        if os.fstat(self._file).st_nlink > 1:  # a file of ours has one name
            os.close(self._file)
            raise FileNotFoundError(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise
        self._position = 0
        self._writeback = Writeback(self._file)

    def cut(self, size: int) -> bool:
        """Forget what lies beyond the first `size` bytes; returns False where there are fewer."""
        if os.fstat(self._file).st_size < size:
            return False
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)
        self._position, self._writeback = size, Writeback(self._file, size)
        return True

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._file, view) :]
        self._position += len(chunk)
        self._writeback.reached(self._position)

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
