"""Conditional requests (RFC 9110, section 13): who has a representation already is told so instead of sent it again."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
# What describes the content that is not sent.
_OF_CONTENT = (b"content-type", b"content-length", b"content-disposition")


class Conditional:
    """Answers a GET whose `If-None-Match` names the ETag of the answer with 304."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        known = Headers(scope=scope).get("if-none-match") if scope["type"] == "http" else None
        if known is None or scope["method"] not in ("GET", "HEAD"):
            return await self._app(scope, receive, send)
        unchanged = False

        async def answering(message: Message) -> None:
            nonlocal unchanged
            if message["type"] == "http.response.start" and message["status"] == 200:
                unchanged = _names(known, Headers(raw=message["headers"]).get("etag"))
                if unchanged:
                    kept = [each for each in message["headers"] if each[0].lower() not in _OF_CONTENT]
                    message = {**message, "status": 304, "headers": kept}
            elif unchanged:
                message = {**message, "body": b""}
            await send(message)

        return await self._app(scope, receive, answering)


def _names(known: str, etag: str | None) -> bool:
    """Compare weakly: for what is only read, that is what counts."""
    return etag is not None and (known.strip() == "*" or etag.removeprefix("W/").strip('"') in _TAG.findall(known))
