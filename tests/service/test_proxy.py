"""The shipped nginx configuration, in a real nginx in front of a real service."""

import getpass
import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from contract.settings import Settings
from tests.programs import require
from tests.service.running import Service, npz_bytes, serving

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
GOOD = npz_bytes(5)


@dataclass
class Proxy:
    """Where the proxy listens, what it stands before, and where it keeps bodies that it holds back."""

    url: str
    service: Service
    folder: Path

    def caller(self) -> httpx.Client:
        """Return a client of a new tenant that goes through the proxy."""
        key = self.service.caller().key
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def adapted(text: str, changes: dict[str, str]) -> str:
    """Replace addresses, folders and the deadline; everything else is as it is shipped."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A running nginx."""
    nginx = require("nginx")
    folder = tmp_path_factory.mktemp("proxy")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(Settings(data_dir=folder / "data", free_disk_reserve_bytes=0)) as service:
        changes = {
            "listen 8080;": f"listen 127.0.0.1:{port};",
            "server service:8000;": f"server {urlsplit(service.url).netloc};",
            "/tmp/": f"{folder}/",
            "client_header_timeout 10s;": "client_header_timeout 1s;",
        }
        (folder / "nginx.conf").write_text(adapted(CONFIGURATION.read_text(), changes))
        command = [nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
        directives = "daemon off;" + (f" user {getpass.getuser()};" if os.geteuid() == 0 else "")
        process = subprocess.Popen([*command, "-g", directives])
        try:
            url = f"http://127.0.0.1:{port}"
            while not listening(port):
                assert process.poll() is None, (folder / "error.log").read_text()
                time.sleep(0.02)
            yield Proxy(url, service, folder)
        finally:
            process.terminate()
            process.wait(60)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_files_pass_whole_and_in_pieces(proxy: Proxy) -> None:
    with proxy.caller() as http:
        large = GOOD + bytes(5_000_000)  # more than any body that nginx lets through elsewhere
        answer = http.put("/v1/artifacts", content=large, headers={"Content-Type": "application/octet-stream"})
        assert answer.json()["id"] == f"sha256:{hashlib.sha256(large).hexdigest()}"
        tus = {"Tus-Resumable": "1.0.0"}
        url = http.post("/v1/uploads", headers=tus | {"Upload-Length": str(len(GOOD))}).headers["Location"]
        for start, end in ((0, 1000), (1000, len(GOOD))):
            headers = tus | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(start)}
            answer = http.patch(url, content=GOOD[start:end], headers=headers)
        assert answer.headers["Interlayer-Artifact"] == f"sha256:{hashlib.sha256(GOOD).hexdigest()}"


def test_the_service_sees_a_body_while_it_is_sent(proxy: Proxy) -> None:
    def until_seen() -> Iterator[bytes]:
        yield GOOD[:1000]
        while not proxy.service.temporary_files():
            time.sleep(0.01)
        yield GOOD[1000:]

    with proxy.caller() as http:
        answer = http.put("/v1/artifacts", content=until_seen(), headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 201


def test_events_arrive_when_they_happen(proxy: Proxy) -> None:
    with proxy.caller() as http:
        artifact = http.put("/v1/artifacts", content=GOOD).json()["id"]
        analysis = http.post("/v1/analyses", json={"inputs": [{"artifact": artifact}]}).json()["id"]
        with http.stream("GET", f"/v1/analyses/{analysis}/events") as events:
            lines = events.iter_lines()
            first = next(line for line in lines if line.startswith("data:"))
            assert '"queued"' in first
            # The analysis waits for a worker that will never come, so the first event has arrived while it waits.
            http.post(f"/v1/analyses/{analysis}/cancel").raise_for_status()
            assert any('"canceled"' in line for line in lines)


@pytest.mark.parametrize(("ended_tls", "is_secure"), [({"X-Forwarded-Proto": "https"}, True), ({}, False)])
def test_cookies_are_for_https_alone_where_an_ingress_ended_it(
    proxy: Proxy, ended_tls: dict[str, str], is_secure: bool
) -> None:
    own = {"Origin": proxy.url, "Sec-Fetch-Site": "same-origin"}
    answer = httpx.post(f"{proxy.url}/sign-in", data={"key": proxy.service.caller().key}, headers=own | ended_tls)
    assert answer.status_code == 303, answer.text
    assert ("; secure" in answer.headers["Set-Cookie"].lower()) is is_secure


def test_slow_headers_are_cut(proxy: Proxy) -> None:
    address = urlsplit(proxy.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: ")
        try:
            assert b"200" not in connection.recv(4096)
        except ConnectionResetError:
            pass  # nginx says nothing to those


def test_what_the_service_must_not_see_ends_at_the_proxy(proxy: Proxy) -> None:
    with proxy.caller() as http:
        too_large = http.post("/v1/analyses", content=b" " * 2_000_000, headers={"Content-Type": "application/json"})
        assert too_large.status_code == 413
        assert http.get("/metrics").status_code == 404
        assert http.get("/healthz").json() == {"status": "alive"}
