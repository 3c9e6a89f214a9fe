"""Both clients and the commands against a real service with a real worker; and none of its operations forgotten."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from contract.schemas import AnalysisRequest
from contract.settings import Settings
from interlayer.__main__ import run
from interlayer.client import AsyncClient, Client, uploads
from interlayer.errors import RequestRefused, ServiceUnreachable
from interlayer.frames import report_frame
from tests.e2e.activations import write_study
from tests.service.running import Caller, Service, serving
from tests.worker.jobs import next_claim, runner_of

# Operation → the method of both clients that makes it.
METHODS = {
    "put_artifact": "upload",
    "get_artifact": "artifact",
    "delete_artifact": "delete_artifact",
    "create_upload": "upload",
    "get_upload": "upload",
    "append_upload": "upload",
    "create_analysis": "submit",
    "estimate_analysis": "estimate",
    "get_analysis": "status",
    "list_analyses": "analyses",
    "watch_analysis": "events",
    "cancel_analysis": "cancel",
    "retry_analysis": "retry",
    "get_finished_layers": "layers",
    "get_chart": "chart",
    "get_table": "table",
    "get_stored_chart": "chart",
    "get_stored_table": "table",
    "delete_analysis": "delete_analysis",
    "get_report_as": "report_as",
    "push_report": "push_report",
    "list_reports": "reports",
    "get_stored_report_as": "report_as",
    "delete_report": "delete_report",
    "list_baselines": "baselines",
    "get_baseline": "baseline",
    "put_baseline": "bless",
    "delete_baseline": "delete_baseline",
    "get_baseline_history": "baseline_history",
    "compare_reports": "compare",
    "list_keys": "api_keys",
    "create_key": "create_key",
    "delete_key": "delete_key",
    "rotate_key": "rotate_key",
    "list_audit": "audit_log",
    "get_capabilities": "capabilities",
    "list_models": "models",
    "readyz": "ready",
}
# Operation → why no method makes it.
WITHOUT = {
    "post_artifact": "a form, for browsers; `upload` sends the bytes themselves",
    "list_charts": "`chart` refuses an unknown name with the names that there are",
    "list_stored_charts": "likewise",
    "delete_upload": "an upload that nobody goes on with expires by itself",
    "get_report": "`report_as` names the form it wants instead of negotiating",
    "get_stored_report": "likewise",
    "get_report_schema": "`contract.schemas.Report` is that schema",
    "get_policy_schema": "for editors; `interlayer policy schema` prints it without a service",
    "get_metrics": "for Prometheus",
    "healthz": "for supervisors, who look at the process and not at the service",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a worker in a thread."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), free_disk_reserve_bytes=0, worker_threads=1)
    stop = threading.Event()
    with serving(settings) as running:

        def work() -> None:
            with runner_of(settings, running.stores.database) as runner:
                while not stop.is_set():
                    claim = next_claim(settings, running.stores.database)
                    if claim is None:
                        stop.wait(0.05)
                    else:
                        runner.run(claim)

        worker = threading.Thread(target=work)
        worker.start()
        yield running
        stop.set()
        worker.join()


@pytest.fixture
def caller(service: Service) -> Caller:
    """A new tenant."""
    return service.caller()


def clients(service: Service, key: str) -> Iterator[Callable[..., Any]]:
    """Yield both clients, as functions of a method's name and arguments."""
    with Client(service.url, key) as client:
        yield lambda method, *args, **kwargs: getattr(client, method)(*args, **kwargs)

    def call(method: str, *args: Any, **kwargs: Any) -> Any:
        async def once() -> Any:
            async with AsyncClient(service.url, key) as client:
                return await getattr(client, method)(*args, **kwargs)

        return asyncio.run(once())

    yield call


def test_from_a_file_to_a_blessed_report(service: Service, caller: Caller, tmp_path: Path) -> None:
    path = write_study(tmp_path / "run.npz")
    for number, call in enumerate(clients(service, caller.key)):
        artifact = call("upload", path)
        assert call("artifact", artifact.id).id == artifact.id
        request = AnalysisRequest.model_validate({"inputs": [{"artifact": artifact.id}], "seed": number})
        assert call("submit", request, idempotency_key=f"k{number}").id == (
            call("submit", request, idempotency_key=f"k{number}").id
        )
        analysis = call("wait", call("submit", request).id, on_progress=lambda _: None)
        assert analysis.status == "succeeded", analysis.error
        assert call("estimate", request).class_pairs == 3
        assert len(call("analyses").items) == 2 + number  # one of the first round is deleted in the end
        assert call("layers", analysis.id).separations == call("report", analysis.id).separations
        report = call("report", analysis.id)
        pushed = call("push_report", report)
        blessed = call("bless", f"main-{number}", analysis.id, note="ships")
        assert (blessed.version, blessed.report.id, blessed.note) == (1, pushed.id, "ships")
        assert call("bless", f"main-{number}", pushed.id).version == 2
        with pytest.raises(RequestRefused, match="baseline_changed"):
            call("bless", f"main-{number}", pushed.id, version=1)
        assert [change.version for change in call("baseline_history", f"main-{number}")] == [2, 1]
        assert call("report", f"main-{number}") == report
        assert call("report_as", pushed.id, "md").startswith(b"#")
        assert call("chart", pushed.id, "layers") == call("chart", analysis.id, "layers")
        assert call("table", f"main-{number}", "tests") == call("table", analysis.id, "tests")
        with pytest.raises(RequestRefused, match="report_blessed"):
            call("delete_report", pushed.id)
        assert call("compare", f"main-{number}", analysis.id).comparable
        call("delete_baseline", f"main-{number}", version=2)
        assert call("baselines") == []
        call("delete_report", pushed.id)
        assert call("reports").items == []
        call("delete_analysis", analysis.id)
        assert call("ready") is True
        assert call("capabilities")["report_schema_version"] == report.schema_version
        assert call("models").models == []
        key = call("create_key", "robot", ["read"])
        assert key.id in {found.id for found in call("api_keys")}
        assert call("rotate_key", key.id, overlap_seconds=0).key != key.key
        assert call("audit_log", limit=1).items[0].action
        call("delete_key", key.id)


def test_events_of_a_real_analysis(service: Service, caller: Caller, tmp_path: Path) -> None:
    with Client(service.url, caller.key) as client:
        artifact = client.upload(write_study(tmp_path / "run.npz"))
        request = AnalysisRequest.model_validate({"inputs": [{"artifact": artifact.id}]})
        analysis = client.submit(request)
        states = [found.status for found in client.events(analysis.id)]
        assert states[-1] == "succeeded"

        async def again() -> list[str]:
            async with AsyncClient(service.url, caller.key) as other:
                return [found.status async for found in other.events(analysis.id)]

        assert asyncio.run(again()) == ["succeeded"]


def test_baselines_from_the_command_line(
    service: Service,
    caller: Caller,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INTERLAYER_SERVER", service.url)
    monkeypatch.setenv("INTERLAYER_KEY", caller.key)
    study, report = write_study(tmp_path / "run.npz"), tmp_path / "report.json"
    assert run(["analyze", str(study), "-o", str(report)]) == 0
    capsys.readouterr()

    def said(*arguments: str, code: int = 0) -> str:
        assert run(list(arguments)) == code, capsys.readouterr().err
        out, err = capsys.readouterr()
        return out if code == 0 else err

    report_id = said("push", str(report)).strip()
    assert "baseline_not_found" in said("baseline", "show", "main", code=4)
    assert "version 1" in said("baseline", "bless", "main", str(report), "--note", "the first that ships")
    assert report_id in said("baseline", "show", "main")
    assert "version 2" in said("baseline", "bless", "main", report_id)
    assert "baseline_changed" in said("baseline", "bless", "main", report_id, "--version", "1", code=4)
    history = said("baseline", "history", "main")
    assert [line.split()[0] for line in history.splitlines()] == ["2", "1"]
    assert "the first that ships" in history
    assert "main  version 2" in said("baseline", "list")
    assert "identical" in said("baseline", "diff", "main", str(report))
    assert '"comparable":true' in said("baseline", "diff", "main", report_id, "--json")
    copy = tmp_path / "copy.json"
    said("baseline", "get", "main", "-o", str(copy))
    assert copy.read_bytes() == report.read_bytes()
    assert "1.Dense" in said("report", "main")
    assert "there is no file" in said("baseline", "bless", "main", "absent.json", code=2)
    assert "is not an interlayer report" in said("push", str(study), code=2)
    said("baseline", "delete", "main")
    assert said("baseline", "list") == ""


def test_a_large_file_goes_in_parts(
    service: Service, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(uploads, "SMALL_BYTES", 1000)
    monkeypatch.setattr(uploads, "PART_BYTES", 10_000)
    for number, call in enumerate(clients(service, caller.key)):
        path = tmp_path / f"run-{number}.npz"
        rng = np.random.default_rng(number)
        np.savez(path, labels=np.repeat([0, 1], 300), layer=rng.normal(size=(600, 8)))
        progress: list[int] = []
        artifact = call("upload", path, on_progress=lambda sent, _, progress=progress: progress.append(sent))
        assert artifact.bytes == path.stat().st_size == progress[-1]
        assert len(progress) > 3
        assert call("artifact", artifact.id).id == artifact.id


class BreaksOff(httpx.HTTPTransport):
    """A network that carries some parts of uploads and then none."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.parts = parts

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, or lose it."""
        if request.method == "PATCH":
            self.parts -= 1
            if self.parts < 0:
                raise httpx.WriteError("broken pipe", request=request)
        return super().handle_request(request)


def test_an_upload_goes_on_in_a_new_process(
    service: Service, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(uploads, "SMALL_BYTES", 1000)
    monkeypatch.setattr(uploads, "PART_BYTES", 10_000)
    path = tmp_path / "run.npz"
    np.savez(path, labels=np.repeat([0, 1], 300), layer=np.random.default_rng(5).normal(size=(600, 10)))
    with (
        Client(service.url, caller.key, transport=BreaksOff(2)) as client,
        pytest.raises(ServiceUnreachable, match="broken pipe"),
    ):
        client.upload(path)
    with Client(service.url, caller.key) as client:
        sent: list[int] = []
        client.upload(path, on_progress=lambda offset, _: sent.append(offset))
    assert sent[0] == 20_000
    assert sent[-1] == path.stat().st_size


def test_every_operation_has_a_method_or_a_reason(caller: Caller) -> None:
    paths = caller.http.get("/openapi.json").json()["paths"]
    operations = {operation["operationId"] for methods in paths.values() for operation in methods.values()}
    assert operations == METHODS.keys() | WITHOUT.keys()
    assert not METHODS.keys() & WITHOUT.keys()
    for method in METHODS.values():
        assert callable(getattr(Client, method))
        assert callable(getattr(AsyncClient, method))


def test_a_report_as_a_data_frame(tmp_path: Path) -> None:
    from interlayer.local import LocalInput, analyze

    path = write_study(tmp_path / "run.npz")
    report = analyze([LocalInput(path), LocalInput(path, split="validation")])
    frame = report_frame(report)
    assert len(frame) == 2 * 2 * 3
    means = frame.groupby(["split", "layer"], observed=True)["statistic"].mean()
    for separation in report.separations:
        assert means[separation.split, separation.layer] == pytest.approx(separation.mean)
    assert frame["step"].isna().all()
    assert list(frame["layer"].cat.categories) == report.layers
