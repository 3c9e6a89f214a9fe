"""The embedded stack as a user has it: real processes, real HTTP, real SIGKILL."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from contract.schemas import AnalysisRequest, Report
from interlayer.client import Client
from tests.e2e.activations import write_long_study, write_study
from tests.e2e.processes import computing, descendants, interlayer_up, is_gone, until, worker_pid


def submit(client: Client, path: Path, **options: object) -> str:
    artifact = client.upload(path)
    request = AnalysisRequest.model_validate({"inputs": [{"artifact": artifact.id}], **options})
    return client.submit(request).id


def interlayer(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "interlayer", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=120,
    )


def test_a_study_from_files_to_report_with_the_command(tmp_path: Path) -> None:
    study = write_study(tmp_path / "run.npz")
    with interlayer_up(tmp_path / "data", tmp_path / "log") as up:
        service = {"INTERLAYER_SERVER": up.url, "INTERLAYER_KEY": up.key}
        estimated = interlayer("submit", str(study), "--estimate", **service)
        assert estimated.returncode == 0, estimated.stderr
        assert "s of computing" in estimated.stdout
        assert "MB of memory" in estimated.stdout
        submitted = interlayer("submit", str(study), "--tag", "team=vision", **service)
        assert submitted.returncode == 0, submitted.stderr
        analysis_id = submitted.stdout.strip()
        watched = interlayer("watch", analysis_id, **service)
        assert watched.returncode == 0, watched.stderr
        target = tmp_path / "report.json"
        reported = interlayer("report", analysis_id, "-o", str(target), **service)
        assert reported.returncode == 0, reported.stderr
        listed = interlayer("list", "--tag", "team:vision", **service)
        assert analysis_id in listed.stdout
    here = tmp_path / "here.json"
    local = interlayer("analyze", str(study), "-o", str(here))
    assert local.returncode == 0, local.stderr
    # The same request gives the same bytes, with a service or without.
    assert here.read_bytes() == target.read_bytes()
    report = Report.model_validate_json(target.read_bytes())
    assert [s.mean for s in report.separations] == sorted(s.mean for s in report.separations)


def test_a_killed_worker_is_replaced_and_its_analysis_finishes_once(tmp_path: Path) -> None:
    with interlayer_up(tmp_path / "data", tmp_path / "log", lease_seconds="2") as up, up.client() as client:
        analysis_id = submit(client, write_long_study(tmp_path / "long.npz"))
        running = until(lambda: computing(client, analysis_id), "the analysis to be under way")
        victim = worker_pid(running)
        children = descendants(victim)
        assert children, "the computation must be a process of its own"
        os.kill(victim, signal.SIGKILL)
        until(lambda: all(is_gone(pid) for pid in children), "the computing child to follow its parent")
        finished = client.wait(analysis_id)
        assert finished.status == "succeeded"
        assert finished.execution.attempts == 2
        assert worker_pid(finished) != victim
        assert len(client.report(analysis_id).layers) == 24


def test_a_killed_computing_child_costs_an_attempt_and_no_more(tmp_path: Path) -> None:
    with interlayer_up(tmp_path / "data", tmp_path / "log") as up, up.client() as client:
        analysis_id = submit(client, write_long_study(tmp_path / "long.npz"))
        running = until(lambda: computing(client, analysis_id), "the analysis to be under way")
        for child in descendants(worker_pid(running)):
            os.kill(child, signal.SIGKILL)
        finished = client.wait(analysis_id)
        assert (finished.status, finished.execution.attempts) == ("succeeded", 2)
        assert worker_pid(finished) == worker_pid(running)


def test_everything_is_still_there_after_the_whole_stack_was_killed(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    with interlayer_up(data, log, lease_seconds="2") as up, up.client() as client:
        analysis_id = submit(client, write_long_study(tmp_path / "long.npz"))
        until(lambda: computing(client, analysis_id), "the analysis to be under way")
        processes = descendants(up.process.pid)
        up.process.kill()
        up.process.wait()
        until(lambda: all(is_gone(pid) for pid in processes), "the other processes to follow")
        key = up.key
    with interlayer_up(data, log, lease_seconds="2") as up, up.client() as client:
        assert up.key == key, "a restart keeps the key"
        assert client.wait(analysis_id).status == "succeeded"


def test_stopping_gives_the_running_analysis_back_and_leaves_no_process(tmp_path: Path) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    with interlayer_up(data, log) as up, up.client() as client:
        analysis_id = submit(client, write_long_study(tmp_path / "long.npz"))
        until(lambda: computing(client, analysis_id), "the analysis to be under way")
        processes = descendants(up.process.pid)
        assert up.stop() == 0
        assert all(is_gone(pid) for pid in processes)
    with interlayer_up(data, log) as up, up.client() as client:
        finished = client.wait(analysis_id)  # at once: no lease has to run out
        assert (finished.status, finished.execution.attempts) == ("succeeded", 2)


def test_cancel_stops_the_computation(tmp_path: Path) -> None:
    with interlayer_up(tmp_path / "data", tmp_path / "log") as up, up.client() as client:
        analysis_id = submit(client, write_long_study(tmp_path / "long.npz"))
        running = until(lambda: computing(client, analysis_id), "the analysis to be under way")
        children = descendants(worker_pid(running))
        assert client.cancel(analysis_id).status in ("canceling", "canceled")
        assert client.wait(analysis_id).status == "canceled"
        # One of the two children looks into uploads and lives on.
        until(lambda: any(is_gone(pid) for pid in children), "the computing child to end")


def test_progress_is_seen_live_and_never_falls(tmp_path: Path) -> None:
    with interlayer_up(tmp_path / "data", tmp_path / "log") as up, up.client() as client:
        analysis_id = submit(client, write_long_study(tmp_path / "long.npz"))
        seen: list[float] = []
        finished = client.wait(analysis_id, on_progress=lambda analysis: seen.append(analysis.progress.fraction))
        assert finished.status == "succeeded"
        assert len(set(seen)) > 3
        assert seen == sorted(seen)


def test_the_same_idempotency_key_never_computes_twice(tmp_path: Path) -> None:
    with interlayer_up(tmp_path / "data", tmp_path / "log") as up, up.client() as client:
        artifact = client.upload(write_study(tmp_path / "run.npz"))
        request = AnalysisRequest.model_validate({"inputs": [{"artifact": artifact.id}]})
        first, second = (client.submit(request, idempotency_key="build-17") for _ in range(2))
        assert first.id == second.id
        assert len(client.analyses().items) == 1


def test_what_is_wrong_with_a_file_is_said_by_the_failed_analysis(tmp_path: Path) -> None:
    path = tmp_path / "nan.npz"
    np.savez(path, labels=np.array([0, 0, 1, 1]), layer=np.array([1.0, 2.0, np.nan, 3.0]))
    with interlayer_up(tmp_path / "data", tmp_path / "log") as up:
        service = {"INTERLAYER_SERVER": up.url, "INTERLAYER_KEY": up.key}
        analysis_id = interlayer("submit", str(path), **service).stdout.strip()
        watched = interlayer("watch", analysis_id, **service)
        assert watched.returncode == 4
        assert "layer 'layer'" in watched.stderr
        shown = json.loads(interlayer("status", analysis_id, "--json", **service).stdout)
        assert shown["error"]["code"] == "non_finite"
