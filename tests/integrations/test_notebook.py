"""The audit as one function."""

from pathlib import Path

import pytest

from interlayer.errors import InterlayerError
from interlayer.local import LocalInput
from interlayer.notebook import check
from interlayer.report_file import load_report
from tests.e2e.activations import write_study
from tests.integrations.runner import ROOT

STORY = ROOT / "examples" / "ci"


def policy(folder: Path, bound: float) -> Path:
    path = folder / "policy.yaml"
    rule = f"{{id: apart, check: separation, layers: last, split: train, at_least: {bound}}}"
    path.write_text(f"version: 1\nanalysis: {{seed: 3}}\nrules:\n  - {rule}\n")
    return path


def test_files_are_analysed_and_judged(tmp_path: Path) -> None:
    study = LocalInput(write_study(tmp_path / "run.npz"))
    good, bad = check([study], policy(tmp_path, 0.5)), check([study], policy(tmp_path, 1.5))
    assert good
    assert not bad
    assert good.report == bad.report
    assert good.report.provenance.seed == 3
    assert "violation" in str(bad)
    assert "apart" in bad._repr_markdown_()
    assert bad.verdict.conclusion == "violation"


def test_a_report_its_file_and_a_baseline() -> None:
    path = STORY / "baseline.json"
    for subject in (path, str(path), load_report(path)):
        assert check(subject, STORY / "interlayer.yaml"), "the policy names its baseline, which is the report itself"
        assert check(subject, STORY / "interlayer.yaml", baseline=path)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InterlayerError, match=r"absent\.yaml"):
        check(STORY / "baseline.json", tmp_path / "absent.yaml")
    with pytest.raises(InterlayerError, match="not an interlayer report"):
        check(STORY / "interlayer.yaml", STORY / "interlayer.yaml")
