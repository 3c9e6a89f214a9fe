"""An installation of either profile that the fault suite may mistreat: its processes, its servers, its database."""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import SecretStr
from sqlalchemy import select

from contract.database import Database
from contract.jobs import FINAL
from contract.keys import ALL_SCOPES, Keys
from contract.settings import Settings
from contract.tables import jobs
from tests.e2e.processes import descendants, is_gone
from tests.faults import history
from tests.faults.servers import Broker, postgresql
from tests.faults.signals import kill_all, send_signal, state_of

Profile = Literal["embedded", "cluster"]
ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240.0
LEASE_SECONDS = 3.0
_MARK = "STAND_OF_FAULTS"  # reaches the computing processes too, which get no setting
_MODULES = {"service": "service.app", "dispatcher": "worker.dispatch"}


class Stuck(Exception):
    """Something that must happen did not, however long it was waited for."""


class Stand:
    """Use it as a context manager. Roles are `service-1`, `worker-2`, `dispatcher-1`, `broker`."""

    def __init__(
        self, profile: Profile, *, seed: int, without: str | None = None, patience: float = 0, keep_history: bool = True
    ) -> None:
        self.profile, self.random, self.without = profile, random.Random(seed), without
        self.patience = patience or PATIENCE_SECONDS
        self.kills: Counter[str] = Counter()
        self.deaths: list[str] = []  # of processes that nobody killed
        self.folder = Path(tempfile.mkdtemp(prefix="interlayer-faults-"))
        self.data = self.folder / "data"
        self._keep_history = keep_history
        self.changed: dict[str, str] = {}  # settings of processes started from now on
        self.clocks: dict[str, float] = {}
        self._halts: dict[str, str] = {}
        self._exits = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._sockets = {role: socket.create_server(("127.0.0.1", 0)) for role in self._roles("service")}
        self.urls = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in self._sockets.values()]
        self.url: str | None = None  # of the database, where there is a server
        self.broker = Broker(self.folder)

    def _roles(self, kind: str) -> list[str]:
        count = {"service": 2 if self.cluster else 1, "worker": 2, "dispatcher": 2 * self.cluster}[kind]
        return [f"{kind}-{n + 1}" for n in range(count)]

    @property
    def cluster(self) -> bool:
        """Whether there are a broker and a database server."""
        return self.profile == "cluster"

    @property
    def workers(self) -> list[str]:
        """The roles of the workers."""
        return self._roles("worker")

    @property
    def services(self) -> list[str]:
        """The roles of the services."""
        return self._roles("service")

    @property
    def dispatchers(self) -> list[str]:
        """The roles of the dispatchers: two, which do no harm to each other."""
        return self._roles("dispatcher")

    @property
    def roles(self) -> list[str]:
        """Every role that runs our code."""
        return [*self.services, *self.dispatchers, *self.workers]

    @property
    def running(self) -> list[str]:
        """The roles that have a process."""
        return list(self._processes)

    def __enter__(self) -> Self:
        url = None
        if self.cluster:
            url = self._exits.enter_context(postgresql())
            self.start_broker()
        self.settings = Settings(data_dir=self.data, database_url=None if url is None else SecretStr(url))
        self.url = url
        self.database = Database(self.settings)
        self.database.upgrade()
        if self._keep_history:
            history.install(self.database)
        keys = Keys(self.database)
        self.keys = {tenant: keys.create(tenant, "faults", ALL_SCOPES).key for tenant in ("a", "b")}
        for role in self.roles:
            self.start(role)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            kill_all(process)
        for pid in self.orphans():
            send_signal(pid, signal.SIGKILL)
        self.database.close()
        self._exits.close()
        for each in self._sockets.values():
            each.close()

    # -- processes ------------------------------------------------------------------------------------------------

    def _environment(self) -> dict[str, str]:
        found = {
            "INTERLAYER_DATA_DIR": str(self.data),
            "INTERLAYER_LEASE_SECONDS": str(LEASE_SECONDS),
            "INTERLAYER_MAX_ATTEMPTS": "1000",  # only the poison trial is about giving up
            "INTERLAYER_MAX_UNFINISHED_JOBS": "100000",
            "INTERLAYER_FREE_DISK_RESERVE_BYTES": "0",
            "INTERLAYER_RESEND_SECONDS": "1",
            "INTERLAYER_TRANSACTION_SECONDS": "2",
            "INTERLAYER_WORKER_THREADS": "1",
            _MARK: self.folder.name,
        }
        if self.url is not None:
            found["INTERLAYER_DATABASE_URL"] = self.url
            found["INTERLAYER_BROKER_URL"] = self.broker.url
        return os.environ | found | self.changed

    def start(self, role: str) -> None:
        """Start the process of a role."""
        kind = role.partition("-")[0]
        module = _MODULES.get(kind) or ("worker.app" if self.cluster else "worker.poll")
        options = [] if self.without is None else ["--without", self.without]
        if role in self.clocks:
            options += ["--clock", str(self.clocks[role])]
        if role in self._halts:
            options += ["--halt", self._halts[role]]
        arguments: list[str] = []
        descriptors: tuple[int, ...] = ()
        if kind == "service":
            number = self._sockets[role].fileno()
            arguments, descriptors = ["--fd", str(number)], (number,)
        elif self.cluster and kind == "worker":
            arguments = ["--concurrency", "1"]
        with (self.folder / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.launch", *options, module, *arguments],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
                start_new_session=True,
            )
        with self._lock:
            self._processes[role] = process

    def pid(self, role: str) -> int:
        """Return the process of a role."""
        return self._processes[role].pid

    def kill(self, role: str) -> None:
        """Kill the process of a role, as kill -9 does, and start it anew."""
        self.kills[role.partition("-")[0]] += 1
        self._processes[role].kill()
        self._processes[role].wait()
        self.start(role)

    def kill_child(self, role: str) -> None:
        """Kill one of the processes that compute for a worker."""
        children = descendants(self.pid(role))
        if children:
            self.kills["child"] += 1
            send_signal(self.random.choice(children), signal.SIGKILL)

    def freeze(self, role: str) -> None:
        """Stop the process of a role, but not its children."""
        self.kills["frozen"] += 1
        send_signal(self.pid(role), signal.SIGSTOP)

    def thaw(self, role: str) -> None:
        """Let it go on."""
        send_signal(self.pid(role), signal.SIGCONT)

    def restart(self, role: str) -> int:
        """End the process of a role as an administrator does, start it anew, and return its exit status."""
        process = self._processes[role]
        process.terminate()
        try:
            status = process.wait(self.patience)
        except subprocess.TimeoutExpired:
            kill_all(process)
            status = -int(signal.SIGKILL)
        self.start(role)
        return status

    def halting(self, role: str, halt: str) -> None:
        """Start the process of a role anew, as one that kills or stops itself in a moment of `tests.faults.halts`."""
        self._processes[role].kill()
        self._processes[role].wait()
        self._halts[role] = halt
        try:
            self.start(role)
        finally:
            del self._halts[role]

    def has_halted(self, role: str) -> bool:
        """Tell whether the process of a role has been killed, or stands still."""
        return state_of(self.pid(role)) in "ZT"

    def go_on(self, role: str) -> None:
        """Start the process of a role anew where it was killed, and let it go on where it stands still."""
        if state_of(self.pid(role)) == "Z":
            self.kills[role.partition("-")[0]] += 1
            self._processes[role].wait()
            self.start(role)
        else:
            self.kills["frozen"] += 1
            self.thaw(role)

    def end(self, role: str) -> None:
        """End the process of a role, until it is started again."""
        process = self._processes.pop(role)
        process.terminate()
        process.wait(self.patience)

    def reconfigure(self, *, clocks: dict[str, float] | None = None, **settings: str) -> None:
        """Restart workers and dispatcher with other settings than usual."""
        self.changed = {f"INTERLAYER_{name.upper()}": value for name, value in settings.items()}
        self.clocks = clocks or {}
        for role in self.roles:
            if not role.startswith("service"):
                self.restart(role)

    def revive(self) -> None:
        """Start what died of itself, and remember that it did."""
        for role, process in list(self._processes.items()):
            if role != "broker" and process.poll() is not None:
                self.deaths.append(f"{role} ended by itself with status {process.returncode}")
                self.start(role)

    def orphans(self) -> list[int]:
        """Return processes of this installation that none of its living processes has started."""
        marked = self._marked()  # first: one that is started meanwhile has a parent by then
        owned = set()
        for process in self._processes.values():
            owned |= {process.pid, *descendants(process.pid)}
        return [pid for pid in marked if pid not in owned and not is_gone(pid)]

    def _marked(self) -> list[int]:
        mark, found = f"{_MARK}={self.folder.name}".encode(), []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    # -- the broker -----------------------------------------------------------------------------------------------

    def start_broker(self) -> None:
        """Start the broker, empty."""
        self._processes["broker"] = self.broker.start()
        self.until(self.broker.answers, "the broker")

    def stop_broker(self) -> None:
        """Kill the broker, which forgets everything."""
        self.kills["broker"] += 1
        self._processes["broker"].kill()
        self._processes["broker"].wait()

    # -- waiting --------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], what: str, *, seconds: float | None = None) -> None:
        """Wait for a condition; nothing depends on how long that takes."""
        seconds = seconds or self.patience
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise Stuck(f"waited {seconds:g} s for {what}")
            time.sleep(0.05)

    def until_ended(self, ids: set[str]) -> None:
        """Wait until these jobs have ended, as long as anything goes on in the database."""
        end, last, length = time.monotonic() + 4 * self.patience, time.monotonic(), 0
        while unfinished := self.unfinished(ids):
            self.revive()
            if (now := history.length(self.database)) != length:
                last, length = time.monotonic(), now
            if time.monotonic() > min(end, last + self.patience):
                raise Stuck(f"{len(unfinished)} jobs do not end, {min(unfinished)} for one")
            time.sleep(0.1)

    def unfinished(self, ids: set[str]) -> set[str]:
        """Return those of the jobs that have not ended."""
        query = select(jobs.c.id).where(jobs.c.state.not_in(FINAL), jobs.c.kind == "analysis")
        with self.database.read() as connection:
            return ids & set(connection.execute(query).scalars())

    def finished(self, ids: set[str]) -> int:
        """Return how many of the jobs have ended."""
        return len(ids & history.ended(self.database))
