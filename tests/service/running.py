"""A real uvicorn on a free port, and callers of it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import update

from contract.jobs import Claim
from contract.schemas import Scope
from contract.settings import Settings
from contract.tables import jobs
from service.app import create_app
from service.connections import configuration
from service.deps import Stores
from tests.worker import files

ALL: tuple[Scope, ...] = ("read", "submit", "admin")


@dataclass
class Service:
    """A running service and its stores."""

    url: str
    settings: Settings
    stores: Stores
    _tenants: int = 0
    _clients: list[httpx.Client] = field(default_factory=list)

    def caller(self, tenant: str | None = None, scopes: tuple[Scope, ...] = ALL) -> "Caller":
        """Return a client of a tenant, a new one by default."""
        if tenant is None:
            self._tenants += 1
            tenant = f"tenant-{self._tenants}"
        key = self.stores.keys.create(tenant, "test", scopes)
        http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key.key}"}, timeout=60)
        self._clients.append(http)
        return Caller(http, tenant, key.key)

    def temporary_files(self) -> list[Path]:
        """Return what uploads have left in the making."""
        return list((self.settings.data_dir / "tmp").iterdir())

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients:
            client.close()


@dataclass
class Caller:
    """Somebody with a key."""

    http: httpx.Client
    tenant: str
    key: str

    def put(self, content: Any, **headers: str) -> httpx.Response:
        """Upload bytes."""
        types = {"Content-Type": "application/octet-stream"}
        return self.http.put("/v1/artifacts", content=content, headers=types | headers)

    def upload(self, seed: int = 0) -> str:
        """Upload a good file and return its id."""
        answer = self.put(npz_bytes(seed))
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["id"])

    def post(self, body: Any, **headers: str) -> httpx.Response:
        """Submit an analysis."""
        return self.http.post("/v1/analyses", json=body, headers=headers)

    def submit(self, artifact: str | None = None, **more: Any) -> str:
        """Submit an analysis and return its id."""
        answer = self.post({"inputs": [{"artifact": artifact or self.upload()}], **more})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


def npz_bytes(seed: int = 0) -> bytes:
    """Return a good file, the same for the same seed."""
    arrays = files.study_arrays(seed, n_per_class=36)
    return files.archive({f"{name}.npy": files.npy(array) for name, array in arrays.items()})


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    return answer.status_code, str(answer.json()["code"])


@contextmanager
def serving(settings: Settings) -> Iterator[Service]:
    """Serve over real HTTP while the block runs."""
    app = create_app(settings)
    server = uvicorn.Server(configuration(app, settings, port=0, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        service = Service(f"http://127.0.0.1:{port}", settings, app.state.stores)
        yield service
        service.close()
    finally:
        server.should_exit = True
        thread.join(60)


def claim_of(service: Service, analysis_id: str) -> Claim:
    """Take a queued analysis, as a worker would."""
    with service.stores.database.write() as connection:  # into a queue of its own, so that its turn comes first
        connection.execute(update(jobs).where(jobs.c.id == analysis_id).values(queue=analysis_id))
    claim = service.stores.jobs.claim("w", 1000.0, queues=[analysis_id])
    assert claim is not None
    return claim


def succeed(service: Service, analysis_id: str) -> None:
    """Bring a queued analysis to its end."""
    assert service.stores.jobs.succeed(claim_of(service, analysis_id), report_sha256="0" * 64, device="cpu")


def later(action: Any, *arguments: Any) -> threading.Timer:
    """Do it while the caller waits."""
    timer = threading.Timer(0.3, action, arguments)
    timer.start()
    return timer
