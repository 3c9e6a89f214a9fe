"""A standard tus client against a service process that is killed in the middle."""

import hashlib
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tusclient.client import TusClient

from contract.database import Database
from contract.settings import Settings
from contract.uploads import COMMIT_BYTES
from tests.service.process import Process, service_process

MEGABYTE = 2**20


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A running service."""
    with service_process(tmp_path / "data") as running:
        yield running


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    """A file that takes a while, and looks like an archive."""
    path = tmp_path / "large.npz"
    path.write_bytes(b"PK\x03\x04" + random.Random(1).randbytes(60 * MEGABYTE))
    return path


def client_of(process: Process) -> TusClient:
    return TusClient(f"{process.url}/v1/uploads", headers={"Authorization": f"Bearer {process.key}"})


def artifacts_in(process: Process) -> list[Path]:
    return [path for path in (process.data / "artifacts").rglob("*") if path.is_file()]


def test_a_standard_client_goes_on_where_the_killed_service_stood(process: Process, large_file: Path) -> None:
    content = large_file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    with large_file.open("rb") as stream:
        metadata = {"filename": "large.npz", "sha256": sha256}
        url = client_of(process).uploader(file_stream=stream, metadata=metadata).create_url()
    partial = process.data / "uploads" / url.rpartition("/")[2]
    chance = random.Random(2)
    for _ in range(4):
        before = process.offset(url)
        assert artifacts_in(process) == [], "nothing is seen before the end"
        goal = before + chance.randrange(2 * MEGABYTE, 14 * MEGABYTE)
        killed = threading.Event()
        sending = threading.Thread(target=send_until, args=(process, url, content, before, goal, killed))
        sending.start()
        while sending.is_alive() and partial.stat().st_size < goal - MEGABYTE:  # what waits for a whole block
            time.sleep(0.001)
        written = partial.stat().st_size
        process.kill()
        killed.set()
        sending.join(120)
        process.start()
        arrived = process.offset(url)
        assert before <= arrived <= goal
        assert arrived >= written - COMMIT_BYTES - MEGABYTE, "at most one piece is sent again"
    send_rest(process, url, large_file)
    assert process.offset(url) == len(content)
    (path,) = artifacts_in(process)
    assert path.name == sha256
    assert path.read_bytes() == content
    headers = {"Authorization": f"Bearer {process.key}"}
    body = httpx.get(f"{process.url}/v1/artifacts/sha256:{sha256}", headers=headers).json()
    assert (body["bytes"], body["name"]) == (len(content), "large.npz")


def send_until(process: Process, url: str, content: bytes, begin: int, goal: int, killed: threading.Event) -> None:
    """Send from one position to another, and then hold the connection until the service has been killed."""

    def pieces() -> Iterator[bytes]:
        for start in range(begin, goal, 2**16):
            yield content[start : min(goal, start + 2**16)]
        killed.wait(120)
        raise ConnectionAbortedError

    headers = {
        "Authorization": f"Bearer {process.key}",
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(begin),
        "Content-Type": "application/offset+octet-stream",
        "Content-Length": str(len(content) - begin),
    }
    with suppress(httpx.TransportError, ConnectionAbortedError):
        httpx.patch(url, content=pieces(), headers=headers, timeout=120)


def send_rest(process: Process, url: str, path: Path) -> None:
    """Send what is missing, as a new client that knows nothing but the address."""
    with path.open("rb") as stream:
        client_of(process).uploader(file_stream=stream, url=url).upload()


@pytest.mark.parametrize("chunk", [4 * MEGABYTE, 10**12])
def test_a_standard_client_with_checksums_and_constant_memory(process: Process, large_file: Path, chunk: int) -> None:
    small = large_file.with_name("small.npz")
    small.write_bytes(large_file.read_bytes()[:MEGABYTE])
    for path in (small, large_file):
        before = process.peak_memory()
        with path.open("rb") as stream:
            client_of(process).uploader(file_stream=stream, chunk_size=chunk, upload_checksum=True).upload()
    assert process.peak_memory() - before < 25 * MEGABYTE
    assert {path.stat().st_size for path in artifacts_in(process)} == {MEGABYTE, large_file.stat().st_size}


@pytest.mark.parametrize(
    "step", ["contract.stores.Folder.keep", "contract.uploads.Artifacts.add", "contract.uploads.Jobs.submit"]
)
def test_an_upload_that_was_complete_when_the_service_was_killed_is_an_artifact(
    settings: Settings, database: Database, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contract.artifacts import Artifacts
    from contract.blobs import Blobs
    from contract.jobs import Jobs
    from contract.uploads import Uploads

    class Killed(BaseException):
        """What ends the process."""

    def kill(*_: object, **__: object) -> None:
        raise Killed

    content = b"PK\x03\x04" + bytes(1000)
    sha256 = hashlib.sha256(content).hexdigest()
    uploads = Uploads(settings, database, Blobs(settings.data_dir))
    upload = uploads.create("a", len(content), "", None)
    appending = uploads.append("a", upload.id, 0)
    appending.write(content)
    monkeypatch.setattr(step, kill)
    with pytest.raises(Killed):
        appending.complete(lambda _: "npz", 4)
    monkeypatch.undo()
    appending.close()
    uploads = Uploads(settings, database, Blobs(settings.data_dir))  # of another process
    assert uploads.get("a", upload.id).artifact_id == f"sha256:{sha256}"
    assert Artifacts(database).get("a", sha256) is not None
    assert (settings.data_dir / Blobs(settings.data_dir).artifact("a", sha256)).read_bytes() == content
    assert Jobs(database).uses("a", sha256), "an inspection waits"
