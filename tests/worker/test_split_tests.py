"""Training against validation sample by sample, as a request asks for it."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from contract.schemas import AnalysisRequest, Report, TestResult
from hpcore import membership_test
from worker.analysis import analyze

N_PER_CLASS = 34


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two splits of a network that memorized: its second layer separates training data only."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(3), N_PER_CLASS)
    found = {}
    for split, gain in (("train", 1.5), ("validation", 0.0)):
        first, second, moved = rng.normal(size=(3, len(labels), 5))
        second[:, 0] += gain * labels
        moved[:, 0] += 1.5 * labels
        moved[:, 1] += 4.0 * (split == "validation")  # which separates nothing
        found[split] = folder / f"{split}.npz"
        np.savez(found[split], labels=labels, first=first, second=second, moved=moved)
    return found


def study(files: dict[str, Path], **tests: object) -> Report:
    artifacts = {split: "sha256:" + str(n) * 64 for n, split in enumerate(files)}
    request = AnalysisRequest.model_validate(
        {"inputs": [{"artifact": a, "split": split} for split, a in artifacts.items()], "tests": tests, "seed": 5}
    )
    report, _ = analyze(request, {artifacts[split]: path for split, path in files.items()})
    return report


def results(report: Report, method: str) -> dict[str, TestResult]:
    return {
        row.output_layer: result
        for row in report.tests
        if row.family == "generalization_gap"
        for result in row.results
        if result.method == method
    }


def known(value: float | None) -> float:
    assert value is not None
    return value


def test_nothing_is_compared_unless_asked_for(files: dict[str, Path]) -> None:
    report = study(files)
    assert not results(report, "membership")
    assert not results(report, "membership_score")
    assert report.diagnostics == []


@pytest.mark.parametrize(("asked", "method"), [("score", "membership_score"), ("rebuild", "membership")])
def test_the_memorized_layer_is_told_from_the_other(
    files: dict[str, Path], asked: Literal["score", "rebuild"], method: str
) -> None:
    found = results(study(files, membership=asked), method)
    assert set(found) == {"first", "second", "moved"}
    with np.load(files["train"]) as train, np.load(files["validation"]) as validation:
        for layer, result in found.items():
            direct = membership_test(
                train[layer], validation[layer], train["labels"], validation["labels"], method=asked, rng=5
            )
            assert result.p_value == direct.p_value
            assert known(result.p_adjusted) >= known(result.p_value)
            assert result.estimand == "exchangeable_membership"
    assert known(found["second"].p_adjusted) < 0.05 < known(found["first"].p_value)


def test_a_shift_is_seen_where_it_is(files: dict[str, Path]) -> None:
    report = study(files, shift=True)
    shifts = {item.layer: item for item in report.diagnostics}
    assert known(shifts["moved"].p_value) < 1e-6
    assert known(shifts["first"].p_value) > 0.01
    (said,) = [finding for finding in report.findings if finding.code == "shift"]
    assert "moved" in said.message
    assert "first" not in said.message


def test_the_adjustment_is_the_one_asked_for(files: dict[str, Path]) -> None:
    rules = {
        result.adjustment
        for row in study(files, adjustment="benjamini_hochberg").tests
        for result in row.results
        if result.method == "subsample"
    }
    assert rules == {"benjamini_hochberg"}
