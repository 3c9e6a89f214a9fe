"""What the service costs beside a bare one on the same server, as ratios. `python -m bench.service [--quick]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
Figure = dict[str, Any]
_MEGABYTE = 2**20
_BARE = """
import socket, sys
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
import uvicorn

async def small(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse({"id": "an_0", "status": "queued"})

async def discard(request: Request) -> JSONResponse:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return JSONResponse({"bytes": size})

app = Starlette(routes=[Route("/small", small, methods=["GET", "POST"]), Route("/discard", discard, methods=["PUT"])])
uvicorn.run(app, fd=int(sys.argv[1]), http="httptools", log_level="critical", access_log=False)
"""


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[tuple[str, int]]:
    """Run a server on a free port; yield its URL and process id."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # uvicorn leaves it out for inherited sockets
        process = subprocess.Popen(
            [sys.executable, *command, str(listening.fileno())],
            env=os.environ | environment,
            pass_fds=(listening.fileno(),),
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            httpx.get(f"{url}/healthz", timeout=60)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait(60)


def figures(quick: bool, requests: int = 0) -> list[Figure]:
    """Measure everything against a service and a bare server, both of them processes of their own.

    With `requests`, only so many small ones of each kind are measured.
    """
    folder = Path(tempfile.mkdtemp(prefix="interlayer-bench-"))
    limits = {"INTERLAYER_MAX_UNFINISHED_JOBS": "1000000", "INTERLAYER_DATA_DIR": str(folder)}
    try:
        key = _new_key(folder)
        with (
            running(["-c", _BARE]) as (bare, _),
            running(["-m", "service.app", "--fd"], **limits) as (url, pid),
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=600) as ours,
            httpx.Client(base_url=bare, timeout=600) as other,
        ):
            body = {"inputs": [{"artifact": ours.put("/v1/artifacts", content=_small_file()).json()["id"]}]}
            if requests:
                return _small_requests(ours, other, body, requests)
            return [
                *_small_requests(ours, other, body, 200 if quick else 1000),
                *_uploads(ours, other, pid, key, folder, quick),
                _beside_uploads(ours, key, 100 if quick else 300),
                _newest_of_many(ours, body, 500 if quick else 10_000),
            ]
    finally:
        shutil.rmtree(folder)


def _new_key(folder: Path) -> str:
    from contract.database import Database
    from contract.keys import Keys
    from contract.settings import Settings

    database = Database(Settings(data_dir=folder))
    database.upgrade()
    key = Keys(database).create("bench", "bench", ["read", "submit"]).key
    database.close()
    return key


def _small_file() -> bytes:
    from tests.service.running import npz_bytes

    return npz_bytes(1)


def _figure(name: str, value: float, limit: float, *, least: bool = False, **more: Any) -> Figure:
    return {"name": name, "value": value, "limit": limit, "least": least, **more}


def _milliseconds(work: Callable[[], httpx.Response]) -> float:
    start = time.perf_counter()
    work().raise_for_status()
    return (time.perf_counter() - start) * 1000


def _interleaved(n: int, **works: Callable[[], httpx.Response]) -> dict[str, list[float]]:
    for work in works.values():
        for _ in range(20):
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(n):
        for name, work in works.items():
            times[name].append(_milliseconds(work))
    return {name: sorted(each) for name, each in times.items()}


def _quantile(ordered: list[float], q: float) -> float:
    return ordered[min(len(ordered) - 1, round(q * len(ordered)))]


def _small_requests(ours: httpx.Client, bare: httpx.Client, body: dict[str, Any], n: int) -> list[Figure]:
    job = ours.post("/v1/analyses", json=body).json()["id"]
    times = _interleaved(
        n,
        bare_post=lambda: bare.post("/small", json=body),
        post=lambda: ours.post("/v1/analyses", json=body),
        bare_get=lambda: bare.get("/small"),
        get=lambda: ours.get(f"/v1/analyses/{job}"),
    )
    found = []
    for q, limit in ((0.5, 5.0), (0.95, 8.0), (0.99, 10.0)):
        reference, value = _quantile(times["bare_post"], q), _quantile(times["post"], q)
        name = f"POST /v1/analyses ÷ bare POST, p{q * 100:.0f}"
        found.append(_figure(name, value / reference, limit, milliseconds=[reference, value]))
    reference, value = statistics.median(times["bare_get"]), statistics.median(times["get"])
    found.append(
        _figure("GET /v1/analyses/{id} ÷ bare GET, p50", value / reference, 2.5, milliseconds=[reference, value])
    )
    return found


def _uploads(ours: httpx.Client, bare: httpx.Client, pid: int, key: str, folder: Path, quick: bool) -> list[Figure]:
    size, repeats = (64, 3) if quick else (256, 7)
    rates: dict[str, list[float]] = {"discard": [], "put": [], "tus": [], "loopback": [], "disk": []}
    for repeat in range(repeats + 1):
        for name, send in (
            ("discard", lambda n: _send(bare, "PUT", "/discard", n)),
            ("put", lambda n: _send(ours, "PUT", "/v1/artifacts", n, key)),
            ("tus", lambda n: _send_tus(ours, n, key)),
            ("loopback", _loopback),
            ("disk", lambda n: _write(folder / "plain", n)),
        ):
            start = time.perf_counter()
            send(size * _MEGABYTE)
            if repeat:
                rates[name].append(size / (time.perf_counter() - start))
    median = {name: statistics.median(each) for name, each in rates.items()}
    before = _peak(pid)
    _send(ours, "PUT", "/v1/artifacts", (256 if quick else 4096) * _MEGABYTE, key)
    shown = {"megabytes_per_second": {name: [min(each), median[name], max(each)] for name, each in rates.items()}}
    return [
        _figure(
            "upload to a file, with SHA-256 ÷ the same server discarding",
            median["put"] / median["discard"],
            0.45,
            least=True,
            **shown,
        ),
        _figure(
            "tus upload, with SHA-256 ÷ the same server discarding", median["tus"] / median["discard"], 0.45, least=True
        ),
        _figure("upload with SHA-256 ÷ raw loopback", median["put"] / median["loopback"], 0.15, least=True),
        _figure("peak memory after a file 16 times as large ÷ before", _peak(pid) / before, 1.1),
    ]


def _send(client: httpx.Client, method: str, path: str, size: int, key: str = "", **headers: str) -> bytes:
    """Send a body as fast as a socket takes it: no HTTP client in between."""
    base = client.base_url
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {size}", f"Authorization: Bearer {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    with socket.create_connection((base.host, base.port or 80), timeout=600) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\nConnection: close\r\n\r\n").encode())
        first = b"PK\x03\x04" + time.time_ns().to_bytes(12, "big")  # a new file each time
        block = bytes(_MEGABYTE)
        connection.sendall(first + block[len(first) :])
        for _ in range(size // _MEGABYTE - 1):
            connection.sendall(block)
        answer = connection.recv(65_536)
    if b" 20" not in answer[:13]:
        raise RuntimeError(answer.decode())
    return answer


def _send_tus(client: httpx.Client, size: int, key: str) -> None:
    version = {"Tus-Resumable": "1.0.0"}
    url = client.post("/v1/uploads", headers=version | {"Upload-Length": str(size)}).headers["Location"]
    headers = {"Tus_Resumable": "1.0.0", "Upload_Offset": "0", "Content_Type": "application/offset+octet-stream"}
    _send(client, "PATCH", url, size, key, **headers)


def _loopback(size: int) -> None:
    """Send as many bytes to a thread that throws them away."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def discard() -> None:
            connection, _ = listening.accept()
            with connection:
                while connection.recv(_MEGABYTE):
                    pass

        reader = threading.Thread(target=discard)
        reader.start()
        block = bytes(_MEGABYTE)
        with socket.create_connection(listening.getsockname()) as connection:
            for _ in range(size // _MEGABYTE):
                connection.sendall(block)
        reader.join()


def _write(path: Path, size: int) -> None:
    """Write as many bytes to the disk, and wait until they are there for good."""
    block = bytes(_MEGABYTE)
    with path.open("wb", buffering=0) as file:
        for _ in range(size // _MEGABYTE):
            file.write(block)
        os.fsync(file.fileno())
    path.unlink()


def _peak(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return float(found[1])


def _beside_uploads(ours: httpx.Client, key: str, n: int) -> Figure:
    """The time of small requests while four uploads run, each at 10 MB/s, ÷ when none does."""

    async def upload(stop: asyncio.Event) -> None:
        async def bytes_for_a_while() -> Any:
            yield b"PK\x03\x04" + os.urandom(12)
            while not stop.is_set():
                yield bytes(_MEGABYTE // 4)
                await asyncio.sleep(0.025)

        async with httpx.AsyncClient(base_url=ours.base_url, timeout=600) as client:
            headers = {"Authorization": f"Bearer {key}"}
            (await client.put("/v1/artifacts", content=bytes_for_a_while(), headers=headers)).raise_for_status()

    async def uploads(stop: asyncio.Event) -> None:
        await asyncio.gather(*(upload(stop) for _ in range(4)))

    def look() -> list[float]:
        return sorted(_milliseconds(lambda: ours.get("/v1/analyses", params={"limit": 1})) for _ in range(n))

    async def measure() -> tuple[list[float], list[float]]:
        idle = await asyncio.to_thread(look)
        stop = asyncio.Event()
        running_uploads = asyncio.create_task(uploads(stop))
        await asyncio.sleep(1)
        busy = await asyncio.to_thread(look)
        stop.set()
        await running_uploads
        return idle, busy

    idle, busy = asyncio.run(measure())
    times = [_quantile(idle, 0.95), _quantile(busy, 0.95)]
    return _figure(
        "other requests during 4 uploads of 10 MB/s ÷ idle, p95", times[1] / times[0], 3.0, milliseconds=times
    )


def _newest_of_many(ours: httpx.Client, body: dict[str, Any], n: int) -> Figure:
    for _ in range(n):
        ours.post("/v1/analyses", json=body).raise_for_status()
    times = sorted(_milliseconds(lambda: ours.get("/v1/analyses", params={"limit": 50})) for _ in range(50))
    nothing = sorted(_milliseconds(lambda: ours.get("/healthz")) for _ in range(50))
    value = statistics.median(times) - statistics.median(nothing)
    return _figure(f"newest 50 of {n} analyses, ms beyond an empty answer", value, 5.0)


def main() -> None:
    """Measure, print, and write `bench/results/service-<machine>.json`."""
    from bench.__main__ import machine

    parser = argparse.ArgumentParser(prog="python -m bench.service", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller")
    parser.add_argument("--requests", type=int, default=0, help="only so many small requests, and write nothing")
    parser.add_argument("--output", type=Path, help="JSON file (default: bench/results/service-<machine>.json)")
    options = parser.parse_args()
    own = machine()
    found = figures(options.quick, options.requests)
    own["load_after"] = os.getloadavg()[0]
    for each in found:
        kept = each["value"] >= each["limit"] if each["least"] else each["value"] <= each["limit"]
        wanted = f"{'at least' if each['least'] else 'at most'} {each['limit']:g}"
        print(f"{'ok  ' if kept else 'MISS'} {each['value']:8.3f}  ({wanted})  {each['name']}")
    if options.requests:
        return
    name = re.sub(r"[^a-z0-9]+", "-", f"{own['cpu']} {own['threads']} threads".lower()).strip("-")
    output = options.output or HERE / "results" / f"service-{name}.json"
    output.write_text(json.dumps({"machine": own, "figures": found}, indent=1) + "\n")
    print(f"wrote {output}")


if __name__ == "__main__":
    main()
