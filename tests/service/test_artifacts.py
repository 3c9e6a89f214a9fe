"""Uploads: whatever the bytes and however they come."""

import base64
import gzip
import hashlib
import io
import os
import pickle
import re
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
import torch

from contract.database import Database
from contract.keys import Keys
from contract.settings import Settings
from tests.service.conftest import MAX_ARTIFACT_BYTES, History
from tests.service.running import Caller, Service, npz_bytes
from tests.worker import files

GOOD = npz_bytes(7)


def digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


def stored_files(service: Service, tenant: str) -> list[Path]:
    return [path for path in (service.settings.data_dir / "artifacts" / tenant).rglob("*") if path.is_file()]


class TestPut:
    def test_a_new_file_is_created_under_its_digest(self, service: Service, caller: Caller) -> None:
        answer = caller.put(GOOD)
        sha256 = hashlib.sha256(GOOD).hexdigest()
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"/v1/artifacts/sha256:{sha256}"
        body = answer.json()
        assert (body["id"], body["bytes"], body["kind"]) == (f"sha256:{sha256}", len(GOOD), "activations")
        assert (body["format"], body["status"]) == ("npz", "pending")
        (path,) = stored_files(service, caller.tenant)
        assert path.read_bytes() == GOOD
        assert caller.http.get(answer.headers["Location"]).json() == body

    def test_the_same_bytes_again_are_the_same_artifact(self, service: Service, caller: Caller) -> None:
        first = caller.put(GOOD)
        again = caller.put(GOOD)
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
        assert len(stored_files(service, caller.tenant)) == 1

    def test_another_tenant_cannot_tell_that_the_bytes_were_there(self, service: Service, caller: Caller) -> None:
        caller.put(GOOD)
        assert service.caller().put(GOOD).status_code == 201

    def test_chunks_without_a_length_are_fine(self, caller: Caller) -> None:
        pieces = [GOOD[i : i + 1000] for i in range(0, len(GOOD), 1000)]
        assert caller.put(iter(pieces)).json()["bytes"] == len(GOOD)

    def test_safetensors(self, caller: Caller) -> None:
        assert caller.put(files.safetensors(*files.good_tensors())).json()["format"] == "safetensors"

    def test_the_right_digest_is_accepted(self, caller: Caller) -> None:
        assert caller.put(GOOD, **{"Repr-Digest": f"md5=:AAAA:, {digest(GOOD)}"}).status_code == 201

    @pytest.mark.parametrize("header", [digest(b"other"), "sha-256=:%%%:", "sha-256=:AAAA:"])
    def test_a_wrong_digest_is_refused_and_nothing_kept(self, service: Service, caller: Caller, header: str) -> None:
        answer = caller.put(GOOD, **{"Repr-Digest": header})
        assert (answer.status_code, answer.json()["code"]) == (422, "checksum_mismatch")
        assert stored_files(service, caller.tenant) == []
        assert service.temporary_files() == []


def pickled() -> bytes:
    return pickle.dumps({"labels": [1, 2]}, protocol=4)


def single_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(5))
    return stream.getvalue()


def of_pytorch(kind: str) -> bytes:
    model, stream = torch.nn.Sequential(torch.nn.Linear(2, 2)), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is old, and files of it are about
        if kind == "weights":
            torch.save(model.state_dict(), stream)
        elif kind == "script":
            torch.jit.save(torch.jit.script(model), stream)
        else:
            torch.export.save(torch.export.export(model, (torch.zeros(1, 2),)), stream)
    return stream.getvalue()


REFUSED: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "empty_file"),
    "one byte": (b"P", 415, "format_unsupported"),
    "pickle": (pickled(), 415, "pickle_forbidden"),
    "torch.save": (of_pytorch("weights"), 415, "pickle_forbidden"),
    "TorchScript": (of_pytorch("script"), 415, "pickle_forbidden"),
    ".pt2": (of_pytorch("program"), 415, "pickle_forbidden"),
    "one array": (single_array(), 415, "format_unsupported"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), 415, "format_unsupported"),
    "HTML": (b"<!DOCTYPE html><html><body></body></html>", 415, "format_unsupported"),
    "program": (b"\x7fELF" + bytes(100), 415, "format_unsupported"),
    "gzip": (gzip.compress(GOOD), 415, "format_unsupported"),
    "Parquet": (b"PAR1" + bytes(100), 415, "format_unsupported"),
    "text": (b"label,x,y\n1,2,3\n", 415, "format_unsupported"),
    "too large": (GOOD + bytes(MAX_ARTIFACT_BYTES), 413, "artifact_too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("way", ["put", "put in chunks", "post"])
def test_what_is_no_file_of_activations_is_refused(service: Service, caller: Caller, name: str, way: str) -> None:
    content, status, code = REFUSED[name]
    if way == "put":
        answer = caller.put(content)
    elif way == "put in chunks":
        answer = caller.put(content[i : i + 50_000] for i in range(0, len(content), 50_000))
    else:
        answer = caller.http.post("/v1/artifacts", files={"file": content})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert stored_files(service, caller.tenant) == []
    assert service.temporary_files() == []
    assert caller.put(GOOD).status_code == 201, "a good request right after works"


class TestHeaders:
    @pytest.mark.parametrize(
        ("method", "headers"),
        [
            ("PUT", {"Content-Encoding": "gzip"}),
            ("PUT", {"Content-Type": "multipart/form-data; boundary=x"}),
            ("PUT", {"Content-Type": "text/html"}),
            ("POST", {"Content-Type": "application/octet-stream"}),
            ("POST", {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"}),
        ],
    )
    def test_what_is_not_accepted_here(self, caller: Caller, method: str, headers: dict[str, str]) -> None:
        answer = caller.http.request(method, "/v1/artifacts", content=GOOD, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")

    def test_the_declared_length_is_believed_before_a_byte_is_read(self, service: Service, caller: Caller) -> None:
        with connection_to(service) as raw:
            raw.sendall(head(caller, "PUT", length=MAX_ARTIFACT_BYTES + 1))
            assert b"413" in raw.recv(100)


class TestForm:
    def test_the_part_named_file_is_stored(self, caller: Caller) -> None:
        answer = caller.http.post("/v1/artifacts", files={"file": ("../../etc/passwd", GOOD)}, data={"note": "x"})
        assert (answer.status_code, answer.json()["bytes"]) == (201, len(GOOD))
        assert caller.put(GOOD).status_code == 200

    @pytest.mark.parametrize(
        ("headers", "body"),
        [
            ({"Content-Type": "multipart/form-data"}, b"x"),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b"no boundary at all"),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\nno header\r\n\r\n--x--\r\n"),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n" + b"A: b\r\n" * 10_000),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b""),
            (
                {"Content-Type": "multipart/form-data; boundary=x"},
                b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file name\r\n--x--\r\n',
            ),
            (
                {"Content-Type": "multipart/form-data; boundary=x"},
                b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 5000 + b"--x--\r\n",
            ),
        ],
        ids=["no boundary", "garbage", "bad header", "many headers", "empty", "no file", "5000 parts"],
    )
    def test_a_broken_form_is_refused(self, caller: Caller, headers: dict[str, str], body: bytes) -> None:
        answer = caller.http.post("/v1/artifacts", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "multipart_invalid")

    def test_two_files_are_refused(self, caller: Caller) -> None:
        answer = caller.http.post("/v1/artifacts", files=[("file", GOOD), ("file", GOOD)])
        assert (answer.status_code, answer.json()["code"]) == (400, "multipart_invalid")


def connection_to(service: Service) -> socket.socket:
    address = urlsplit(service.url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def head(caller: Caller, method: str, length: int, content_type: str = "application/octet-stream") -> bytes:
    return (
        f"{method} /v1/artifacts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.key}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_client_that_hangs_up_leaves_nothing(service: Service, caller: Caller, method: str) -> None:
    with connection_to(service) as raw:
        body = GOOD
        content_type = "application/octet-stream"
        if method == "POST":
            content_type = "multipart/form-data; boundary=x"
            body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + GOOD
        raw.sendall(head(caller, method, 400_000, content_type) + body)
        if method == "PUT":
            while not service.temporary_files():
                time.sleep(0.01)
    while service.temporary_files():
        time.sleep(0.01)
    assert stored_files(service, caller.tenant) == []
    assert caller.put(GOOD).status_code == 201


def test_an_upload_that_was_noted_but_never_inspected_is_inspected_when_it_comes_again(
    service: Service, caller: Caller
) -> None:
    sha256 = hashlib.sha256(GOOD).hexdigest()
    service.stores.artifacts.add(caller.tenant, sha256, len(GOOD), "npz")  # and then the service was killed
    assert caller.put(GOOD).status_code == 200
    assert service.stores.jobs.uses(caller.tenant, sha256), "an inspection waits"


def test_a_full_disk_is_said_before_anything_is_read(
    service: Service, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contract.blobs.Blobs.free_bytes", lambda _: -1)
    for answer in (caller.put(GOOD), caller.http.post("/v1/artifacts", files={"file": GOOD})):
        assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")
        assert answer.headers["Retry-After"]
    monkeypatch.undo()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("contract.blobs.Writer.write", full)
    answer = caller.put(GOOD)
    assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")
    assert service.temporary_files() == []


class TestInspected:
    def test_layers_and_classes_are_shown(self, history: History) -> None:
        body = history.caller.http.get(f"/v1/artifacts/{history.artifact}").json()
        assert body["status"] == "ready"
        assert body["inspection"]["classes"] == {"0": 36, "1": 36, "2": 36}
        assert [layer["name"] for layer in body["inspection"]["layers"]] == ["0.Input", "1.Conv", "2.Softmax"]
        assert body["inspection"]["layers"][1] == {"name": "1.Conv", "shape": [108, 5], "dtype": "float32"}

    def test_what_is_wrong_is_shown_and_answered_to_who_wants_to_analyse_it(self, history: History) -> None:
        body = history.caller.http.get(f"/v1/artifacts/{history.bad_artifact}").json()
        assert (body["status"], body["error"]["code"]) == ("invalid", "no_layers")
        answer = history.caller.post({"inputs": [{"artifact": history.bad_artifact}]})
        assert (answer.status_code, answer.json()["code"]) == (422, "no_layers")
        assert answer.json()["errors"][0]["pointer"] == "/body/inputs/0/artifact"


class TestDelete:
    def test_an_artifact_is_forgotten_with_its_bytes(self, service: Service, caller: Caller) -> None:
        artifact = caller.upload()
        assert caller.http.delete(f"/v1/artifacts/{artifact}").json()["code"] == "artifact_in_use", (
            "an inspection waits"
        )
        service.stores.database.write()
        claim = service.stores.jobs.claim("w", 60, queues=["inspect"])
        while claim is not None:
            service.stores.jobs.succeed(claim, report_sha256=None, device=None)
            claim = service.stores.jobs.claim("w", 60, queues=["inspect"])
        assert caller.http.delete(f"/v1/artifacts/{artifact}").status_code == 204
        assert stored_files(service, caller.tenant) == []
        assert caller.http.get(f"/v1/artifacts/{artifact}").status_code == 404
        assert caller.http.delete(f"/v1/artifacts/{artifact}").status_code == 404

    def test_an_input_of_an_unfinished_analysis_stays(self, history: History) -> None:
        answer = history.caller.http.delete(f"/v1/artifacts/{history.artifact}")
        assert (answer.status_code, answer.json()["code"]) == (409, "artifact_in_use")


def test_the_memory_of_the_service_does_not_grow_with_the_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", free_disk_reserve_bytes=0)
    database = Database(settings)
    database.upgrade()
    key = Keys(database).create("a", "test", ["submit"]).key
    database.close()
    megabytes = 300
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.app", "--fd", str(listening.fileno())],
            env=os.environ | {"INTERLAYER_DATA_DIR": str(settings.data_dir), "INTERLAYER_FREE_DISK_RESERVE_BYTES": "0"},
            pass_fds=(listening.fileno(),),
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120) as http:
                content_type = {"Content-Type": "application/octet-stream"}
                http.put("/v1/artifacts", content=GOOD, headers=content_type).raise_for_status()
                before = peak_memory(process.pid)

                def stream() -> Iterator[bytes]:
                    yield b"PK\x03\x04"
                    block = bytes(2**20)
                    for _ in range(megabytes):
                        yield block

                answer = http.put("/v1/artifacts", content=stream(), headers=content_type)
                assert answer.json()["bytes"] == megabytes * 2**20 + 4
                assert peak_memory(process.pid) - before < 30 * 2**20
        finally:
            process.terminate()
            process.wait(60)


def peak_memory(pid: int) -> int:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) * 1024
