"""Uploads: small files in one request, large ones in parts (tus 1.0) that go on where they stopped.

Where a large upload stands is noted in a file of the user's cache folder, so that a new process goes on, too.
"""

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx

from contract.schemas import Artifact
from interlayer.client.flow import TRIES, Call, Flow, Pause, Work, answered, backoff, refusal, resource, unreachable
from interlayer.client.operations import artifact
from interlayer.errors import InterlayerError

SMALL_BYTES = 8 * 2**20
PART_BYTES = 8 * 2**20
_TUS = {"Tus-Resumable": "1.0.0"}
# Another offset than we think, somebody else at it (the connection of ours that broke), a damaged part, not now.
_TRY_AGAIN = (409, 423, 460, 429, 502, 503, 504)
_GONE = (403, 404, 410)


def upload(path: Path | str, *, server: str, on_progress: Callable[[int, int], None] | None = None) -> Flow[Artifact]:
    """Upload a file, unless the service has these very bytes already; `on_progress` gets (bytes sent, bytes)."""
    path = Path(path)
    digest: bytes = yield Work(lambda: _sha256(path))
    known = yield from answered(Call("GET", f"/v1/artifacts/sha256:{digest.hex()}", allowed=(404,)))
    if known.status_code == 200:
        return Artifact.model_validate_json(known.content)
    show = on_progress or (lambda _sent, _size: None)
    size = path.stat().st_size
    if size <= SMALL_BYTES:
        return (yield from _put(path, digest))
    note = _Note(server, digest.hex())
    location, offset = yield from _begun(note, path, size, digest)
    show(offset, size)
    failures = 0
    while offset < size:
        reached = yield from _send_part(location, path, offset)
        if isinstance(reached, int):
            offset, failures = reached, 0
            show(offset, size)
            continue
        failures += 1
        if failures >= TRIES:
            raise reached
        yield Pause(backoff(failures))
        arrived = yield from _offset(location)  # whatever we heard of it
        offset, failures = arrived, failures if arrived == offset else 0
    note.forget()
    return (yield from artifact(f"sha256:{digest.hex()}"))


def _put(path: Path, digest: bytes) -> Flow[Artifact]:
    content: bytes = yield Work(path.read_bytes)
    headers = {
        "Content-Type": "application/octet-stream",
        "Repr-Digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(path.name, safe='')}",
    }
    return (yield from resource(Call("PUT", "/v1/artifacts", headers=headers, content=content), Artifact))


def _begun(note: "_Note", path: Path, size: int, digest: bytes) -> Flow[tuple[str, int]]:
    """Return the address of the upload and what has arrived of it: of the one that was noted, or of a new one."""
    location: str | None = yield Work(note.read)
    if location is not None:
        answer = yield from answered(Call("HEAD", location, headers=_TUS, allowed=_GONE))
        if answer.status_code not in _GONE:
            return location, int(answer.headers["Upload-Offset"])
    described = {"filename": path.name.encode(), "sha256": digest.hex().encode()}
    metadata = ",".join(f"{name} {base64.b64encode(value).decode()}" for name, value in described.items())
    headers = _TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata}
    # Repeatable: an upload that is begun twice costs nothing, and the one that nobody uses expires.
    answer = yield from answered(Call("POST", "/v1/uploads", headers=headers))
    location = httpx.URL(answer.headers["Location"]).path
    yield Work(lambda: note.write(location))
    return location, 0


def _send_part(location: str, path: Path, offset: int) -> Flow[int | InterlayerError]:
    """Send the next part. Returns the offset it leads to, or why nobody knows it at the moment."""
    part: bytes = yield Work(lambda: _read(path, offset))
    if not part:
        raise InterlayerError(f"{path} has become shorter while it was sent; upload it again")
    headers = _TUS | {
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
        "Upload-Checksum": f"sha256 {base64.b64encode(hashlib.sha256(part).digest()).decode()}",
    }
    call = Call("PATCH", location, headers=headers, content=part)
    try:
        answer: httpx.Response = yield call
    except httpx.TransportError as error:
        return unreachable(error)
    if answer.is_success:
        return int(answer.headers["Upload-Offset"])
    refused = refusal(answer)
    if answer.status_code in _TRY_AGAIN:
        return refused
    raise refused


def _offset(location: str) -> Flow[int]:
    answer = yield from answered(Call("HEAD", location, headers=_TUS))
    return int(answer.headers["Upload-Offset"])


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(PART_BYTES)


class _Note:
    """Where the upload of some bytes to some service goes on."""

    def __init__(self, server: str, digest: str) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        name = hashlib.sha256(f"{server}\n{digest}".encode()).hexdigest()
        self._path = cache / "interlayer" / "uploads" / name

    def read(self) -> str | None:
        """Return the address, if one was noted."""
        try:
            return self._path.read_text() or None
        except OSError:
            return None

    def write(self, location: str) -> None:
        """Note the address. Where that is not possible, a new process starts over, which is no reason to fail."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.write_text(location)
        except OSError:
            pass

    def forget(self) -> None:
        """Remove the note."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            pass
