"""A service as a process of its own, whose memory and processor time can be told from the test's."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from contract.database import Database
from contract.keys import Keys
from contract.settings import Settings
from tests.service.running import npz_bytes

MOST_MEMORY = 32 * 2**20  # beyond what the service had; bodies are at most some megabytes before they are refused
MOST_CPU_SECONDS = 2.0  # of the processor, not by the clock: a busy machine makes nobody fail


@dataclass
class Process:
    """A service process that can be killed and started again on the same socket."""

    data: Path
    listening: socket.socket
    key: str
    settings: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        """What it has said."""
        return self.data.with_name(f"{self.data.name}.log")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        descriptor = self.listening.fileno()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.app", "--fd", str(descriptor)],
                env=os.environ | {"INTERLAYER_DATA_DIR": str(self.data)} | self.settings,
                pass_fds=(descriptor,),
                stderr=log,
            )
        httpx.get(f"{self.url}/healthz", timeout=120).raise_for_status()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def offset(self, url: str) -> int:
        """Return what the service says has arrived."""
        headers = {"Tus-Resumable": "1.0.0", "Authorization": f"Bearer {self.key}"}
        return int(httpx.head(url, headers=headers, timeout=120).headers["Upload-Offset"])

    def reset_peak_memory(self) -> None:
        """Forget the most memory that it has had."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used, which no other load on the machine makes longer."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> int:
        """Return the most memory that it has ever had."""
        match = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert match is not None
        return int(match[1]) * 1024

    def bytes_read(self) -> int:
        """Return the bytes that it has read, from clients and from files."""
        match = re.search(r"rchar: (\d+)", Path(f"/proc/{self.process.pid}/io").read_text())
        assert match is not None
        return int(match[1])

    def descriptors(self) -> int:
        """Return the number of its connections, and of files that it has open and that have no name any more."""
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(_target(link).startswith("socket:") or _target(link).endswith("(deleted)") for link in links)

    def kept(self) -> list[Path]:
        """Return every file of the installation but its database."""
        return sorted(path for path in self.data.rglob("*") if path.is_file() and ".sqlite3" not in path.name)

    def send(self, method: str, path: str, body: bytes = b"", /, **headers: str) -> httpx.Response:
        """Send a request with the key; underscores in names of headers become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        bearer = {"Authorization": f"Bearer {self.key}"}
        return httpx.request(method, self.url + path, content=body, headers=bearer | named, timeout=120)

    def serve_well(self, seed: int = 0) -> None:
        """Send good requests, which must be answered as they should be."""
        artifact = self.send("PUT", "/v1/artifacts", npz_bytes(seed)).json()["id"]
        body = json.dumps({"inputs": [{"artifact": artifact}]}).encode()
        accepted = self.send("POST", "/v1/analyses", body, Content_Type="application/json")
        assert accepted.status_code == 202, accepted.text
        path = f"/v1/analyses/{accepted.json()['id']}"
        assert self.send("POST", f"{path}/cancel").status_code == 200

    @contextmanager
    def little_cost(
        self, memory: int = MOST_MEMORY, cpu_seconds: float = MOST_CPU_SECONDS, read: int | None = None
    ) -> Iterator[None]:
        """Demand that what the block sends costs little and leaves no file and no connection, and that all goes on."""
        files, descriptors = self.kept(), self.descriptors()
        self.reset_peak_memory()
        peak, work, bytes_read = self.peak_memory(), self.cpu_seconds(), self.bytes_read()
        yield
        assert self.peak_memory() - peak < memory
        assert self.cpu_seconds() - work < cpu_seconds
        assert read is None or self.bytes_read() - bytes_read < read
        _until(lambda: self.descriptors() <= descriptors, "connections and files to be closed")
        _until(lambda: self.kept() == files, "files to go away")
        self.serve_well()


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # closed meanwhile
        return ""


def _until(happened: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.02)


@contextmanager
def service_process(data: Path, **more: float) -> Iterator[Process]:
    """Have a service with some settings on a new data directory while the block runs."""
    settings = Settings(data_dir=data)
    settings.data_dir.mkdir()
    database = Database(settings)
    database.upgrade()
    key = Keys(database).create("a", "test", ["read", "submit"]).key
    database.close()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        named = {f"INTERLAYER_{name.upper()}": str(value) for name, value in more.items()}
        running = Process(data, listening, key, {"INTERLAYER_FREE_DISK_RESERVE_BYTES": "0"} | named)
        running.start()
        try:
            yield running
        finally:
            running.process.kill()
            running.process.wait(60)
