"""A small HTTP proxy in front of a store, which does to requests and answers what a test says."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["refuse", "forbid", "slow", "reset", "corrupt", "corrupt request", "hang"]
Rule = Callable[[str, str], Fault | None]
_SLOW_SECONDS = 0.3


@dataclass(frozen=True)
class Seen:
    """One request, and what was done to it."""

    method: str
    path: str
    fault: Fault | None


class FaultyProxy:
    """Passes on what comes, save what `rule`, asked with method and path, says of it."""

    def __init__(self, upstream: int) -> None:
        self.rule: Rule = lambda _method, _path: None
        self.seen: list[Seen] = []
        self.released = threading.Event()  # ends what hangs
        proxy = self

        class Handler(_Handler):
            faulty, upstream_port = proxy, upstream

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def first(self, count: int, fault: Fault, method: str = "") -> None:
        """Do something to the first requests (of a method), and let the others pass."""
        lock, left = threading.Lock(), [count]

        def rule(found: str, _path: str) -> Fault | None:
            with lock:
                if left[0] and method in ("", found):
                    left[0] -= 1
                    return fault
            return None

        self.rule = rule

    def always(self, fault: Fault, method: str = "") -> None:
        """Do something to every request (of a method)."""
        self.rule = lambda found, _path: fault if method in ("", found) else None

    def heal(self) -> None:
        """Let everything pass."""
        self.rule = lambda _method, _path: None
        self.released.set()

    def close(self) -> None:
        self.heal()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faulty: FaultyProxy
    upstream_port: int

    def _pass(self) -> None:
        fault = self.faulty.rule(self.command, self.path)
        self.faulty.seen.append(Seen(self.command, self.path, fault))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "hang":
            self.faulty.released.wait()
        if fault == "slow":
            time.sleep(_SLOW_SECONDS)
        if fault in ("refuse", "forbid"):
            return self._answer(503 if fault == "refuse" else 403, [], b"")
        if fault == "corrupt request" and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=60)
        try:
            # The signature covers the host that the client spoke to.
            connection.request(self.command, self.path, body, dict(self.headers))
            found = connection.getresponse()
            content = found.read()
        finally:
            connection.close()
        if fault == "corrupt" and content:
            content = bytes([content[0] ^ 1]) + content[1:]
        dropped = ("transfer-encoding", "connection", "content-length")
        headers = [(name, value) for name, value in found.getheaders() if name.lower() not in dropped]
        length = found.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        headers.append(("Content-Length", length or "0"))
        return self._answer(found.status, headers, content, torn=fault == "reset")

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, torn: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers or [("Content-Length", "0")]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if torn else content)
        if torn:
            self.wfile.flush()
            linger = struct.pack("ii", 1, 0)  # a reset, not an orderly end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # every method
            return self._pass
        raise AttributeError(name)

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ValueError, OSError):
            return  # the client left

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
