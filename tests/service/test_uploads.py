"""Resumable uploads: the tus 1.0.0 protocol, request by request."""

import threading
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
import pytest
from sqlalchemy import update

from contract.tables import uploads
from tests.service.conftest import MAX_ARTIFACT_BYTES
from tests.service.running import Caller, Service
from tests.service.test_artifacts import REFUSED, stored_files
from tests.service.tus import (
    BYTES,
    GOOD,
    SHA256,
    VERSION,
    begin,
    checksum,
    code_of,
    metadata,
    offset_of,
    partial_files,
    send,
)


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
