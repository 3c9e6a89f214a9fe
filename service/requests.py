"""What is done with every request: it gets an id, it is counted, and a change that somebody made is written down."""

import re
import secrets
import time
from typing import Any

import structlog
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.audit_log import Deed
from contract.keys import Caller

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_NO_ROUTE = "(none)"
log = structlog.get_logger()


class Requests:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        asked = Headers(scope=scope).get("x-request-id", "")
        request_id = asked if _SANE_ID.fullmatch(asked) else secrets.token_hex(8)
        scope.setdefault("state", {})
        begun, received = time.perf_counter(), 0

        async def counting() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                scope["app"].state.stores.metrics.answered(
                    scope["method"], _route(scope), message["status"], time.perf_counter() - begun, received
                )
                await _write_down(scope, message["status"], headers)
            await send(message)

        scope["state"]["request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request=request_id):
            try:
                return await self._app(scope, counting, answering)
            except Exception:  # answered by the framework, around all of this
                seconds = time.perf_counter() - begun
                scope["app"].state.stores.metrics.answered(scope["method"], _route(scope), 500, seconds, received)
                raise


def _route(scope: Scope) -> str:
    """Return the pattern of the path: a label with ids in it would have no end of values."""
    return getattr(scope.get("route"), "path", _NO_ROUTE)


def deed(scope: Scope, caller: Caller, place: str, status: int) -> Deed:
    """Return what the audit log is told of a request."""
    route: Any = scope.get("route")
    return Deed(
        caller.tenant,
        caller.key_id,
        action=str(getattr(route, "operation_id", None) or getattr(route, "name", _NO_ROUTE)),
        object=place[:400],
        outcome=status,
        request_id=scope["state"]["request_id"],
    )


async def _write_down(scope: Scope, status: int, headers: MutableHeaders) -> None:
    """Note a change in the audit log, before the answer is sent, unless the route has."""
    caller: Caller | None = scope["state"].get("caller")
    part = scope["method"] == "PATCH" and status == 204 and "interlayer-artifact" not in headers  # of an upload
    if caller is None or scope["method"] in _READING or part or scope["state"].get("written_down"):
        return
    done = deed(scope, caller, headers.get("location", scope["path"]), status)
    try:
        await run_sync(scope["app"].state.stores.audit_log.add, done)
    except SQLAlchemyError as error:  # what was done is done; the log of the process keeps what the table missed
        log.error("not in the audit log", **vars(done), error=str(error))
