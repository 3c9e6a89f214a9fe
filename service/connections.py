"""Connections that are slow, silent, many, or not HTTP are closed by the service itself, whatever stands before it.

uvicorn bounds only how long an idle connection is kept after an answer.
"""

import socket
from asyncio import BaseTransport, BufferedProtocol, TimerHandle
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from contract.schemas import Problem
from contract.settings import Settings
from service.errors import MEDIA_TYPE

if TYPE_CHECKING:
    from asyncio import Transport

    from starlette.types import ASGIApp
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_MOST_HEADER_BYTES = 65_536
_READ_BYTES = 2**20  # at a time, if so much has come
_LINGER_SECONDS = 5.0  # for a client to read an answer that came before it had sent everything,
_LINGER_BYTES = 64 * 2**20  # and so much is thrown away meanwhile
_VANISHED_SECONDS = 60


class WatchedConnection(HttpToolsProtocol):
    """One connection, with a deadline for headers, a least rate for bodies, and a bound on how many there are.

    Every request passes through three phases: its headers come, its body comes, it is answered.
    """

    settings: Settings  # of the subclass that `configuration` makes

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin to watch."""
        super().connection_made(cast("Transport", transport))
        self._in_headers, self._in_body = True, False
        self._thrown_away: int | None = None  # bytes of a body whose answer is out, if there is such a one
        self._header_bytes = self._body_bytes = self._judged_bytes = 0
        self._watch: TimerHandle | None = None
        _configure(transport.get_extra_info("socket"))
        if len(self.connections) > self.settings.max_connections:
            self._refuse("too_many_connections", "the service has too many clients; try again in a moment")
        else:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch."""
        self._stop_watch()
        super().connection_lost(exc)

    def data_received(self, data: bytes | memoryview) -> None:
        """Take in bytes, which whoever calls may overwrite afterwards."""
        if self.transport.is_closing():
            return
        if self._in_headers:
            self._header_bytes += len(data)
        if self._thrown_away is not None:
            self._thrown_away += len(data)
            if self._thrown_away > _LINGER_BYTES:
                self.transport.close()
                return
        super().data_received(cast("bytes", data))  # the parser takes either, and copies what it keeps
        if self._in_headers and self._header_bytes > _MOST_HEADER_BYTES:
            self._refuse("headers_too_large", f"the headers may have {_MOST_HEADER_BYTES} bytes")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        if not self._in_headers:
            self._in_headers, self._header_bytes = True, 0
            self._await_headers()

    def on_headers_complete(self) -> None:
        """Begin the body of a request."""
        self._in_headers, self._in_body = False, True
        self._body_bytes = self._judged_bytes = 0
        self._watch_for(self.settings.slow_body_seconds, self._judge_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a piece of a body."""
        self._body_bytes += len(body)
        if not self.cycle.body:
            self.cycle.body = cast("bytearray", _Pieces())
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body of a request."""
        self._in_body, self._thrown_away = False, None
        self._stop_watch()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer; one that came early gives the client a moment to notice."""
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            self._thrown_away = 0
            self._watch_for(_LINGER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse("invalid_http", f"the request cannot be read: {msg}")

    def _await_headers(self) -> None:
        def too_late() -> None:
            self._refuse("request_timeout", f"the headers took longer than {self.settings.header_seconds:g} s")

        self._watch_for(self.settings.header_seconds, too_late)

    def _judge_body(self) -> None:
        seconds = self.settings.slow_body_seconds
        came, self._judged_bytes = self._body_bytes - self._judged_bytes, self._body_bytes
        # While reading is paused it is we who are slow.
        if self.flow.read_paused or came >= seconds * self.settings.slow_body_bytes_per_second:
            self._watch_for(seconds, self._judge_body)
        else:
            self._refuse("request_timeout", f"{came} bytes of the body came in {seconds:g} s; send it quicker")

    def _watch_for(self, seconds: float, then: Any) -> None:
        self._stop_watch()
        self._watch = self.loop.call_later(seconds, then)

    def _stop_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _refuse(self, code: str, detail: str) -> None:
        """Answer with a problem, if nothing has been answered yet, and close."""
        self._stop_watch()
        if self.transport.is_closing():
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is None or cycle.response_complete or not cycle.response_started:
            problem = Problem.of(code, detail)
            body = problem.to_bytes()
            head = (
                f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()


class _Reader(BufferedProtocol):
    """Reads for a connection into one buffer of the server: much at a time, and copied once less than into `bytes`."""

    connection: type[WatchedConnection]
    buffer: bytearray  # of the subclasses that `configuration` makes; one event loop reads one connection at a time

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._connection = self.connection(*arguments, **named)

    def connection_made(self, transport: BaseTransport) -> None:
        self._connection.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - the loop's guess
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.data_received(memoryview(self.buffer)[:nbytes])

    def eof_received(self) -> None:
        self._connection.eof_received()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


class _Pieces:
    """What has come of a body and was not asked for yet: a `bytearray` would copy it when it comes and when it goes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    def __iadd__(self, piece: bytes) -> Self:
        self._pieces.append(piece)
        self._length += len(piece)
        return self

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


def _configure(connection: socket.socket) -> None:
    """Set what a TCP connection needs; one by a Unix socket has no use for it."""
    with suppress(OSError):
        # uvicorn takes an inherited socket for a Unix one, so the event loop leaves this out. Without it the second
        # half of an answer waits 40 ms for the client's acknowledgement of the first.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; a client that acknowledges nothing has vanished
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _VANISHED_SECONDS * 1000)


def configuration(app: "ASGIApp", settings: Settings, **more: Any) -> Config:
    """Return how uvicorn serves the application; `more` says where it listens."""
    watched = type("Connection", (WatchedConnection,), {"settings": settings})
    reader = type("Reader", (_Reader,), {"connection": watched, "buffer": bytearray(_READ_BYTES)})
    return Config(
        app,
        http=reader,  # uvicorn only calls it, and the event loop takes either kind of protocol
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        **more,
    )
