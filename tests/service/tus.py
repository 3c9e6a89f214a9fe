"""Uploads by the tus 1.0.0 protocol, request by request."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.service.running import Caller, Service, npz_bytes

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
