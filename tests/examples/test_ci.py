"""The story of a pipeline: a healthy training passes, and three bugs show in the report. Real processes throughout."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.schemas import Report
from contract.schemas.comparison import LayerChange
from interlayer.comparison import compare
from interlayer.report_file import load_report

ROOT = Path(__file__).parents[2]
STORY = ROOT / "examples" / "ci"
TOLERANCE = 0.03
Train = Callable[..., Report]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Train with some bug planted, record, and analyse, as the jobs of a pipeline do."""

    def run(*bug: str) -> Report:
        folder = tmp_path_factory.mktemp("run")
        files = ["train.safetensors@split=train", "validation.safetensors@split=validation"]
        for command in (
            [str(STORY / "train.py"), *bug],
            ["-m", "interlayer", "analyze", *files, "-o", "report.json"],
        ):
            done = subprocess.run(
                [sys.executable, *command], cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
        return load_report(folder / "report.json")

    return run


def worse(report: Report, layer: str) -> bool:
    """Whether validation data are separated worse than by the baseline: beyond the tolerance, and significantly."""
    comparison = compare(load_report(STORY / "baseline.json"), report)
    assert comparison.comparable, comparison.differences
    change: LayerChange
    (change,) = [c for c in comparison.changes if (c.split, c.layer) == ("validation", layer)]
    return change.difference < -TOLERANCE and change.p_adjusted is not None and change.p_adjusted < 0.05


def errors(report: Report) -> list[str]:
    return [finding.code for finding in report.findings if finding.severity == "error"]


def test_a_healthy_training_of_another_seed_passes(train: Train) -> None:
    report = train("--seed", "2")
    assert errors(report) == []
    assert not any(worse(report, layer) for layer in report.layers)


@pytest.mark.parametrize("bug", [["--noisy-labels", "0.4"], ["--dropout", "0.9"]], ids=" ".join)
def test_a_bug_that_makes_the_network_worse_is_seen_at_its_last_layer(train: Train, bug: list[str]) -> None:
    report = train(*bug)
    assert worse(report, report.layers[-1])
    assert not worse(report, "0.Input"), "the data are what they were: the network is to blame"


def test_a_leak_makes_the_network_look_better_and_is_seen_in_the_data(train: Train) -> None:
    report = train("--leak")
    assert not any(worse(report, layer) for layer in report.layers), "no comparison of means would notice it"
    assert errors(report) == ["shared_rows"]


def test_the_baseline_is_what_the_story_says(train: Train) -> None:
    baseline = load_report(STORY / "baseline.json")
    assert errors(baseline) == []
    assert compare(baseline, train("--seed", "0")).comparable
