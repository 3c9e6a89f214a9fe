"""Clients that are slow, vanish, lie or guess cost the service little, leave nothing, and hinder nobody after them."""

import base64
import contextlib
import hashlib
import json
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from contract.database import Database
from contract.keys import Keys
from contract.settings import Settings
from tests.service.process import Process, service_process
from tests.service.running import npz_bytes

GOOD = npz_bytes(5)
SHA256 = hashlib.sha256(GOOD).hexdigest()
MEGABYTE = 2**20
MAX_ARTIFACT_BYTES, MAX_REQUEST_BYTES, MAX_FILE_BYTES = 24 * MEGABYTE, MEGABYTE, 12 * MEGABYTE
THROWN_AWAY = 72 * MEGABYTE  # what a connection may go on to send after its answer, and something for other reads
_TUS = {"Tus_Resumable": "1.0.0"}
_PART = _TUS | {"Content_Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
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
    with service_process(tmp_path_factory.mktemp("clients") / "data", **limits) as running:
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


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def begin(process: Process, content: bytes, **headers: str) -> str:
    answer = process.send("POST", "/v1/uploads", Upload_Length=str(len(content)), **_TUS, **headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def finish(process: Process, path: str, content: bytes, offset: int = 0) -> None:
    answer = process.send("PATCH", path, content[offset:], Upload_Offset=str(offset), **_PART)
    assert answer.headers["Interlayer-Artifact"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


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


class TestUploads:
    def test_parts_elsewhere_than_the_upload_stands(self, process: Process) -> None:
        path = begin(process, GOOD)
        with process.little_cost():
            for offset in ("1", str(len(GOOD)), "9" * 18):
                answer = process.send("PATCH", path, GOOD[:100], Upload_Offset=offset, **_PART)
                assert (*problem(answer), answer.headers["Upload-Offset"]) == (409, "offset_conflict", "0")
        finish(process, path, GOOD)

    def test_a_part_whose_checksum_differs(self, process: Process) -> None:
        content = b"PK\x03\x04" + bytes(8 * MEGABYTE)
        path = begin(process, content)
        wrong = "sha256 " + base64.b64encode(hashlib.sha256(b"").digest()).decode()
        with process.little_cost():
            answer = process.send("PATCH", path, content, Upload_Offset="0", Upload_Checksum=wrong, **_PART)
            assert problem(answer) == (460, "chunk_checksum_mismatch")
            assert process.offset(process.url + path) == 0
        assert process.send("DELETE", path, **_TUS).status_code == 204

    @pytest.mark.parametrize("way", ["PUT", "tus"])
    def test_a_file_whose_digest_differs(self, process: Process, way: str) -> None:
        content = b"PK\x03\x04" + bytes(8 * MEGABYTE)
        with process.little_cost():
            if way == "PUT":
                digest = "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"
                answer = process.send("PUT", "/v1/artifacts", content, Repr_Digest=digest)
            else:
                path = begin(process, content, Upload_Metadata="sha256 " + base64.b64encode(b"0" * 64).decode())
                answer = process.send("PATCH", path, content, Upload_Offset="0", **_PART)
            assert problem(answer) == (422, "checksum_mismatch")

    def test_more_than_was_announced(self, process: Process) -> None:
        path = begin(process, GOOD)
        with process.little_cost(read=4 * MEGABYTE):
            answer = process.send("PATCH", path, b"PK\x03\x04" + bytes(MEGABYTE), Upload_Offset="0", **_PART)
            assert problem(answer) == (413, "request_too_large")
        assert process.send("DELETE", path, **_TUS).status_code == 204

    def test_two_clients_of_one_upload(self, process: Process) -> None:
        content = b"PK\x03\x04" + bytes(8 * MEGABYTE)
        path = begin(process, content)
        lines = "Tus-Resumable: 1.0.0", "Upload-Offset: 0", f"Content-Type: {_PART['Content_Type']}"

        def second() -> httpx.Response:
            return process.send("PATCH", path, b"", Upload_Offset="9" * 9, **_PART)

        with process.little_cost(), connect(process) as first:
            first.sendall(head(process, "PATCH", path, *lines, f"Content-Length: {len(content)}"))
            eventually(lambda: second().status_code == 423, "the first to be let in")
            for start in range(0, 8 * MEGABYTE, MEGABYTE):
                first.sendall(content[start : start + MEGABYTE])
                assert problem(second()) == (423, "upload_locked")
            vanish(first)  # and with it goes its hold
            eventually(lambda: second().status_code == 409, "the upload to be let go of")
        assert 0 < process.offset(process.url + path) <= 8 * MEGABYTE
        assert process.send("DELETE", path, **_TUS).status_code == 204

    def test_clients_that_vanish_in_an_upload_leave_it_to_go_on(self, process: Process) -> None:
        path = begin(process, GOOD)
        lines = "Tus-Resumable: 1.0.0", f"Content-Type: {_PART['Content_Type']}"
        with process.little_cost():
            for _ in range(20):
                connection = connect(process)
                stands = process.offset(process.url + path)
                more = f"Upload-Offset: {stands}", f"Content-Length: {len(GOOD) - stands}"
                connection.sendall(head(process, "PATCH", path, *lines, *more) + GOOD[stands : stands + 100])
                vanish(connection)
                eventually(
                    lambda: process.send("PATCH", path, b"", Upload_Offset="9" * 9, **_PART).status_code == 409,
                    "the upload to be let go of",
                )
        finish(process, path, GOOD, process.offset(process.url + path))

    def test_more_than_the_quota_is_refused_before_a_byte_is_read(self, process: Process) -> None:
        held = begin(process, bytes(20 * MEGABYTE))
        with process.little_cost(read=MEGABYTE):
            answer = process.send("POST", "/v1/uploads", Upload_Length=str(20 * MEGABYTE), **_TUS)
            assert problem(answer) == (429, "quota_exceeded")
            with connect(process) as connection:
                connection.sendall(head(process, "PUT", "/v1/artifacts", f"Content-Length: {20 * MEGABYTE}"))
                assert answer_on(connection) == (429, "quota_exceeded")
        assert process.send("DELETE", held, **_TUS).status_code == 204

    @pytest.mark.parametrize("way", ["PUT", "tus"])
    def test_a_disk_that_fills_up_meanwhile(self, process: Process, way: str) -> None:
        content = b"PK\x03\x04" + bytes(16 * MEGABYTE)
        path = begin(process, content) if way == "tus" else ""
        before = resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, before[1]))
        try:
            with process.little_cost():
                if way == "PUT":
                    answer = process.send("PUT", "/v1/artifacts", content)
                else:
                    answer = process.send("PATCH", path, content, Upload_Offset="0", **_PART)
                assert problem(answer) == (507, "insufficient_storage")
                assert int(answer.headers["Retry-After"]) > 0
        finally:
            resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, before)
        if path:
            stands = process.offset(process.url + path)
            assert 0 <= stands <= MAX_FILE_BYTES
            assert process.send("DELETE", path, **_TUS).status_code == 204

    def test_names_of_files_are_text(self, process: Process) -> None:
        names = ["../../x", "\0", "n" * 4000, "CON", "\u202egnp.exe", "\N{PILE OF POO}", "/etc/passwd", "a\r\nB: c"]
        with process.little_cost():
            for name in names:
                shown = "filename " + base64.b64encode(name.encode()).decode()
                finish(process, begin(process, GOOD, Upload_Metadata=shown), GOOD)
                assert process.send("GET", f"/v1/artifacts/sha256:{SHA256}").json()["name"]


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
                assert problem(answer) == (status, code)
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


def eventually(happened: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.02)
