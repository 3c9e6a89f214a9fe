"""The process that computes: what it is given, what kills it, and what it does where the disk is full."""

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from contract.settings import Settings
from tests.e2e.processes import is_gone, until
from worker import child as child_module
from worker.child_process import Child
from worker.messages import Work


def test_the_child_gets_no_setting_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLAYER_DATABASE_URL", "postgresql://user:hunter2@host/db")
    monkeypatch.setenv("INTERLAYER_KEY", "il_secret")
    monkeypatch.setenv("NOT_OURS", "kept")
    child = Child(warm=False)
    try:
        shown = Path(f"/proc/{child._process.pid}/environ")
        environment = until(shown.read_bytes, "environment of the child").split(b"\0")  # empty until it has begun
        assert b"NOT_OURS=kept" in environment
        assert not [item for item in environment if item.startswith(b"INTERLAYER_")]
    finally:
        child.kill()


def test_the_kernel_kills_a_child_first() -> None:
    child = Child(warm=False)
    try:
        end, path = time.monotonic() + 60, Path(f"/proc/{child._process.pid}/oom_score_adj")
        while path.read_text().strip() != "1000":
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        child.kill()


@pytest.fixture
def full_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[OSError]:
    """What writing a report is answered with, the last first."""
    refusals: list[OSError] = []
    usual = Path.write_bytes

    def write_bytes(path: Path, content: bytes) -> int:
        usual(path, content[:2])  # a part of it fits
        if refusals:
            raise refusals.pop()
        return usual(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    monkeypatch.setattr(child_module, "_DISK_FULL_SECONDS", 0.2)
    (settings.data_dir / "tmp").mkdir(parents=True, exist_ok=True)
    return refusals


def test_a_report_waits_for_space_on_the_disk(settings: Settings, full_disk: list[OSError]) -> None:
    full_disk += [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Disk quota exceeded")]
    said = io.StringIO()
    event = child_module.written(b"report", "cpu", settings.data_dir, child_module.Emitter(said))
    assert (settings.data_dir / "tmp" / event.file).read_bytes() == b"report"
    assert event.sha256 == hashlib.sha256(b"report").hexdigest()
    assert "waiting for disk space" in said.getvalue()


def test_another_error_of_the_disk_is_not_waited_for(settings: Settings, full_disk: list[OSError]) -> None:
    full_disk.append(OSError(errno.EIO, "I/O error"))
    with pytest.raises(OSError, match="I/O error"):
        child_module.written(b"report", "cpu", settings.data_dir, child_module.Emitter(io.StringIO()))
    assert list((settings.data_dir / "tmp").iterdir()) == []


def test_the_child_ends_when_its_parent_is_killed(settings: Settings) -> None:
    code = (
        "import time; from worker.child_process import Child; child = Child(warm=False); "
        "print(child._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not is_gone(pid)
    parent.kill()
    parent.wait(60)
    parent.stdout.close()
    end = time.monotonic() + 60
    while not is_gone(pid):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_child_that_hears_nothing_any_more_is_killed() -> None:
    child = Child(warm=False)
    os.kill(child._process.pid, signal.SIGSTOP)  # the end of its input alone would not end it now
    killing = threading.Thread(target=child.kill)
    killing.start()
    killing.join(30)
    ended = not killing.is_alive()
    if not ended:
        os.kill(child._process.pid, signal.SIGKILL)
        killing.join()
    assert ended


def test_a_child_that_is_dead_can_be_spoken_to_and_says_so() -> None:
    child = Child(warm=False)
    child._process.kill()
    child._process.wait(60)
    assert child.next_event(60) is None
    work = Work(kind="inspection", request={}, inputs={}, blobs="", max_unpacked_bytes=1, n_threads=1, memory_bytes=1)
    child.send(work)
    assert not child.alive
    assert child.kill() == -signal.SIGKILL
