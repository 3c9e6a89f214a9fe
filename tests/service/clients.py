"""Clients that speak to a service process byte by byte, or upload to it part by part."""

import contextlib
import hashlib
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.service.process import Process, service_process
from tests.service.running import npz_bytes

GOOD = npz_bytes(5)
MEGABYTE = 2**20
MAX_ARTIFACT_BYTES, MAX_REQUEST_BYTES = 24 * MEGABYTE, MEGABYTE
TUS = {"Tus_Resumable": "1.0.0"}
PART = TUS | {"Content_Type": "application/offset+octet-stream"}


@contextlib.contextmanager
def impatient_service(folder: Path) -> Iterator[Process]:
    """A service of little patience, warm after some good requests."""
    limits = {
        "header_seconds": 1.0,
        "slow_body_seconds": 4.0,
        "slow_body_bytes_per_second": 2000,
        "max_artifact_bytes": MAX_ARTIFACT_BYTES,
        "max_request_bytes": MAX_REQUEST_BYTES,
        "max_tenant_bytes": 40 * MEGABYTE,
        "max_failures_per_minute": 1000,
        "max_connections": 2100,
    }
    with service_process(folder / "data", **limits) as running:
        for seed in range(3):
            running.serve_well(seed)
        finish(running, begin(running, GOOD), GOOD)  # so that its file is there before and after
        yield running


def connect(process: Process) -> socket.socket:
    address = urlsplit(process.url)
    return socket.create_connection((address.hostname, address.port), timeout=60)


def head(process: Process, method: str, path: str, *lines: str) -> bytes:
    first = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {process.key}", *lines]
    return ("\r\n".join(first) + "\r\n\r\n").encode()


def answer_on(connection: socket.socket) -> tuple[int, str]:
    """Return the status and the code of the problem that ends a connection."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            found += piece
    top, _, body = found.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(body)["code"]


def vanish(connection: socket.socket) -> None:
    """Break a connection off without a farewell, as a client that was killed does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def begin(process: Process, content: bytes, **headers: str) -> str:
    answer = process.send("POST", "/v1/uploads", Upload_Length=str(len(content)), **TUS, **headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def finish(process: Process, path: str, content: bytes, offset: int = 0) -> None:
    answer = process.send("PATCH", path, content[offset:], Upload_Offset=str(offset), **PART)
    assert answer.headers["Interlayer-Artifact"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


def eventually(happened: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.02)
