"""What the tus 1.0.0 protocol asks of every answer, and its headers as values."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from email.utils import formatdate

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.schemas import Problem, ProblemError
from service.errors import problem_response

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
MEDIA_TYPE = "application/offset+octet-stream"
# SHA-1 is what the protocol demands of every server; here it guards against accidents only.
CHECKSUMS: dict[str, Callable[[], "hashlib._Hash"]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
}
_MOST_METADATA = 8192
_OVERRIDES = frozenset({"PATCH", "DELETE", "HEAD"})
_PATH = re.compile(r"/v1/uploads(/.*)?")


class Tus:
    """Speaks the protocol's version on every request to an upload, and obeys its `X-HTTP-Method-Override`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not _PATH.fullmatch(scope["path"]):
            return await self._app(scope, receive, send)

        async def send_versioned(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        headers = Headers(scope=scope)
        override = headers.get("x-http-method-override", "").upper()
        if scope["method"] == "POST" and override in _OVERRIDES:
            scope = {**scope, "method": override}
        if scope["method"] != "OPTIONS" and headers.get("tus-resumable") != VERSION:
            problem = Problem.of("tus_version_unsupported", f"send the header `Tus-Resumable: {VERSION}`")
            return await problem_response(problem, {"Tus-Version": VERSION})(scope, receive, send_versioned)
        return await self._app(scope, receive, send_versioned)


def size_in(headers: Headers, name: str) -> int:
    """Return the size or position that a header holds."""
    value = headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise ProblemError("invalid_upload", f"send the header `{name}` with a number of bytes")
    return int(value)


def metadata_of(description: str) -> dict[str, bytes]:
    """Return what `Upload-Metadata` says. Its values are data for people, never paths."""
    found: dict[str, bytes] = {}
    if len(description) > _MOST_METADATA:
        raise ProblemError("invalid_upload", f"Upload-Metadata may have {_MOST_METADATA} characters")
    for item in filter(None, (part.strip() for part in description.split(","))):
        name, _, value = item.partition(" ")
        try:
            if name in found:
                raise ValueError("a name comes twice")
            found[name] = base64.b64decode(value, validate=True)
        except ValueError as error:
            raise ProblemError(
                "invalid_upload", "Upload-Metadata is a list of names, each once and followed by its value in base64"
            ) from error
    return found


def filename_in(description: str) -> str:
    """Return the name of the file, for people to read."""
    return metadata_of(description).get("filename", b"").decode(errors="replace")


def sha256_in(metadata: dict[str, bytes]) -> str | None:
    """Return the SHA-256 that the whole file should have."""
    value = metadata.get("sha256")
    if value is None:
        return None
    if not re.fullmatch(rb"[0-9a-fA-F]{64}", value):
        raise ProblemError("invalid_upload", "`sha256` in Upload-Metadata must be 64 hexadecimal digits")
    return value.decode().lower()


class Checksum:
    """The digest of one request's bytes, and what it should be."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self._algorithm, self._expected, self._digest = algorithm, expected, CHECKSUMS[algorithm]()

    @classmethod
    def of(cls, headers: Headers) -> "Checksum | None":
        """Return what `Upload-Checksum` asks for."""
        header = headers.get("upload-checksum")
        if header is None:
            return None
        name, _, value = header.partition(" ")
        if name not in CHECKSUMS:
            raise ProblemError("invalid_upload", f"Upload-Checksum may use {' or '.join(CHECKSUMS)}")
        try:
            return cls(name, base64.b64decode(value, validate=True))
        except binascii.Error as error:
            raise ProblemError("invalid_upload", f"Upload-Checksum must be `{name} BASE64`") from error

    def update(self, block: bytes) -> None:
        """Take in bytes."""
        self._digest.update(block)

    def require(self) -> None:
        """Refuse the request where its bytes are not the promised ones."""
        if self._digest.digest() != self._expected:
            raise ProblemError("chunk_checksum_mismatch", f"the {self._algorithm} differs; send these bytes again")


def http_date(seconds: float) -> str:
    """Return a time as HTTP writes it."""
    return formatdate(seconds, usegmt=True)
