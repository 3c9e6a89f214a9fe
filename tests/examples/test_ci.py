"""The story of a pipeline: a healthy training passes the audit, and three bugs do not. Real processes throughout."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from junitparser import JUnitXml

from contract.schemas.verdict import Verdict
from tests.integrations.runner import ROOT, Ran, run_action, run_gitlab

STORY = ROOT / "examples" / "ci"
INPUTS = ("train.safetensors@split=train", "validation.safetensors@split=validation")


@dataclass(frozen=True)
class Run:
    """A workspace after the training and the audit."""

    folder: Path
    ran: Ran

    @property
    def verdict(self) -> Verdict:
        """What the audit concluded."""
        return Verdict.model_validate_json((self.folder / "interlayer-audit" / "verdict.json").read_bytes())

    @property
    def broken_rules(self) -> list[str]:
        """The rules that are violated."""
        return [rule.id for rule in self.verdict.rules if rule.outcome == "violation"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Check the folder out and run its training, with some bug planted; a training is not made twice."""
    known: dict[tuple[str, ...], Path] = {}

    def train(*bug: str) -> Path:
        folder = tmp_path_factory.mktemp("job") / "workspace"
        if bug in known:
            return Path(shutil.copytree(known[bug], folder, ignore=shutil.ignore_patterns("interlayer-audit")))
        shutil.copytree(STORY, folder)
        command = [sys.executable, "train.py", *bug]
        done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        known[bug] = folder
        return folder

    return train


@pytest.fixture(scope="module")
def audited(trained: Callable[..., Path]) -> Callable[..., Run]:
    """Train, and audit with the steps of the GitHub Action."""

    def run(*bug: str) -> Run:
        folder = trained(*bug)
        return Run(folder, run_action(folder, {"inputs": "\n".join(INPUTS), "install": "false"}))

    return run


def test_a_healthy_training_of_another_seed_passes(trained: Callable[..., Path]) -> None:
    folder = trained("--seed", "2")
    github = run_action(folder, {"inputs": "\n".join(INPUTS), "install": "false"})
    assert github.code == 0, github.output
    assert github.outputs["exit-code"] == "0"
    assert "::error" not in github.output
    gitlab = run_gitlab(folder, {"AUDIT_INPUTS": " ".join(INPUTS), "AUDIT_INSTALL": ""})
    assert gitlab.code == 0, gitlab.output


BUGS: dict[str, tuple[list[str], str]] = {
    "random labels on a part": (["--noisy-labels", "0.4"], "not-worse-than-shipped"),
    "a too wide dropout": (["--dropout", "0.9"], "not-worse-than-shipped"),
    "a leaked validation set": (["--leak"], "held-out"),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_breaks_the_build_with_a_reason(audited: Callable[..., Run], name: str) -> None:
    bug, rule = BUGS[name]
    run = audited(*bug)
    assert run.ran.code == 1, run.ran.output
    assert run.ran.outputs == {
        "exit-code": "1",
        "out": "interlayer-audit",
        "sarif": "interlayer-audit/results.sarif",
    }
    assert rule in run.broken_rules
    # The same reason, wherever a person or a tool looks.
    assert rule in run.ran.output
    assert rule in run.ran.summary
    assert "::error file=interlayer.yaml,line=" in run.ran.output
    out = run.folder / "interlayer-audit"
    failed = [case for suite in JUnitXml.fromfile(str(out / "junit.xml")) for case in suite if case.result]
    assert failed
    results = json.loads((out / "results.sarif").read_text())["runs"][0]["results"]
    assert rule in {result["ruleId"] for result in results}
    lines = (run.folder / "interlayer.yaml").read_text().splitlines()
    region = next(r for r in results if r["ruleId"] == rule)["locations"][0]["physicalLocation"]["region"]
    assert rule in lines[region["startLine"] - 1]
    assert "<html" in (out / "report.html").read_text()
    if bug == ["--leak"]:
        assert run.broken_rules == ["held-out"], "the means only look better: the data give the leak away"


def test_a_baseline_of_other_data_is_no_pass(trained: Callable[..., Path]) -> None:
    folder = trained("--seed", "2")
    baseline = json.loads((folder / "baseline.json").read_text())
    baseline["provenance"]["metric"] = "cosine"
    (folder / "baseline.json").write_text(json.dumps(baseline))
    ran = run_action(folder, {"inputs": "\n".join(INPUTS), "install": "false"})
    assert ran.code == 3, ran.output
    assert "metric" in ran.output
