"""A service as a process of its own, whose memory and processor time can be told from the test's."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from contract.database import Database
from contract.keys import Keys
from contract.settings import Settings


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


@contextmanager
def service_process(data: Path, **more: int) -> Iterator[Process]:
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
