"""Bytes on their way to the disk: in blocks, beside the event loop, and against the digests that were promised."""

import asyncio
import base64
import errno
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager

from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect

from contract.schemas import ProblemError

BLOCK_BYTES = 2**20
_MOST_PIECES = 4096  # each is an object, so a block of very small ones would be many times its size
_DIGEST_BYTES = {"sha-256": 32, "sha-512": 64}


async def pour(chunks: AsyncIterator[bytes], write: Callable[[bytes], None]) -> None:
    """Hand what comes to `write` in blocks, in a thread, while the next block comes.

    Everything that came has been written when this ends, also where it ends because the client left.
    """
    writing: asyncio.Future[None] | None = None
    pieces: list[bytes] = []  # joined once, beside the event loop
    size = 0

    async def pass_on() -> None:
        nonlocal pieces, size, writing
        if writing is not None:
            previous, writing = writing, None
            await previous
        if pieces:
            full, pieces, size = pieces, [], 0
            writing = asyncio.ensure_future(run_sync(lambda: write(b"".join(full))))

    try:
        async for chunk in chunks:
            if chunk:
                pieces.append(chunk)
                size += len(chunk)
            if size >= BLOCK_BYTES or len(pieces) >= _MOST_PIECES:
                await pass_on()
    finally:
        await pass_on()
        if writing is not None:
            await writing


@contextmanager
def storing() -> Iterator[None]:
    """Translate what interrupts a body: the client's leaving and a full disk."""
    try:
        yield
    except ClientDisconnect as error:
        raise ProblemError("upload_incomplete", "the connection closed before the end of the file") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise ProblemError("insufficient_storage", "the disk is full; free some space, then send it again") from error


def promised_digests(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Return the digests of the `Repr-Digest` and `Content-Digest` headers (RFC 9530), by algorithm.

    A raw body without Content-Encoding is content and representation in one. Algorithms that are not known are
    ignored, as the RFC wants it.
    """
    found: dict[str, bytes] = {}
    for header in ("repr-digest", "content-digest"):
        for item in headers.get(header, "").split(","):
            name, _, value = item.strip().partition("=")
            size = _DIGEST_BYTES.get(name.lower())
            if size is None:
                continue
            digest = _decoded(value)
            if digest is None or len(digest) != size or found.setdefault(name.lower(), digest) != digest:
                raise ProblemError("checksum_mismatch", f"{header} must be {name}=:BASE64:, of {size} bytes")
    return found


def _decoded(value: str) -> bytes | None:
    if not (len(value) > 2 and value[0] == value[-1] == ":"):
        return None
    try:
        return base64.b64decode(value[1:-1], validate=True)
    except ValueError:
        return None
