"""An audit on a service: the verdict of an audit here, nothing computed twice, nothing left running."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract.settings import Settings
from interlayer.__main__ import run
from interlayer.client import Client
from tests.e2e.activations import write_study
from tests.service.running import Caller, Service, serving
from tests.worker.jobs import next_claim, runner_of

POLICY = """\
version: 1
repeat: 2
analysis: {per_class: 40, seed: 3}
rules:
  - {id: learned, check: separation, layers: last, split: train, at_least: %s}
  - {id: memory, check: finding, absent: [memorization]}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a worker in a thread, which rests while `pause` exists in the data folder."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), free_disk_reserve_bytes=0, worker_threads=1)
    stop = threading.Event()
    with serving(settings) as running:

        def work() -> None:
            with runner_of(settings, running.stores.database) as runner:
                while not stop.is_set():
                    rests = (settings.data_dir / "pause").exists()
                    claim = None if rests else next_claim(settings, running.stores.database)
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
def caller(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Caller:
    """A new tenant, whose folder has a study."""
    found = service.caller()
    monkeypatch.setenv("INTERLAYER_KEY", found.key)
    monkeypatch.delenv("INTERLAYER_SERVER", raising=False)
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "run.npz", n_per_class=90)
    return found


@pytest.mark.parametrize(("bound", "code"), [("0.5", 0), ("0.99", 1)])
def test_the_verdict_is_the_same_and_nothing_is_computed_twice(
    service: Service, caller: Caller, tmp_path: Path, bound: str, code: int
) -> None:
    (tmp_path / "interlayer.yaml").write_text(POLICY % bound)
    for folder, where in (("here", []), ("there", ["--server", service.url]), ("again", ["--server", service.url])):
        assert run(["audit", *where, "--out", folder, "run.npz"]) == code
    for name in ("verdict.json", "report.json", "junit.xml", "results.sarif", "summary.md"):
        here, there, again = ((tmp_path / folder / name).read_bytes() for folder in ("here", "there", "again"))
        assert here == there == again, name
    with Client(service.url, caller.key) as client:
        assert len(client.analyses().items) == 3, "all rows and two parts, once"


@pytest.mark.usefixtures("caller")
def test_detached_it_is_waited_for_and_judged_later(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "interlayer.yaml").write_text(POLICY.replace("repeat: 2\n", "") % "0.5")
    at = ["--server", service.url]
    assert run(["audit", *at, "--detach", "run.npz"]) == 0
    (analysis,) = re.findall(r"^an_\w+$", capsys.readouterr().out, re.MULTILINE)  # the worker's log is there, too
    assert run(["wait", *at, "--timeout", "120", analysis]) == 0
    capsys.readouterr()
    assert run(["audit", *at, analysis]) == 0
    assert "Audit passed" in capsys.readouterr().out
    assert run(["baseline", "bless", *at, "main", analysis]) == 0
    (tmp_path / "steady.yaml").write_text(
        "version: 1\nrules:\n  - {id: steady, check: change, split: train, max_drop: 0.03}\n"
    )
    assert run(["audit", *at, "--policy", "steady.yaml", "--baseline", "main", analysis]) == 0


def test_a_refused_key_ends_with_5(
    service: Service, caller: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "interlayer.yaml").write_text(POLICY % "0.5")
    assert run(["audit", "--server", service.url, "--key", caller.key[:-1] + "?", "run.npz"]) == 5
    assert "unauthorized" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_audit_cancels_what_it_started(
    service: Service, caller: Caller, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "interlayer.yaml").write_text(POLICY % "0.5")
    pause = service.settings.data_dir / "pause"
    pause.touch()
    try:
        source = {"PYTHONPATH": str(Path(__file__).parents[3])}
        command = [sys.executable, "-m", "interlayer", "audit", "--server", service.url, "run.npz"]
        process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | source, stderr=subprocess.PIPE)
        with Client(service.url, caller.key) as client:
            _until(lambda: len(client.analyses().items) == 3)
            # The ids are known to it only when the last answer has arrived; it then asks for the first analysis.
            assert process.stderr is not None
            process.stderr.readline()
            process.send_signal(number)
            process.communicate(timeout=120)
            assert process.returncode == 130
            assert {item.status for item in client.analyses().items} == {"canceled"}
    finally:
        pause.unlink()
    assert run(["audit", "--server", service.url, "run.npz"]) == 0, "a rerun tries again"


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
