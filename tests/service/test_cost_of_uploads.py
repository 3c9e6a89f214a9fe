"""Uploads that go wrong cost the service little, and leave nothing but what is to go on."""

import base64
import hashlib
import resource
from collections.abc import Iterator

import httpx
import pytest

from tests.service.clients import (
    GOOD,
    MEGABYTE,
    PART,
    TUS,
    answer_on,
    begin,
    connect,
    eventually,
    finish,
    head,
    impatient_service,
    vanish,
)
from tests.service.process import Process
from tests.service.running import problem_of

SHA256 = hashlib.sha256(GOOD).hexdigest()
MAX_FILE_BYTES = 12 * MEGABYTE


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with impatient_service(tmp_path_factory.mktemp("uploads")) as running:
        yield running


class TestUploads:
    def test_parts_elsewhere_than_the_upload_stands(self, process: Process) -> None:
        path = begin(process, GOOD)
        with process.little_cost():
            for offset in ("1", str(len(GOOD)), "9" * 18):
                answer = process.send("PATCH", path, GOOD[:100], Upload_Offset=offset, **PART)
                assert (*problem_of(answer), answer.headers["Upload-Offset"]) == (409, "offset_conflict", "0")
        finish(process, path, GOOD)

    def test_a_part_whose_checksum_differs(self, process: Process) -> None:
        content = b"PK\x03\x04" + bytes(8 * MEGABYTE)
        path = begin(process, content)
        wrong = "sha256 " + base64.b64encode(hashlib.sha256(b"").digest()).decode()
        with process.little_cost():
            answer = process.send("PATCH", path, content, Upload_Offset="0", Upload_Checksum=wrong, **PART)
            assert problem_of(answer) == (460, "chunk_checksum_mismatch")
            assert process.offset(process.url + path) == 0
        assert process.send("DELETE", path, **TUS).status_code == 204

    @pytest.mark.parametrize("way", ["PUT", "tus"])
    def test_a_file_whose_digest_differs(self, process: Process, way: str) -> None:
        content = b"PK\x03\x04" + bytes(8 * MEGABYTE)
        with process.little_cost():
            if way == "PUT":
                digest = "sha-256=:" + base64.b64encode(bytes(32)).decode() + ":"
                answer = process.send("PUT", "/v1/artifacts", content, Repr_Digest=digest)
            else:
                path = begin(process, content, Upload_Metadata="sha256 " + base64.b64encode(b"0" * 64).decode())
                answer = process.send("PATCH", path, content, Upload_Offset="0", **PART)
            assert problem_of(answer) == (422, "checksum_mismatch")

    def test_more_than_was_announced(self, process: Process) -> None:
        path = begin(process, GOOD)
        with process.little_cost(read=4 * MEGABYTE):
            answer = process.send("PATCH", path, b"PK\x03\x04" + bytes(MEGABYTE), Upload_Offset="0", **PART)
            assert problem_of(answer) == (413, "request_too_large")
        assert process.send("DELETE", path, **TUS).status_code == 204

    def test_two_clients_of_one_upload(self, process: Process) -> None:
        content = b"PK\x03\x04" + bytes(8 * MEGABYTE)
        path = begin(process, content)
        lines = "Tus-Resumable: 1.0.0", "Upload-Offset: 0", f"Content-Type: {PART['Content_Type']}"

        def second() -> httpx.Response:
            return process.send("PATCH", path, b"", Upload_Offset="9" * 9, **PART)

        with process.little_cost(), connect(process) as first:
            first.sendall(head(process, "PATCH", path, *lines, f"Content-Length: {len(content)}"))
            eventually(lambda: second().status_code == 423, "the first to be let in")
            for start in range(0, 8 * MEGABYTE, MEGABYTE):
                first.sendall(content[start : start + MEGABYTE])
                assert problem_of(second()) == (423, "upload_locked")
            vanish(first)  # and with it goes its hold
            eventually(lambda: second().status_code == 409, "the upload to be let go of")
        assert 0 < process.offset(process.url + path) <= 8 * MEGABYTE
        assert process.send("DELETE", path, **TUS).status_code == 204

    def test_clients_that_vanish_in_an_upload_leave_it_to_go_on(self, process: Process) -> None:
        path = begin(process, GOOD)
        lines = "Tus-Resumable: 1.0.0", f"Content-Type: {PART['Content_Type']}"
        with process.little_cost():
            for _ in range(20):
                connection = connect(process)
                stands = process.offset(process.url + path)
                more = f"Upload-Offset: {stands}", f"Content-Length: {len(GOOD) - stands}"
                connection.sendall(head(process, "PATCH", path, *lines, *more) + GOOD[stands : stands + 100])
                vanish(connection)
                eventually(
                    lambda: process.send("PATCH", path, b"", Upload_Offset="9" * 9, **PART).status_code == 409,
                    "the upload to be let go of",
                )
        finish(process, path, GOOD, process.offset(process.url + path))

    def test_more_than_the_quota_is_refused_before_a_byte_is_read(self, process: Process) -> None:
        held = begin(process, bytes(20 * MEGABYTE))
        with process.little_cost(read=MEGABYTE):
            answer = process.send("POST", "/v1/uploads", Upload_Length=str(20 * MEGABYTE), **TUS)
            assert problem_of(answer) == (429, "quota_exceeded")
            with connect(process) as connection:
                connection.sendall(head(process, "PUT", "/v1/artifacts", f"Content-Length: {20 * MEGABYTE}"))
                assert answer_on(connection) == (429, "quota_exceeded")
        assert process.send("DELETE", held, **TUS).status_code == 204

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
                    answer = process.send("PATCH", path, content, Upload_Offset="0", **PART)
                assert problem_of(answer) == (507, "insufficient_storage")
                assert int(answer.headers["Retry-After"]) > 0
        finally:
            resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, before)
        if path:
            stands = process.offset(process.url + path)
            assert 0 <= stands <= MAX_FILE_BYTES
            assert process.send("DELETE", path, **TUS).status_code == 204

    def test_names_of_files_are_text(self, process: Process) -> None:
        names = ["../../x", "\0", "n" * 4000, "CON", "\u202egnp.exe", "\N{PILE OF POO}", "/etc/passwd", "a\r\nB: c"]
        with process.little_cost():
            for name in names:
                shown = "filename " + base64.b64encode(name.encode()).decode()
                finish(process, begin(process, GOOD, Upload_Metadata=shown), GOOD)
                assert process.send("GET", f"/v1/artifacts/sha256:{SHA256}").json()["name"]
