"""Resumable uploads: the tus 1.0.0 protocol, request by request."""

import base64
import hashlib
import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from contract.tables import uploads
from tests.service.conftest import MAX_ARTIFACT_BYTES
from tests.service.running import Caller, Service, npz_bytes
from tests.service.test_artifacts import REFUSED, stored_files

GOOD = npz_bytes(11)
SHA256 = hashlib.sha256(GOOD).hexdigest()
VERSION = {"Tus-Resumable": "1.0.0"}
BYTES = VERSION | {"Content-Type": "application/offset+octet-stream"}


def metadata(**values: bytes) -> str:
    return ",".join(f"{name} {base64.b64encode(value).decode()}" for name, value in values.items())


def begin(caller: Caller, length: int = len(GOOD), description: str = "") -> str:
    headers = VERSION | {"Upload-Length": str(length), "Upload-Metadata": description}
    answer = caller.http.post("/v1/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


def send(caller: Caller, url: str, offset: int, content: bytes | Iterator[bytes], **headers: str) -> httpx.Response:
    return caller.http.patch(url, content=content, headers=BYTES | {"Upload-Offset": str(offset)} | headers)


def offset_of(caller: Caller, url: str) -> int:
    return int(caller.http.head(url, headers=VERSION).headers["Upload-Offset"])


def partial_files(service: Service, url: str) -> list[Path]:
    return list((service.settings.data_dir / "uploads").glob(url.rpartition("/")[2]))


def checksum(algorithm: str, content: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Content-Type"] == "application/problem+json"
    return str(answer.json()["code"])


class TestFile:
    @pytest.mark.parametrize("piece", [len(GOOD), 5, 1000], ids=["whole", "five bytes first", "pieces"])
    def test_a_file_in_pieces_becomes_an_artifact(self, service: Service, caller: Caller, piece: int) -> None:
        described = metadata(filename=b"run.npz", sha256=SHA256.encode())
        url = begin(caller, description=described)
        ends = [5, len(GOOD)] if piece == 5 else [*range(piece, len(GOOD), piece), len(GOOD)]
        start = 0
        for end in ends:
            assert caller.http.get(f"/v1/artifacts/sha256:{SHA256}").status_code == 404, (
                "nothing is seen before the end"
            )
            answer = send(caller, url, start, GOOD[start:end])
            assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(end))
            start = end
        assert answer.headers["Interlayer-Artifact"] == f"sha256:{SHA256}"
        head = caller.http.head(url, headers=VERSION)
        assert (head.status_code, head.headers["Upload-Offset"]) == (200, str(len(GOOD)))
        assert head.headers["Interlayer-Artifact"] == f"sha256:{SHA256}"
        assert head.headers["Upload-Metadata"] == described
        assert head.headers["Cache-Control"] == "no-store"
        (path,) = stored_files(service, caller.tenant)
        assert path.read_bytes() == GOOD
        assert partial_files(service, url) == []
        body = caller.http.get(f"/v1/artifacts/sha256:{SHA256}").json()
        assert (body["bytes"], body["format"], body["status"]) == (len(GOOD), "npz", "pending")
        assert service.stores.jobs.uses(caller.tenant, SHA256), "an inspection waits"

    def test_the_first_part_may_come_with_the_creation(self, caller: Caller) -> None:
        headers = BYTES | {"Upload-Length": str(len(GOOD))}
        answer = caller.http.post("/v1/uploads", headers=headers, content=GOOD[:100])
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "100")
        assert send(caller, answer.headers["Location"], 100, GOOD[100:]).headers["Interlayer-Artifact"]
        whole = caller.http.post("/v1/uploads", headers=headers, content=GOOD)
        assert (whole.status_code, whole.headers["Interlayer-Artifact"]) == (201, f"sha256:{SHA256}")

    def test_a_body_without_a_length_is_fine(self, caller: Caller) -> None:
        url = begin(caller)
        pieces = (GOOD[i : i + 700] for i in range(0, len(GOOD), 700))
        assert send(caller, url, 0, pieces).headers["Interlayer-Artifact"] == f"sha256:{SHA256}"

    def test_an_empty_request_changes_nothing(self, caller: Caller) -> None:
        url = begin(caller)
        assert send(caller, url, 0, b"").status_code == 204
        assert offset_of(caller, url) == 0

    def test_what_is_complete_takes_no_more(self, caller: Caller) -> None:
        url = begin(caller)
        send(caller, url, 0, GOOD)
        assert code_of(send(caller, url, len(GOOD), b"x")) == "invalid_upload"
        assert code_of(send(caller, url, 0, GOOD)) == "offset_conflict"

    def test_more_than_was_announced_is_refused(self, caller: Caller) -> None:
        url = begin(caller)
        for content in (GOOD + b"x", iter([GOOD, b"x"])):
            answer = send(caller, url, 0, content)
            assert (answer.status_code, code_of(answer)) == (413, "request_too_large")
        assert send(caller, url, offset_of(caller, url), GOOD).status_code == 204

    @pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("empty", "too large")])
    @pytest.mark.parametrize("piece", [3, MAX_ARTIFACT_BYTES])
    def test_what_is_no_file_of_activations_is_refused(
        self, service: Service, caller: Caller, name: str, piece: int
    ) -> None:
        content, status, code = REFUSED[name]
        url = begin(caller, len(content))
        answer = send(caller, url, 0, content[:piece])
        if piece < len(content):
            answer = send(caller, url, piece, content[piece:])
        assert (answer.status_code, code_of(answer)) == (status, code)
        assert caller.http.head(url, headers=VERSION).status_code == 404
        assert partial_files(service, url) == []
        assert stored_files(service, caller.tenant) == []

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "a\0b", "x" * 4096, "CON", "\u202egpj.npz", "📈.npz", "<script>", "nul\r\nX: y"]
    )
    def test_the_name_of_a_file_is_text_and_no_path(self, service: Service, caller: Caller, name: str) -> None:
        url = begin(caller, description=metadata(filename=name.encode()))
        assert send(caller, url, 0, GOOD).headers["Interlayer-Artifact"] == f"sha256:{SHA256}"
        (path,) = stored_files(service, caller.tenant)
        assert path.name == SHA256
        shown = caller.http.get(f"/v1/artifacts/sha256:{SHA256}").json()["name"]
        assert not set(shown) & {"\0", "\r", "\n", "\u202e"}
        assert shown.startswith(name[:1]) or not name[0].isprintable()


class TestRefused:
    @pytest.mark.parametrize(
        ("headers", "status", "code"),
        [
            ({}, 400, "invalid_upload"),
            ({"Upload-Length": "-1"}, 400, "invalid_upload"),
            ({"Upload-Length": "1e3"}, 400, "invalid_upload"),
            ({"Upload-Length": "9" * 30}, 400, "invalid_upload"),
            ({"Upload-Length": "\u00b2"}, 400, "invalid_upload"),
            ({"Upload-Length": "0"}, 422, "empty_file"),
            ({"Upload-Length": str(MAX_ARTIFACT_BYTES + 1)}, 413, "artifact_too_large"),
            ({"Upload-Defer-Length": "1"}, 400, "invalid_upload"),
            ({"Upload-Length": "9", "Upload-Concat": "partial"}, 400, "invalid_upload"),
            ({"Upload-Length": "9", "Upload-Metadata": "name %%%"}, 400, "invalid_upload"),
            ({"Upload-Length": "9", "Upload-Metadata": "a YQ==,a Yg=="}, 400, "invalid_upload"),
            ({"Upload-Length": "9", "Upload-Metadata": "a " + "YWFh" * 3000}, 400, "invalid_upload"),
            ({"Upload-Length": "9", "Upload-Metadata": metadata(sha256=b"abc")}, 400, "invalid_upload"),
            ({"Upload-Length": "9", "Tus-Resumable": "0.2.2"}, 412, "tus_version_unsupported"),
            ({"Upload-Length": "9", "Authorization": "Bearer il_x"}, 401, "unauthorized"),
        ],
        ids=str,
    )
    def test_a_creation(
        self, service: Service, caller: Caller, headers: dict[str, str], status: int, code: str
    ) -> None:
        before = sorted((service.settings.data_dir / "uploads").iterdir())
        encoded = {name.encode(): value.encode("latin-1") for name, value in (VERSION | headers).items()}
        answer = caller.http.post("/v1/uploads", headers=encoded)
        assert (answer.status_code, code_of(answer)) == (status, code)
        assert sorted((service.settings.data_dir / "uploads").iterdir()) == before
        begin(caller)

    @pytest.mark.parametrize(
        ("headers", "status", "code"),
        [
            ({"Upload-Offset": "1"}, 409, "offset_conflict"),
            ({"Upload-Offset": str(10**17)}, 409, "offset_conflict"),
            ({"Upload-Offset": "-1"}, 400, "invalid_upload"),
            ({"Upload-Offset": ""}, 400, "invalid_upload"),
            ({"Content-Type": "application/octet-stream"}, 415, "unsupported_media_type"),
            ({"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
            ({"Upload-Checksum": "md5 AAAA"}, 400, "invalid_upload"),
            ({"Upload-Checksum": "sha1 %%%"}, 400, "invalid_upload"),
            ({"Upload-Checksum": checksum("sha256", b"other")}, 460, "chunk_checksum_mismatch"),
            ({"Tus-Resumable": "2.0.0"}, 412, "tus_version_unsupported"),
        ],
        ids=str,
    )
    def test_a_part(self, caller: Caller, headers: dict[str, str], status: int, code: str) -> None:
        url = begin(caller)
        answer = send(caller, url, 0, GOOD[:1000], **headers)
        assert (answer.status_code, code_of(answer)) == (status, code)
        assert answer.headers.get("Upload-Offset") == ("0" if status == 409 else None)
        assert answer.headers.get("Tus-Version") == ("1.0.0" if status == 412 else None)
        assert offset_of(caller, url) == 0
        assert send(caller, url, 0, GOOD).headers["Interlayer-Artifact"] == f"sha256:{SHA256}"

    def test_an_upload_that_stands_elsewhere_says_where(self, caller: Caller) -> None:
        url = begin(caller)
        send(caller, url, 0, GOOD[:1000])
        for offset in (0, 999, 1001):
            answer = send(caller, url, offset, GOOD[offset:])
            assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "1000")

    def test_another_file_than_announced_is_refused_and_nothing_kept(self, service: Service, caller: Caller) -> None:
        url = begin(caller, description=metadata(sha256=b"0" * 64))
        send(caller, url, 0, GOOD[:1000])
        answer = send(caller, url, 1000, GOOD[1000:])
        assert (answer.status_code, code_of(answer)) == (422, "checksum_mismatch")
        assert caller.http.head(url, headers=VERSION).status_code == 404
        assert partial_files(service, url) == []
        assert stored_files(service, caller.tenant) == []

    @pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
    def test_the_right_checksum_is_accepted(self, caller: Caller, algorithm: str) -> None:
        url = begin(caller)
        headers = {"Upload-Checksum": checksum(algorithm, GOOD[:1000])}
        assert send(caller, url, 0, GOOD[:1000], **headers).headers["Upload-Offset"] == "1000"
        wrong = {"Upload-Checksum": checksum(algorithm, GOOD)}
        assert send(caller, url, 1000, GOOD[1000:], **wrong).status_code == 460
        right = {"Upload-Checksum": checksum(algorithm, GOOD[1000:])}
        assert send(caller, url, 1000, GOOD[1000:], **right).headers["Interlayer-Artifact"] == f"sha256:{SHA256}"

    def test_a_full_disk_is_said_before_bytes_flow_and_counts_what_is_promised(
        self, service: Service, caller: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_bytes = 0
        with service.stores.database.read() as connection:
            for row in connection.execute(uploads.select()):
                open_bytes += row.length - row.received
        monkeypatch.setattr("contract.blobs.Blobs.free_bytes", lambda _: open_bytes + 1500)
        begin(caller, 1000)
        answer = caller.http.post("/v1/uploads", headers=VERSION | {"Upload-Length": "1000"})
        assert (answer.status_code, code_of(answer)) == (507, "insufficient_storage")
        assert answer.headers["Retry-After"]
        begin(caller, 400)

    def test_a_disk_that_fills_up_meanwhile_loses_nothing(
        self, caller: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = begin(caller)
        send(caller, url, 0, GOOD[:1000])

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("contract.blobs.Partial.write", full)
        answer = send(caller, url, 1000, GOOD[1000:])
        assert (answer.status_code, code_of(answer)) == (507, "insufficient_storage")
        monkeypatch.undo()
        assert offset_of(caller, url) == 1000
        assert send(caller, url, 1000, GOOD[1000:]).headers["Interlayer-Artifact"] == f"sha256:{SHA256}"


class TestLife:
    def test_two_clients_at_once_are_told_apart(self, caller: Caller) -> None:
        url = begin(caller)
        first_is_sending, second_has_asked = threading.Event(), threading.Event()

        def slowly() -> Iterator[bytes]:
            yield GOOD[:1000]
            first_is_sending.set()
            assert second_has_asked.wait(60)
            yield GOOD[1000:]

        answers: list[httpx.Response] = []
        first = threading.Thread(target=lambda: answers.append(send(caller, url, 0, slowly())))
        first.start()
        assert first_is_sending.wait(60)
        while (second := send(caller, url, 1, GOOD[:10])).status_code == 409:  # the first has not yet been let in
            time.sleep(0.01)
        refused_to_end = caller.http.delete(url, headers=VERSION)
        second_has_asked.set()
        first.join(60)
        assert (second.status_code, code_of(second)) == (423, "upload_locked")
        assert (refused_to_end.status_code, code_of(refused_to_end)) == (423, "upload_locked")
        assert answers[0].headers["Interlayer-Artifact"] == f"sha256:{SHA256}"

    def test_what_came_before_the_line_broke_counts(self, service: Service, caller: Caller) -> None:
        url = begin(caller)

        def broken() -> Iterator[bytes]:
            yield GOOD[:1000]
            while send(service.caller(caller.tenant), url, 1, b"").status_code != 423:
                time.sleep(0.01)  # until the service reads
            time.sleep(0.05)
            raise ConnectionAbortedError

        while offset_of(caller, url) == 0:  # what the service had not yet read is not there
            with pytest.raises(ConnectionAbortedError):
                send(caller, url, 0, broken())
            while send(caller, url, 1, b"").status_code == 423:
                time.sleep(0.01)
        assert offset_of(caller, url) == 1000
        assert send(caller, url, 1000, GOOD[1000:]).headers["Interlayer-Artifact"] == f"sha256:{SHA256}"

    def test_with_a_checksum_nothing_counts_before_the_last_byte(self, caller: Caller) -> None:
        url = begin(caller)

        def broken() -> Iterator[bytes]:
            yield GOOD[:1000]
            raise ConnectionAbortedError

        with pytest.raises(ConnectionAbortedError):
            send(caller, url, 0, broken(), **{"Upload-Checksum": checksum("sha1", GOOD)})
        while (answer := send(caller, url, 0, GOOD)).status_code == 423:
            time.sleep(0.01)
        assert answer.headers["Interlayer-Artifact"] == f"sha256:{SHA256}"

    def test_an_upload_can_be_given_up(self, service: Service, caller: Caller) -> None:
        url = begin(caller)
        send(caller, url, 0, GOOD[:1000])
        assert partial_files(service, url) != []
        answer = caller.http.delete(url, headers=VERSION)
        assert (answer.status_code, answer.headers["Tus-Resumable"]) == (204, "1.0.0")
        assert partial_files(service, url) == []
        for gone in (caller.http.delete(url, headers=VERSION), send(caller, url, 1000, GOOD[1000:])):
            assert (gone.status_code, code_of(gone)) == (404, "upload_not_found")

    def test_the_artifact_stays_when_its_upload_is_forgotten(self, caller: Caller) -> None:
        url = begin(caller)
        send(caller, url, 0, GOOD)
        assert caller.http.delete(url, headers=VERSION).status_code == 204
        assert caller.http.get(f"/v1/artifacts/sha256:{SHA256}").status_code == 200

    def test_an_upload_without_progress_expires(self, service: Service, caller: Caller) -> None:
        url, finished, alive = begin(caller), begin(caller), begin(caller)
        send(caller, finished, 0, GOOD)
        answer = send(caller, url, 0, GOOD[:1000])
        assert parsedate_to_datetime(answer.headers["Upload-Expires"]).timestamp() > time.time() + 80_000
        over = [each.rpartition("/")[2] for each in (url, finished)]
        with service.stores.database.write() as connection:
            connection.execute(update(uploads).where(uploads.c.id.in_(over)).values(expires_at=1.0))
        for gone in (send(caller, url, 1000, b"x"), caller.http.delete(url, headers=VERSION)):
            assert (gone.status_code, code_of(gone)) == (410, "upload_expired")
        assert service.stores.uploads.sweep() == 2
        assert partial_files(service, url) == []
        assert caller.http.head(url, headers=VERSION).status_code == 404
        assert caller.http.head(finished, headers=VERSION).status_code == 404
        assert caller.http.get(f"/v1/artifacts/sha256:{SHA256}").status_code == 200
        assert offset_of(caller, alive) == 0

    def test_methods_that_a_client_cannot_send_may_be_named_in_a_header(self, caller: Caller) -> None:
        url = begin(caller)
        headers = BYTES | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
        assert caller.http.post(url, content=GOOD[:1000], headers=headers).headers["Upload-Offset"] == "1000"
        answer = caller.http.post(url, headers=VERSION | {"X-HTTP-Method-Override": "DELETE"})
        assert answer.status_code == 204
        assert caller.http.head(url, headers=VERSION).status_code == 404


@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/uploads/up_" + "0" * 32])
def test_the_service_says_what_it_speaks(service: Service, path: str) -> None:
    answer = httpx.options(service.url + path)
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == str(MAX_ARTIFACT_BYTES)
    assert "sha1" in answer.headers["Tus-Checksum-Algorithm"].split(",")
    assert set(answer.headers["Tus-Extension"].split(",")) >= {"creation", "checksum", "expiration", "termination"}
