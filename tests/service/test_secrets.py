"""Neither keys nor bytes of files are found in anything that the service says, nor in the arguments of processes."""

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contract.database import Database
from contract.keys import ALL_SCOPES, Keys
from contract.settings import Settings
from tests.e2e.processes import descendants
from tests.service.process import Process, service_process
from tests.service.running import npz_bytes

_MARK = b"these-bytes-are-of-a-file"
_TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    with service_process(tmp_path / "data", max_failures_per_minute=3) as running:
        yield running


def test_a_whole_run_says_no_secret_and_no_byte_of_a_file(process: Process) -> None:
    database = Database(Settings(data_dir=process.data))
    admin = Keys(database).create("a", "admin", ALL_SCOPES).key
    database.close()
    said: list[bytes] = []
    secrets = {admin, process.key}

    def send(method: str, path: str, key: str = admin, **more: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"} | more.pop("headers", {})  # type: ignore[operator]  # a dictionary
        answer = httpx.request(method, process.url + path, headers=headers, timeout=60, **more)  # type: ignore[arg-type]  # as above
        said.append(answer.content + str(answer.headers).encode())
        return answer

    artifact = send("PUT", "/v1/artifacts", content=npz_bytes()).json()["id"]
    assert send("PUT", "/v1/artifacts", content=_MARK * 100).status_code == 415
    assert (
        send("PUT", "/v1/artifacts", content=b"PK\x03\x04" + _MARK * 100).status_code == 201
    )  # for the worker to refuse
    assert send("POST", "/v1/artifacts", files={"file": _MARK}).status_code == 415
    upload = send("POST", "/v1/uploads", headers=_TUS | {"Upload-Length": "5000"}).headers["Location"]
    types = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    checksum = {"Upload-Checksum": f"sha1 {base64.b64encode(bytes(20)).decode()}"}
    assert send("PATCH", upload, headers=_TUS | types | checksum, content=b"PK\x03\x04" + _MARK).status_code == 460
    assert send("POST", "/v1/analyses", json={"inputs": [{"artifact": artifact}]}).status_code == 202
    for name in ("key", "token", "cursor"):
        assert send("GET", "/v1/analyses", params={name: admin}).status_code == 400
    assert send("GET", f"/v1/analyses/{admin}").status_code == 404
    assert send("POST", "/v1/analyses", json={"inputs": [], admin: admin}).status_code == 422
    assert send("POST", "/v1/analyses", content=f'{{"a": "{admin}",'.encode()).status_code in (400, 422)
    made = send("POST", "/v1/keys", json={"name": "ci"}).json()
    said.pop()  # the one answer that shows a secret
    secrets.add(made["key"])
    assert send("POST", f"/v1/keys/{made['id']}/rotate", json={"overlap_seconds": 0}).status_code == 200
    secrets.add(said.pop().partition(b'"key":"')[2].partition(b'"')[0].decode())
    for number in range(5):  # until it is told to wait
        wrong = made["key"][:-1] + str(number)
        secrets.add(wrong)
        assert send("GET", "/v1/analyses", key=wrong).status_code in (401, 429)
    for path in ("/metrics", "/v1/audit", "/v1/keys", "/openapi.json", "/readyz", "/docs"):
        assert send("GET", path).status_code == 200
    said.append(process.log.read_bytes())
    pid = process.process.pid
    said += [Path(f"/proc/{each}/cmdline").read_bytes() for each in (pid, *descendants(pid))]
    everything = b"\n".join(said)
    assert _MARK not in everything
    for secret in secrets:
        assert len(secret) > 20
        assert secret.encode() not in everything
        assert secret.split("_", 2)[2].encode() not in everything, "not even without its prefix"
