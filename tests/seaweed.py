"""A real store that speaks S3: SeaweedFS, written in another language by others than our client, with signatures on."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

BUCKET = "interlayer"
ACCESS_KEY, SECRET_KEY = "interlayer", "a-secret-that-nobody-may-see"
_READY_SECONDS = 120.0


class Seaweed:
    """One server with one bucket; every test has a prefix of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ports = _free_ports(8)
        self.port, self._filer = ports[0], ports[2]
        identity = {
            "name": "interlayer",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        names = ["s3.port", "s3.port.grpc", "filer.port", "filer.port.grpc"]
        names += ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
        self._command = [
            str(Path(sys.executable).parent / "weed"),
            "server",
            f"-dir={folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *[f"-{name}={port}" for name, port in zip(names, ports, strict=True)],
            "-s3",
            f"-s3.config={folder / 's3.json'}",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=100",
            "-volume.minFreeSpace=1",
        ]
        (folder / "data").mkdir()
        self.start()

    def start(self) -> None:
        """Start the server and wait until the bucket is there."""
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._folder)
        end = time.monotonic() + _READY_SECONDS
        while not self._has_bucket():
            assert self._process.poll() is None, (self._folder / "weed.log").read_text()[-2000:]
            assert time.monotonic() < end, (self._folder / "weed.log").read_text()[-2000:]
            time.sleep(0.1)

    def _has_bucket(self) -> bool:
        from contract.s3 import Bucket

        try:
            httpx.post(f"http://127.0.0.1:{self._filer}/buckets/{BUCKET}/", timeout=5)
        except httpx.TransportError:
            return False
        with variables(self.environment()):
            return Bucket(f"s3://{BUCKET}").trouble() is None

    def stop(self) -> None:
        """Stop the server; what it has stored stays."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def environment(self, port: int | None = None, secret: str = SECRET_KEY) -> dict[str, str]:
        """Return what a process must know to use the store, directly or through a proxy."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
        }

    def multipart_uploads(self, url: str) -> list[str]:
        """Return the unfinished uploads of the bucket: this server shows them as a folder to its administrator."""
        answer = httpx.get(
            f"http://127.0.0.1:{self._filer}/buckets/{BUCKET}/.uploads/",
            headers={"Accept": "application/json"},
            timeout=30,
        )
        entries = answer.json()["Entries"] or [] if answer.status_code == 200 else []
        return [entry["FullPath"] for entry in entries if url.partition(f"{BUCKET}/")[2] in json.dumps(entry)]


def new_url() -> str:
    """Return the URL of an empty part of the bucket."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while the block lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:  # all at once, so that they differ
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
