"""Clients that are slow, vanish, lie or guess cost the service little, leave nothing, and hinder nobody after them."""

import contextlib
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from contract.database import Database
from contract.keys import Keys
from contract.settings import Settings
from tests.service.clients import (
    GOOD,
    MAX_ARTIFACT_BYTES,
    MAX_REQUEST_BYTES,
    MEGABYTE,
    answer_on,
    connect,
    eventually,
    head,
    impatient_service,
    vanish,
)
from tests.service.process import Process
from tests.service.running import problem_of

THROWN_AWAY = 72 * MEGABYTE  # what a connection may go on to send after its answer, and something for other reads


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with impatient_service(tmp_path_factory.mktemp("clients")) as running:
        yield running


def endless(process: Process, path: str, method: str, media_type: str) -> None:
    """Send a body in chunks for as long as the service takes it."""
    lines = "Transfer-Encoding: chunked", f"Content-Type: {media_type}"

    def send_for_ever(connection: socket.socket) -> None:
        connection.sendall(head(process, method, path, *lines))
        while True:
            connection.sendall(b"10000\r\n" + b"PK\x03\x04".ljust(65_536, b" ") + b"\r\n")

    with connect(process) as connection, pytest.raises(ConnectionError):
        send_for_ever(connection)


class TestConnections:
    def test_an_endless_file_is_read_up_to_the_limit(self, process: Process) -> None:
        with process.little_cost(cpu_seconds=5.0, read=MAX_ARTIFACT_BYTES + THROWN_AWAY):
            endless(process, "/v1/artifacts", "PUT", "application/octet-stream")

    def test_endless_json_is_read_up_to_the_limit(self, process: Process) -> None:
        with process.little_cost(read=MAX_REQUEST_BYTES + THROWN_AWAY):
            endless(process, "/v1/analyses", "POST", "application/json")

    @pytest.mark.parametrize(
        "path", ["/v1/artifacts", "/v1/reports", "/v1/analyses"], ids=lambda path: path.rpartition("/")[2]
    )
    def test_clients_that_vanish_in_a_body(self, process: Process, path: str) -> None:
        method, media_type = ("PUT", "octet-stream") if path == "/v1/artifacts" else ("POST", "json")
        lines = f"Content-Type: application/{media_type}", "Content-Length: 400000"
        with process.little_cost():
            for _ in range(50):
                connection = connect(process)
                connection.sendall(head(process, method, path, *lines) + GOOD[:5000])
                vanish(connection)

    def test_clients_that_vanish_in_a_form(self, process: Process) -> None:
        start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + GOOD
        lines = "Content-Type: multipart/form-data; boundary=x", "Content-Length: 400000"
        with process.little_cost():
            for _ in range(20):
                connection = connect(process)
                connection.sendall(head(process, "POST", "/v1/artifacts", *lines) + start)
                vanish(connection)

    @pytest.mark.parametrize("how", ["poll", "submit", "events"])
    def test_nobody_waits_for_an_analysis_on_behalf_of_clients_that_have_vanished(
        self, process: Process, how: str
    ) -> None:
        artifact = process.send("PUT", "/v1/artifacts", GOOD).json()["id"]
        body = json.dumps({"inputs": [{"artifact": artifact}]}).encode()
        typed = {"Content_Type": "application/json"}
        job = process.send("POST", "/v1/analyses", body, **typed).json()["id"]
        if how == "submit":
            lines = "Prefer: wait=60", "Idempotency-Key: once", "Content-Type: application/json"
            route, request = (
                "/v1/analyses",
                head(process, "POST", "/v1/analyses", *lines, f"Content-Length: {len(body)}"),
            )
        elif how == "poll":
            route, request = "/v1/analyses/{analysis_id}", head(process, "GET", f"/v1/analyses/{job}?wait=60")
        else:
            route, request = "/v1/analyses/{analysis_id}/events", head(process, "GET", f"/v1/analyses/{job}/events")
        before = answered(process, route)
        with process.little_cost():
            for _ in range(20):
                connection = connect(process)
                connection.sendall(request + (body if how == "submit" else b""))
                if how == "events":
                    assert connection.recv(15) == b"HTTP/1.1 200 OK"
                vanish(connection)
            # Half the time that was asked for: until then, whoever waits on has not answered.
            eventually(lambda: answered(process, route) >= before + 20, "the requests to end", seconds=30)
        for item in process.send("GET", "/v1/analyses?status=queued").json()["items"]:
            process.send("POST", f"/v1/analyses/{item['id']}/cancel").raise_for_status()

    @pytest.mark.parametrize(
        "lines",
        [
            ["Content-Length: -1"],
            ["Content-Length: 5", "Transfer-Encoding: chunked"],
            ["Content-Length: 99999999999999999999999"],
            ["A\x00b: c"],
        ],
        ids=["negative length", "two lengths", "huge length", "NUL"],
    )
    def test_what_is_not_http(self, process: Process, lines: list[str]) -> None:
        with process.little_cost():
            for _ in range(20):
                with connect(process) as connection:
                    connection.sendall(head(process, "PUT", "/v1/artifacts", *lines) + GOOD[:100])
                    assert answer_on(connection) == (400, "invalid_http")

    def test_a_body_longer_than_its_length(self, process: Process) -> None:
        with process.little_cost(), connect(process) as connection:
            lines = "Content-Type: application/json", "Content-Length: 2"
            connection.sendall(head(process, "POST", "/v1/analyses", *lines) + b"{}" + b"x" * 100_000)
            while connection.recv(65_536):
                pass

    def test_headers_that_do_not_come(self, process: Process) -> None:
        with process.little_cost(), contextlib.ExitStack() as stack:
            many = [stack.enter_context(connect(process)) for _ in range(200)]
            for connection in many:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: ")
            assert {answer_on(connection) for connection in many} == {(408, "request_timeout")}

    def test_endless_headers(self, process: Process) -> None:
        with process.little_cost(read=8 * MEGABYTE):
            for _ in range(10):
                with connect(process) as connection, contextlib.suppress(ConnectionError):
                    connection.sendall(b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 10_000_000)

    @pytest.mark.parametrize("path", ["/v1/artifacts", "/v1/analyses"], ids=["file", "JSON"])
    def test_bodies_that_stop(self, process: Process, path: str) -> None:
        method, media_type = ("PUT", "octet-stream") if path == "/v1/artifacts" else ("POST", "json")
        lines = f"Content-Type: application/{media_type}", "Content-Length: 400000"
        with process.little_cost(), contextlib.ExitStack() as stack:
            many = [stack.enter_context(connect(process)) for _ in range(50)]
            for connection in many:
                connection.sendall(head(process, method, path, *lines) + GOOD[:5000])
            assert {answer_on(connection) for connection in many} == {(408, "request_timeout")}

    def test_two_thousand_silent_connections(self, process: Process) -> None:
        with process.little_cost(memory=64 * MEGABYTE, cpu_seconds=10.0), contextlib.ExitStack() as stack:
            for _ in range(2000):
                stack.enter_context(connect(process))
            process.serve_well()


class TestKeys:
    @pytest.mark.parametrize("what", ["none", "malformed", "wrong", "huge", "expired", "revoked", "without the scope"])
    def test_keys_that_open_nothing(self, process: Process, what: str) -> None:
        database = Database(Settings(data_dir=process.data))
        keys = Keys(database)
        key = keys.create("a", "other", ["read"], expires_at=1.0 if what == "expired" else None)
        if what == "revoked":
            keys.delete("a", key.id)
        database.close()
        status, code = (403, "insufficient_scope") if what == "without the scope" else (401, "unauthorized")
        other = {"none": "", "malformed": "il_x", "wrong": key.key[:-9] + "0" * 9, "huge": "il_" + "a" * 60_000}
        bearer = {"Authorization": f"Bearer {other.get(what, key.key)}"} if what != "none" else {}
        with process.little_cost(read=4 * MEGABYTE), httpx.Client(base_url=process.url, timeout=120) as client:
            for _ in range(20):
                answer = client.post(
                    "/v1/analyses", content=b"{}", headers={"Content-Type": "application/json", **bearer}
                )
                assert problem_of(answer) == (status, code)
                assert ("WWW-Authenticate" in answer.headers) == (status == 401)
                assert key.key not in answer.text

    def test_a_file_is_read_once_at_most_for_a_key_that_opens_nothing(self, process: Process) -> None:
        lines = f"Content-Length: {MAX_ARTIFACT_BYTES}", "Authorization: Bearer il_x"
        start = "\r\n".join(["PUT /v1/artifacts HTTP/1.1", "Host: x", *lines]) + "\r\n\r\n"
        # How much of it depends on who is quicker; what the process reads for itself comes on top.
        with process.little_cost(read=4 * MAX_ARTIFACT_BYTES):
            for _ in range(3):
                with connect(process) as connection:
                    connection.sendall(start.encode() + bytes(MAX_ARTIFACT_BYTES - 100))
                    assert connection.recv(12) == b"HTTP/1.1 401"

    def test_guesses_of_very_many_keys_take_no_memory(self, process: Process) -> None:
        with (
            process.little_cost(memory=16 * MEGABYTE, cpu_seconds=10.0),
            httpx.Client(base_url=process.url, timeout=120) as client,
        ):
            seen: set[int] = set()
            for number in range(500):
                bearer = {"Authorization": f"Bearer il_{number:016x}_{'x' * 51}"}
                seen.add(client.get("/v1/analyses", headers=bearer).status_code)
            assert 401 in seen
            assert seen <= {401, 429}, "as quick as the guesses come"


def answered(process: Process, route: str) -> float:
    """Return how many requests to a route the service has answered."""
    database = Database(Settings(data_dir=process.data))
    key = Keys(database).create("operator", "metrics", ["admin"])
    database.close()
    text = httpx.get(f"{process.url}/metrics", headers={"Authorization": f"Bearer {key.key}"}, timeout=120).text
    lines = [
        line
        for line in text.splitlines()
        if line.startswith("interlayer_http_requests_total{") and f'"{route}"' in line
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
