"""Slow, silent, many and broken clients, against a service with short deadlines."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from contract.settings import Settings
from service.connections import _Pieces
from tests.service.running import Caller, Service, npz_bytes, serving
from tests.service.test_artifacts import stored_files

GOOD = npz_bytes(3)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits half a second for headers and for the next thousand bytes of a body."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("impatient"),
        free_disk_reserve_bytes=0,
        header_seconds=0.5,
        slow_body_seconds=0.5,
        slow_body_bytes_per_second=2000,
        max_artifact_bytes=500_000,
    )
    with serving(settings) as running:
        yield running


def connect(service: Service) -> socket.socket:
    address = urlsplit(service.url)
    return socket.create_connection((address.hostname, address.port), timeout=60)


def everything(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            found += piece
    return found


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return int(head.split()[1]), json.loads(body)["code"]


def put(caller: Caller, *lines: str) -> bytes:
    head = ["PUT /v1/artifacts HTTP/1.1", "Host: x", f"Authorization: Bearer {caller.key}", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: "], ids=repr)
def test_headers_that_do_not_come_end_the_connection(impatient: Service, sent: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(sent)
        assert problem(everything(connection)) == (408, "request_timeout")


def test_headers_that_come_byte_by_byte_do_not_put_the_deadline_off(impatient: Service) -> None:
    with connect(impatient) as connection:
        connection.setblocking(False)
        with contextlib.suppress(ConnectionError):
            for byte in b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 10_000:
                connection.send(bytes([byte]))
                time.sleep(0.05)
                with contextlib.suppress(BlockingIOError):
                    answer = connection.recv(4096)
                    break
        assert problem(answer) == (408, "request_timeout")


def test_the_deadline_holds_for_later_requests_of_a_connection(impatient: Service) -> None:
    with connect(impatient) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in connection.recv(4096)
        connection.sendall(b"GET /healthz HT")
        assert b"408 The request came too slowly" in everything(connection)


def test_a_body_that_stops_ends_the_connection_and_leaves_nothing(impatient: Service) -> None:
    caller = impatient.caller()
    with connect(impatient) as connection:
        connection.sendall(put(caller, "Content-Length: 400000") + GOOD[:5000])
        assert problem(everything(connection)) == (408, "request_timeout")
    while impatient.temporary_files():
        time.sleep(0.01)
    assert stored_files(impatient, caller.tenant) == []
    assert caller.put(GOOD).status_code == 201


def test_a_body_that_is_quick_enough_may_take_its_time(impatient: Service) -> None:
    caller = impatient.caller()

    def unhurried() -> Iterator[bytes]:
        for start in range(0, len(GOOD), 4000):
            yield GOOD[start : start + 4000]
            time.sleep(0.1)

    assert caller.put(unhurried()).status_code == 201


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\x00b: c\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
    ids=["TLS", "negative length", "two lengths", "huge length", "NUL", "no HTTP"],
)
def test_what_is_not_http_is_refused(impatient: Service, request_bytes: bytes) -> None:
    with connect(impatient) as connection:
        connection.sendall(request_bytes)
        assert problem(everything(connection)) == (400, "invalid_http")


def test_a_body_longer_than_its_length_is_two_requests_of_which_one_is_none(impatient: Service) -> None:
    caller = impatient.caller()
    with connect(impatient) as connection:
        connection.sendall(put(caller, f"Content-Length: {len(GOOD) - 10}") + GOOD)
        assert b"400 This is not HTTP/1.1" in everything(connection)


def test_endless_headers_are_refused(impatient: Service) -> None:
    with connect(impatient) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 10_000_000)
        answer = everything(connection)
        assert not answer or problem(answer) == (431, "headers_too_large")
    assert httpx.get(f"{impatient.url}/healthz").status_code == 200


def test_an_endless_body_is_not_read_after_its_refusal(impatient: Service) -> None:
    caller = impatient.caller()

    def send_for_ever(connection: socket.socket) -> None:
        connection.sendall(put(caller, "Transfer-Encoding: chunked"))
        while True:
            connection.sendall(b"10000\r\n" + b"P" * 65_536 + b"\r\n")

    with connect(impatient) as connection, pytest.raises(ConnectionError):
        send_for_ever(connection)
    assert caller.put(GOOD).status_code == 201


def test_two_thousand_silent_connections_hinder_nobody(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", free_disk_reserve_bytes=0, max_connections=2100)
    with serving(settings) as service, contextlib.ExitStack() as stack:
        caller = service.caller()
        silent = [stack.enter_context(connect(service)) for _ in range(2000)]
        assert caller.put(GOOD).status_code == 201
        assert silent[0].fileno() > 0
        more = [stack.enter_context(connect(service)) for _ in range(150)]
        assert problem(everything(more[-1])) == (503, "too_many_connections")


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"a", b"", b"bc"]])
def test_what_has_come_of_a_body_is_given_on_whole_and_one_piece_as_it_is(pieces: list[bytes]) -> None:
    body, expected = _Pieces(), bytearray()
    for piece in pieces:
        body += piece
        expected += piece
    assert len(body) == len(expected)
    assert bool(body) == bool(expected)
    assert bytes(body) == bytes(expected)
    assert len(pieces) != 1 or bytes(body) is pieces[0], "copied"
