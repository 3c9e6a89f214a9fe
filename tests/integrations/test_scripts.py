"""What the action and the GitLab job hand to the command, whatever users write, and what they hand back."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integrations.runner import ROOT, Ran, run_action, run_gitlab

# In place of the command, and of pip: notes how it was called, and ends as it is told.
_RECORDER = """#!{python}
import json, os, sys
names = ("INTERLAYER_SERVER", "INTERLAYER_KEY")
call = {{"command": sys.argv[1:], "environment": {{name: os.environ[name] for name in names if name in os.environ}}}}
with open({notes!r}, "a") as file:
    file.write(json.dumps(call) + "\\n")
sys.exit({code})
"""
HOSTILE = ["$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "a b.npz@split=train", "*", "--json", "é\u202e.npz"]
Calls = Callable[[], list[dict[str, object]]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout with a file that a star would match."""
    folder = tmp_path / "work space"
    folder.mkdir()
    (folder / "file.txt").touch()
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Callable[..., tuple[Path, Calls]]:
    """Make a folder of recorders; the second value returns how they were called."""

    def make(name: str = "interlayer", code: int = 0) -> tuple[Path, Calls]:
        folder, notes = tmp_path / "tools", tmp_path / "notes"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(_RECORDER.format(python=sys.executable, notes=str(notes), code=code))
        (folder / name).chmod(0o755)
        return folder, lambda: [json.loads(line) for line in notes.read_text().splitlines()]

    return make


Make = Callable[..., tuple[Path, Calls]]


def test_the_action_hands_everything_on_as_it_is(workspace: Path, tools: Make) -> None:
    folder, calls = tools()
    given = {
        "inputs": "\n".join(f"  {name} " for name in HOSTILE) + "\n\n",
        "policy": "$(touch pwned).yaml",
        "baseline": "my baseline",
        "out": "out put",
        "args": "--tag\nbuild=$(id)\n",
        "install": "false",
    }
    ran = run_action(workspace, given, folder)
    assert ran.code == 0, ran.output
    (call,) = calls()
    assert call["command"] == [
        *("audit", "--policy", "$(touch pwned).yaml", "--out", "out put"),
        *("--tag", "build=$(id)", "--baseline", "my baseline", "--", *HOSTILE),
    ]
    assert call["environment"] == {}, "without a server, the runner analyses"
    assert [path.name for path in workspace.iterdir()] == ["file.txt"]
    assert ran.outputs == {"exit-code": "0", "out": "out put", "sarif": "out put/results.sarif"}


def test_the_action_names_the_server_and_keeps_the_key_out_of_the_command(workspace: Path, tools: Make) -> None:
    folder, calls = tools()
    given = {"inputs": "report.json", "server": "https://lab.example", "key": "il_secret", "install": "false"}
    ran = run_action(workspace, given, folder)
    (call,) = calls()
    assert call["command"] == [
        *("audit", "--policy", "interlayer.yaml", "--out", "interlayer-audit"),
        *("--server", "https://lab.example", "--", "report.json"),
    ]
    assert call["environment"] == {"INTERLAYER_SERVER": "https://lab.example", "INTERLAYER_KEY": "il_secret"}
    assert "il_secret" not in ran.output


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 130])
def test_the_action_ends_as_the_command_ends(workspace: Path, tools: Make, code: int) -> None:
    folder, _ = tools(code=code)
    ran: Ran = run_action(workspace, {"inputs": "report.json", "install": "false"}, folder)
    assert (ran.code, ran.outputs["exit-code"]) == (code, str(code))


@pytest.mark.parametrize(
    ("server", "installed"), [("", f"{ROOT}[worker]"), ("https://lab.example", str(ROOT))], ids=["runner", "server"]
)
def test_the_action_installs_what_it_needs(workspace: Path, tools: Make, server: str, installed: str) -> None:
    tools("python")
    folder, calls = tools()
    run_action(workspace, {"inputs": "report.json", "server": server}, folder)
    install, audit = calls()
    assert install["command"] == ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", installed]
    assert audit["command"][0] == "audit"  # type: ignore[index]  # notes are JSON


def test_the_gitlab_job(workspace: Path, tools: Make) -> None:
    folder, calls = tools()
    variables = {"AUDIT_INPUTS": "a.npz@split=train *.npz $(touch pwned)", "AUDIT_BASELINE": "my baseline"}
    ran = run_gitlab(workspace, variables | {"AUDIT_INSTALL": "", "AUDIT_OUT": "out put"}, folder)
    assert ran.code == 0, ran.output
    (call,) = calls()
    assert call["command"] == [
        *("audit", "--policy", "interlayer.yaml", "--out", "out put", "--baseline", "my baseline", "--"),
        *("a.npz@split=train", "*.npz", "$(touch", "pwned)"),
    ]
    assert [path.name for path in workspace.iterdir()] == ["file.txt"]


def test_the_gitlab_job_installs_and_names_the_server(workspace: Path, tools: Make) -> None:
    tools("python")
    folder, calls = tools(code=3)
    service = {"INTERLAYER_SERVER": "https://lab.example", "INTERLAYER_KEY": "il_secret"}
    ran = run_gitlab(workspace, {"AUDIT_INPUTS": "report.json"} | service, folder)
    assert ran.code == 3
    install, audit = calls()
    assert install["command"] == [
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "interlayer[worker]")
    ]
    assert audit["command"] == [
        *("audit", "--policy", "interlayer.yaml", "--out", "interlayer-audit"),
        *("--server", "https://lab.example", "--", "report.json"),
    ]
    assert audit["environment"] == service
