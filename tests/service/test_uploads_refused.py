"""Resumable uploads: creations, parts and files that are refused, and what is left of them."""

import pytest

from contract.tables import uploads
from tests.service.conftest import MAX_ARTIFACT_BYTES
from tests.service.running import Caller, Service
from tests.service.test_artifacts import stored_files
from tests.service.tus import GOOD, SHA256, VERSION, begin, checksum, code_of, metadata, offset_of, partial_files, send


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
