"""Finished files in a bucket of S3 or of a store that speaks its language.

Endpoint, region and credentials come from the variables that every AWS client reads. An object is visible when it is
complete, never before; the store checks the hash that comes with every part.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from contract.stores import StoredFile, StoreUnavailable

_BLOCK_BYTES = 8 * 2**20
_MOST_PARTS = 9000  # S3 takes 10,000
_PARTS_AT_ONCE = 4
_TRANSFERS_AT_ONCE = 4  # with the parts of each: at most 128 MiB of memory
_CHECK, _READ, _WRITE = timedelta(seconds=3), timedelta(seconds=20), timedelta(seconds=60)
_REASONS = {
    "NoSuchBucket": "the bucket does not exist",
    "InvalidAccessKeyId": "it refuses the credentials (InvalidAccessKeyId)",
    "SignatureDoesNotMatch": "it refuses the credentials (SignatureDoesNotMatch)",
    "AccessDenied": "it denies access (AccessDenied)",
}


class Bucket:
    """The objects below a prefix of one bucket."""

    def __init__(self, url: str) -> None:
        self._url, parts = url, urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._reading = self._client(_READ, retries=4)
        self._writing = self._client(_WRITE, retries=4)
        self._checking = self._client(_CHECK, retries=0)
        self._transfers = threading.BoundedSemaphore(_TRANSFERS_AT_ONCE)

    def _client(self, timeout: timedelta, *, retries: int) -> S3Store:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        pauses: Any = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2), "base": 2}
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            checksum_algorithm="SHA256",  # the store checks it for every part that arrives
            disable_bulk_delete=True,  # not every store knows it, and we delete one at a time
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": min(timeout, timedelta(seconds=5)),
                "timeout": timeout,
            },
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=10), "backoff": pauses},
        )

    def keep(self, path: Path, key: str) -> None:
        """Send a file, in parts if it is large; parts of one that fails are given up.

        What is there already is replaced by the same bytes: the sweep then sees a file that has only just come, and
        one that was damaged is whole again.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            with self._transfers, self._translated():
                obstore.put(
                    self._writing,
                    key,
                    file,
                    chunk_size=max(_BLOCK_BYTES, -(-size // _MOST_PARTS)),
                    max_concurrency=_PARTS_AT_ONCE,
                )
        path.unlink(missing_ok=True)

    def path(self, key: str) -> None:
        """Return None: objects must be fetched."""

    def blocks(self, key: str, start: int = 0) -> Iterator[memoryview]:
        """Yield an object from some byte on; each block is one request, so that a failure costs one block."""
        size = start + 1
        while start < size:
            with self._translated():
                found = obstore.get(self._reading, key, options={"range": (start, start + _BLOCK_BYTES)})
                size, block = found.meta["size"], found.bytes()
            if not len(block):
                raise StoreUnavailable(f"{self._url} sent nothing of an object")
            start += len(block)
            yield memoryview(block)

    def modified(self, key: str) -> float | None:
        """Return when an object was stored last."""
        try:
            with self._translated():
                last: datetime = obstore.head(self._reading, key)["last_modified"]
        except FileNotFoundError:
            return None
        return last.timestamp()

    def delete(self, key: str) -> None:
        """Delete an object; S3 says yes also where there is none."""
        try:
            with self._translated():
                obstore.delete(self._writing, key)
        except FileNotFoundError:  # other stores say no
            return

    def files(self, folder: str) -> Iterator[StoredFile]:
        """Yield every object below a folder."""
        with self._translated():
            for objects in obstore.list(self._reading, prefix=folder, chunk_size=1000):
                for each in objects:
                    yield StoredFile(each["path"], each["last_modified"].timestamp())

    def trouble(self) -> str | None:
        """Ask for one key, without patience."""
        try:
            for _ in obstore.list(self._checking, chunk_size=1):
                break
        except (BaseError, OSError) as error:
            return _reason(error)
        return None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            # Without its bucket a store has no object either, and the answer need not tell the two apart.
            if (trouble := self.trouble()) is not None:
                raise StoreUnavailable(f"{self._url}: {trouble}") from None
            raise FileNotFoundError(f"{self._url} has no such object") from None
        except BaseError as error:  # its text also holds the whole exchange, which is nobody's business
            raise StoreUnavailable(f"{self._url}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Return in a few words what a client's error says."""
    text = str(error)
    code = re.search(r"<Code>(\w+)</Code>", text)
    if code is not None:
        return _REASONS.get(code[1], f"it answers {code[1]}")
    status = re.search(r"status code: (\d{3})", text)
    if status is not None:
        return _REASONS["AccessDenied"] if status[1] == "403" else f"it answers {status[1]}"
    return "it does not answer"
