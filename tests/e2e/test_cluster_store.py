"""The cluster profile with its files in a bucket: hosts that share nothing but database, broker and store."""

import hashlib
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from contract.schemas import AnalysisRequest
from interlayer.client import Client
from tests.e2e.activations import write_study
from tests.e2e.processes import until
from tests.e2e.test_cluster import Cluster, free_port, postgres
from tests.faulty_proxy import FaultyProxy
from tests.seaweed import SECRET_KEY, Seaweed

TUS = {"Tus-Resumable": "1.0.0"}


class Hosts(Cluster):
    """Processes with a data directory each, as on hosts of their own, and a proxy before the store."""

    url_of_blobs: str
    store: dict[str, str]

    def on(self, host: str, service: str, **changes: str) -> None:
        """Start a service of the compose file on a host."""
        data = {"INTERLAYER_DATA_DIR": str(self.data(host)), "INTERLAYER_BLOBS_URL": self.url_of_blobs}
        self.start(host, service, **data, **self.store, **changes)

    def data(self, host: str) -> Path:
        return self.folder / host

    def kill(self, host: str) -> None:
        """End a host's process as a power cut would."""
        os.killpg(self.processes[host].pid, signal.SIGKILL)
        self.processes[host].wait()

    def cached(self, host: str) -> set[str]:
        return {path.name for path in (self.data(host) / "cache").rglob("*") if path.is_file()}


@pytest.fixture
def hosts(
    faulty: FaultyProxy, seaweed: Seaweed, bucket_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    with ExitStack() as stack:
        database_url = stack.enter_context(postgres())
        found = Hosts(tmp_path_factory.mktemp("hosts"), database_url, free_port(), free_port())
        found.url_of_blobs, found.store = bucket_url, seaweed.environment(faulty.port)
        stack.callback(found.stop)
        stack.callback(faulty.heal)
        found.start_redis()
        found.on("service", "service")
        yield found


def submit(client: Client, artifact: str, seed: int) -> str:
    request = {"inputs": [{"artifact": artifact}], "seed": seed, "tests": {"n_resamples": 99}}
    return client.submit(AnalysisRequest.model_validate(request)).id


def content_of(path: Path) -> tuple[bytes, str]:
    content = path.read_bytes()
    return content, hashlib.sha256(content).hexdigest()


def test_two_workers_share_nothing_but_the_store(hosts: Hosts, faulty: FaultyProxy, tmp_path: Path) -> None:
    with Client(hosts.url, hosts.first_key()) as client:
        hosts.on("dispatcher", "dispatcher")
        for host in ("worker 1", "worker 2"):
            hosts.on(host, "worker-cpu")
        artifact = client.upload(write_study(tmp_path / "run.npz", layers=12))
        sha256 = artifact.id.removeprefix("sha256:")
        ids: list[str] = []

        def both_have_worked() -> bool:
            more = [submit(client, artifact.id, len(ids) + number) for number in range(4)]
            assert {client.wait(each).status for each in more} == {"succeeded"}
            ids.extend(more)
            return hosts.cached("worker 1") == hosts.cached("worker 2") == {sha256}

        until(both_have_worked, "work for both")
        assert client.report(ids[0]).classes == ["0", "1", "2"]
        fetched = [each for each in faulty.seen if each.method == "GET" and sha256 in each.path]
        assert len(fetched) == 2, "once a host"
        client.delete_artifact(artifact.id)
    for host in ("service", "worker 1", "worker 2"):
        assert not list(hosts.data(host).rglob("*.json")), "reports are in the store alone"
        assert SECRET_KEY not in hosts.log(host)
        command = Path(f"/proc/{hosts.processes[host].pid}/cmdline").read_bytes()
        assert SECRET_KEY.encode() not in command


def test_a_service_that_is_killed_while_it_stores(hosts: Hosts, faulty: FaultyProxy, tmp_path: Path) -> None:
    content, sha256 = content_of(write_study(tmp_path / "run.npz"))
    authorized = {"Authorization": f"Bearer {hosts.first_key()}"}
    created = httpx.post(
        f"{hosts.url}/v1/uploads", headers=authorized | TUS | {"Upload-Length": str(len(content))}, timeout=60
    )
    url = f"{hosts.url}{created.headers['Location']}"
    faulty.always("hang", "PUT")
    sending = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.patch(url, content=content, headers=authorized | TUS | sending, timeout=5)
    until(lambda: any(each.method == "PUT" for each in faulty.seen), "the service to be storing")
    hosts.kill("service")
    faulty.released.set()
    faulty.rule = lambda _method, _path: None
    hosts.on("service", "service")
    hosts.first_key()
    answer = until(
        lambda: found if (found := httpx.head(url, headers=authorized | TUS, timeout=60)).status_code == 200 else None,
        "the service",
    )
    assert answer.headers["Interlayer-Artifact"] == f"sha256:{sha256}"
    known = httpx.get(f"{hosts.url}/v1/artifacts/sha256:{sha256}", headers=authorized, timeout=60)
    assert known.json()["bytes"] == len(content)
    assert list((hosts.data("service") / "uploads").iterdir()) == []


def test_a_worker_that_is_killed_while_it_fetches(hosts: Hosts, faulty: FaultyProxy, tmp_path: Path) -> None:
    with Client(hosts.url, hosts.first_key()) as client:
        artifact = client.upload(write_study(tmp_path / "run.npz"))
        sha256 = artifact.id.removeprefix("sha256:")
        faulty.rule = lambda method, path: "hang" if method == "GET" and sha256 in path else None
        hosts.on("dispatcher", "dispatcher")
        hosts.on("worker 1", "worker-cpu")
        analysis = submit(client, artifact.id, 0)
        until(lambda: client.status(analysis).status == "running", "the analysis")
        until(lambda: any(each.fault == "hang" for each in faulty.seen), "the worker to be fetching")
        until(lambda: hosts.cached("worker 1") == {f"{sha256}.part"}, "a part of the file")
        hosts.kill("worker 1")
        faulty.heal()
        hosts.on("worker 1", "worker-cpu")  # on the same host, with what the dead one has left
        finished = client.wait(analysis)
        assert (finished.status, finished.execution.attempts) == ("succeeded", 2)
        assert hosts.cached("worker 1") == {sha256}
