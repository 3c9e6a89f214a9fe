"""Hostile code inside the fence gets hold of nothing, and the parent goes on."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.schemas import ProblemError
from worker.sandbox import Confined, confinement, landlock, run_confined, seccomp

SECRET = "another tenant's numbers"


class Place:
    """A folder with everybody's files, one of which the job names, and a folder of the job's own."""

    def __init__(self, folder: Path) -> None:
        self.hidden = folder / "data"
        (self.hidden / "artifacts").mkdir(parents=True)
        self.secret = self.hidden / "artifacts" / "secret"
        self.named = self.hidden / "artifacts" / "named"
        self.secret.write_text(SECRET)
        self.named.write_text("mine")
        self.scratch = self.hidden / "tmp" / "job"
        self.scratch.mkdir(parents=True)

    def run(self, name: str, payload: dict[str, Any] | None = None, **options: Any) -> Any:
        how = Confined(hidden=self.hidden, **{"seconds": 120.0, "n_threads": 1, **options})
        progress: list[tuple[int, int]] = []
        given = {"folder": str(self.hidden), "named": str(self.named), "secret": str(self.secret), **(payload or {})}
        result, missing = run_confined(
            f"tests.worker.canary:{name}",
            given,
            how,
            scratch=self.scratch,
            readable=[self.named],
            on_progress=lambda done, total: progress.append((done, total)),
        )
        assert missing == [], "this machine cannot confine a process, so nothing is shown here"
        if name == "works":
            assert progress == [(1, 2)]
        return result

    def refused(self, name: str, **options: Any) -> Any:
        with pytest.raises(ProblemError) as caught:
            self.run(name, **options)
        return caught.value.problem

    def is_unharmed(self) -> None:
        """The files are as they were, and the next job does its work."""
        assert (self.secret.read_text(), self.named.read_text()) == (SECRET, "mine")
        assert sorted(path.name for path in self.hidden.iterdir()) == ["artifacts", "tmp"]
        assert self.run("works", {"say": "hello"})["said"] == "hello"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_is_allowed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLAYER_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    found = place.run("works", {"say": "hello"})
    assert (found["said"], found["read"]) == ("hello", "mine")
    assert (place.scratch / "note").read_text() == "written"
    assert not {name for name in found["environment"] if "SECRET" in name or name.startswith("INTERLAYER")}


@pytest.mark.parametrize(
    "name",
    ["write_elsewhere", "read_what_is_hidden", "read_the_parent", "start_processes", "reach_processes", "become_more"],
)
def test_nothing_is_got_hold_of(place: Place, name: str) -> None:
    before = place.named.stat()
    assert place.run(name) == []
    after = place.named.stat()
    assert (after.st_mode, after.st_mtime, after.st_nlink) == (before.st_mode, before.st_mtime, before.st_nlink)
    assert os.getpriority(os.PRIO_PROCESS, 0) == os.getpriority(os.PRIO_PROCESS, os.getpid())
    place.is_unharmed()


@pytest.fixture
def listening() -> Iterator[dict[str, Any]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(f"{folder}/socket")
        unix.listen()
        yield {"port": tcp.getsockname()[1], "unix": f"{folder}/socket"}


def test_there_is_no_network(place: Place, listening: dict[str, Any]) -> None:
    assert place.run("open_sockets", listening) == []
    with socket.create_connection(("127.0.0.1", listening["port"])):
        pass  # it was there to be reached
    place.is_unharmed()


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("eat_memory", {"memory_bytes": 2**30}, "out_of_memory"),
        ("loop", {"seconds": 1.0}, "deadline_exceeded"),
        ("crash", {}, "model_failed"),
        ("lie", {}, "model_failed"),
    ],
)
def test_what_does_not_end_well_ends_alone(place: Place, name: str, options: dict[str, Any], code: str) -> None:
    assert place.refused(name, **options).code == code
    place.is_unharmed()


@pytest.mark.parametrize("name", ["start_threads", "fill_the_disk"])
def test_what_grows_is_bounded(place: Place, name: str) -> None:
    assert place.run(name, memory_bytes=2**31) == "contained"
    place.is_unharmed()


def test_a_folder_of_modules_that_holds_the_data_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert tmp_path not in confinement._module_folders(place.hidden)
    other = tmp_path / "other"
    assert tmp_path in confinement._module_folders(other.parent.parent / "elsewhere")


def test_an_exception_of_the_progress_ends_the_process(place: Place) -> None:
    def stop(_done: int, _total: int) -> None:
        raise InterruptedError

    payload = {"say": "", "named": str(place.named)}
    how = Confined(hidden=place.hidden, seconds=120.0)
    with pytest.raises(InterruptedError):
        run_confined("tests.worker.canary:works", payload, how, scratch=place.scratch, on_progress=stop)


def test_a_kernel_that_cannot_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # In a process of its own, for the fence stays for good.
    code = (
        "import sys, json; from pathlib import Path; from worker.sandbox import confinement as c\n"
        "c.restrict_files = lambda *_: False; c.refuse_calls = lambda: False\n"
        f"print(json.dumps(c.confine(c.Limits(2**40, 100, 2**30), [], Path({str(tmp_path)!r}), Path('/x'), gpu=False)))"
    )
    import json
    import subprocess
    import sys

    result = subprocess.run([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, check=True)
    missing = json.loads(result.stdout)
    assert any("Landlock" in note for note in missing)
    assert any("seccomp" in note for note in missing)


def test_another_architecture_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert not seccomp.refuse_calls()


def test_an_old_kernel_has_no_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "_LEAST_VERSION", 1000)
    assert not landlock.restrict_files([], [], [])
