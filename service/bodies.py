"""Bounds on request bodies, before anything parses them."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.schemas import Problem, ProblemError
from service.errors import problem_response

# Their routes count the bytes themselves, with `counted`.
_STREAMED_PATHS = re.compile(r"/v1/(artifacts|reports|uploads(/[^/]*)?)|/files")


class SmallBodies:
    """Reads a body that is not streamed, up to a limit, before the application sees it."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or _STREAMED_PATHS.fullmatch(scope["path"]):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        body, more = b"", scope["method"] not in ("GET", "HEAD", "DELETE", "OPTIONS")
        problem = self._refuse(headers)
        while more and problem is None:
            message = await receive()
            if message["type"] != "http.request":
                return None  # the client left
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                problem = self._too_large()
        if problem is None and body and "json" in headers.get("content-type", "").lower():
            problem = _unreadable(body)
        if problem is not None:
            return await problem_response(problem)(scope, receive, send)
        return await self._app(scope, _replay(body, receive), send)

    def _refuse(self, headers: Headers) -> Problem | None:
        if headers.get("content-encoding", "identity") != "identity":
            return Problem.of("unsupported_media_type", "send the body without Content-Encoding")
        length = headers.get("content-length", "0")
        return self._too_large() if length.isdigit() and int(length) > self._limit else None

    def _too_large(self) -> Problem:
        return Problem.of("request_too_large", f"the body is larger than {self._limit} bytes")


def _unreadable(body: bytes) -> Problem | None:
    """Refuse what is not JSON, or what two readers would understand differently."""
    try:
        found = json.loads(body, object_pairs_hook=_distinct, parse_constant=_refuse_constant)
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair cannot be written down again
    except (ValueError, RecursionError) as error:
        return Problem.of("invalid_json", f"the body must be one JSON document in UTF-8: {error}")
    return None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"an object names {name[:80]!r} twice")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def counted(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Stream a body; refuse it as soon as it is known to be larger than `limit` bytes."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError("unsupported_media_type", "send the file itself, without Content-Encoding")
    if int(request.headers.get("content-length", 0)) > limit:
        raise _too_many(limit)
    return _counted(request, limit)


async def _counted(request: Request, limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_many(limit)
        yield chunk


def _too_many(limit: int) -> ProblemError:
    return ProblemError("artifact_too_large", f"the file is larger than {limit} bytes; record fewer rows or layers")
