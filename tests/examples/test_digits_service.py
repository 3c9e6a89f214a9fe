"""The service of the demo starts, answers the study, remembers it, and is gone afterwards."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from contract.schemas import AnalysisRequest, InputReference
from examples.digits.activations import Recording
from examples.digits.analysis import COMPONENTS, embedded_service, submit
from examples.digits.data import Study
from tests.e2e.processes import frozen, until

STUDY = Study("small", "ten classes far apart in few dimensions", n_instances=1)
LAYERS = COMPONENTS["activated layers"]
ROOT = Path(__file__).parents[2]


def small_recording(folder: Path) -> Recording:
    """Twelve rows of each of ten classes, 10 apart with a spread of 1, at every layer that the study names."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 12)
    arrays = {layer: 10.0 * labels[:, None] + rng.normal(size=(120, 2)) for layer in LAYERS}
    path = folder / "small.safetensors"
    save_file({"labels": labels, **arrays}, path)
    return Recording(path, "0", "trained", "train")


def processes_that_name(path: Path) -> list[int]:
    """Find the running processes with `path` on their command line or in their environment."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if int(entry.name) != os.getpid()]
    return [pid for pid in pids if os.fsencode(path) in told_by(pid, "cmdline") + told_by(pid, "environ")]


def told_by(pid: int, file: str) -> bytes:
    """Return what a file of /proc tells about a process; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def test_a_study_is_analysed_once_and_found_again_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "service"
    files = [small_recording(tmp_path)]
    with embedded_service(data) as client:
        first = client.wait(submit(client, STUDY, files).id, timeout=120)
        assert first.status == "succeeded", first.error
        report = client.report(first.id)
        assert submit(client, STUDY, files).id == first.id
    assert set(report.layers) == set(LAYERS)
    assert all(separation.mean > 0.8 for separation in report.separations)
    assert {row.component for row in report.tests if row.family == "component_step"} == set(COMPONENTS)
    assert processes_that_name(data) == []

    with embedded_service(data) as client:
        again = submit(client, STUDY, files)
        assert (again.id, again.status) == (first.id, "succeeded")


def test_only_the_latest_request_of_a_study_is_left_in_the_queue(tmp_path: Path) -> None:
    files = [small_recording(tmp_path)]
    other_study = dataclasses.replace(STUDY, name="other")
    with embedded_service(tmp_path / "service") as client:
        (worker,) = (pid for pid in processes_that_name(tmp_path) if b"worker.poll" in told_by(pid, "cmdline"))
        with frozen(worker):
            before = AnalysisRequest(
                inputs=[InputReference(artifact=client.upload(files[0].path).id)], tags={"study": STUDY.name}
            )
            stale = client.submit(before)
            kept = submit(client, other_study, files)
            latest = submit(client, STUDY, files)
            assert client.wait(stale.id, timeout=60).status == "canceled"
        assert client.wait(kept.id, timeout=120).status == "succeeded"
        assert client.wait(latest.id, timeout=120).status == "succeeded"


def test_a_service_that_does_not_start_says_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "interlayer.sqlite3").mkdir()  # where the database file would go
    with pytest.raises(RuntimeError, match=r"its log is .*service\.log"), embedded_service(tmp_path / "service"):
        pass
    assert (tmp_path / "service" / "service.log").stat().st_size > 0
    assert processes_that_name(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_its_service(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "examples.digits", "--out", str(tmp_path)]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    # The first line comes when the service is up and the first network is about to be trained.
    assert demo.stdout.readline() == "digits-true: activations of 2 networks\n"
    demo.send_signal(number)
    printed, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130
    assert "Interrupted" in printed
    assert "Traceback" not in printed
    until(lambda: not processes_that_name(tmp_path), "the service to end")
