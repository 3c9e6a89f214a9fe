"""A runner of pipelines in small: the steps of a composite action, and the script of a GitLab job, in a shell.

Everything is read from the files that are shipped; what a real runner adds to a shell's environment is added here.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass(frozen=True)
class Ran:
    """What became of a job."""

    code: int
    output: str
    outputs: Mapping[str, str]
    summary: str


def environment(folder: Path, tools: Path | None, **more: str) -> dict[str, str]:
    """Return the environment of a job: ours, without what belongs to us, and with the commands of this installation.

    Those in the folder `tools` come first.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLAYER", "GITHUB", "CI"))}
    folders = [str(folder) for folder in (tools, Path(sys.executable).parent) if folder is not None]
    path = os.pathsep.join([*folders, os.environ["PATH"]])
    return clean | {"PATH": path, "HOME": str(folder), "CI": "true"} | more


def run_action(workspace: Path, given: Mapping[str, str], tools: Path | None = None) -> Ran:
    """Run the steps of the composite action of this repository in a workspace."""
    action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    unknown = given.keys() - action["inputs"].keys()
    assert not unknown, f"the action has no inputs {unknown}"
    inputs = {name: given.get(name, item.get("default")) for name, item in action["inputs"].items()}
    missing = [name for name, item in action["inputs"].items() if item.get("required") and name not in given]
    assert not missing, f"the action needs {missing}"
    files = {name: workspace.parent / f"runner-{name.lower()}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.write_text("")
    runner = {name: str(file) for name, file in files.items()} | {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_REPOSITORY": "lab/digits",
        "GITHUB_RUN_ID": "17",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_JOB": "audit",
        "GITHUB_SHA": "0" * 40,
    }
    code, output = 0, ""
    for step in action["runs"]["steps"]:
        if "if" in step and not _truth(step["if"], inputs):
            continue
        assert step["shell"] == "bash"
        values = {name: _filled(text, inputs) for name, text in step.get("env", {}).items()}
        assert "${{" not in step["run"], "what users give must not become a part of the script"
        # As GitHub starts bash.
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=workspace,
            env=environment(workspace.parent, tools, **runner, **values),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        code, output = done.returncode, output + done.stdout
        if code:
            break
    lines = files["GITHUB_OUTPUT"].read_text().splitlines()
    step_outputs = dict(line.split("=", 1) for line in lines)
    outputs = {
        name: step_outputs[item["value"].removeprefix("${{ steps.audit.outputs.").removesuffix(" }}")]
        for name, item in action["outputs"].items()
    }
    return Ran(code, output, outputs, files["GITHUB_STEP_SUMMARY"].read_text())


def _truth(condition: str, inputs: Mapping[str, str]) -> bool:
    return _evaluated(condition, inputs) == "true"


def _filled(text: str, inputs: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: _evaluated(match[1], inputs), text)


def _evaluated(expression: str, inputs: Mapping[str, str]) -> str:
    """Return the value of the few kinds of expressions that the action uses; any other is an error."""
    if match := re.fullmatch(r"inputs\.([\w-]+)", expression):
        return inputs[match[1]]
    if match := re.fullmatch(r"inputs\.([\w-]+) == '([^']*)'", expression):
        return str(inputs[match[1]] == match[2]).lower()
    if match := re.fullmatch(r"inputs\.([\w-]+) == '([^']*)' && '([^']*)' \|\| '([^']*)'", expression):
        return match[3] if inputs[match[1]] == match[2] else match[4]
    raise AssertionError(f"an expression that this runner does not know: {expression}")


def run_gitlab(workspace: Path, variables: Mapping[str, str], tools: Path | None = None) -> Ran:
    """Run the script of the GitLab job in a workspace."""
    template = yaml.safe_load((ROOT / "integrations/gitlab/interlayer.gitlab-ci.yml").read_text())
    job = template[".interlayer-audit"]
    unknown = variables.keys() - job["variables"].keys() - {"INTERLAYER_SERVER", "INTERLAYER_KEY"}
    assert not unknown, f"the job has no variables {unknown}"
    done = subprocess.run(
        ["sh", "-e", "-c", "\n".join(job["script"])],  # one script, ended by the first command that fails
        cwd=workspace,
        env=environment(
            workspace.parent, tools, GITLAB_CI="true", CI_PIPELINE_ID="17", **(job["variables"] | variables)
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Ran(done.returncode, done.stdout, {}, "")
