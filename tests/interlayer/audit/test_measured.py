"""The audit of real measurements: data whose truth is known, analysed by the numerical core."""

from pathlib import Path

import numpy as np
import pytest

from contract.schemas import Report, SamplePart
from contract.schemas.verdict import Case, Verdict
from interlayer.audit import audit
from tests.interlayer.audit.measured import policy, report_of, write_activations
from worker.selection import draw_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    write_activations(folder / "train.npz", seed=1)
    write_activations(folder / "validation.npz", seed=2)
    write_activations(folder / "memorized.npz", seed=3, apart=(0.5, 12.0))
    write_activations(folder / "noise.npz", seed=4, apart=(0.5, 0.0))
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return report_of(folder, train=folder / "train.npz", validation=folder / "validation.npz")


def only(verdict: Verdict) -> Case:
    (case,) = verdict.rules[0].cases
    return case


def rule(bound: str, **more: str) -> str:
    lines = [
        "id: rule",
        "check: separation",
        "layers: last",
        bound,
        *(f"{key}: {value}" for key, value in more.items()),
    ]
    return "- " + "\n  ".join(lines)


def test_memorization_is_a_violation_although_training_data_are_saturated(folder: Path) -> None:
    found = report_of(folder, train=folder / "memorized.npz", validation=folder / "noise.npz")
    cases = {case.layer: case for case in audit(found, policy("- {id: g, check: gap, at_most: 0.1}")).rules[0].cases}
    assert cases["1.Dense"].outcome == "violation"
    assert "saturated" in cases["1.Dense"].method
    assert cases["0.Dense"].outcome == "pass"


def test_change_against_a_baseline(folder: Path, report: Report) -> None:
    worse = report_of(folder, validation=folder / "noise.npz", train=folder / "train.npz")
    drop = policy("- {id: change, check: change, layers: last, max_drop: 0.03}")
    assert audit(worse, drop, report).conclusion == "violation"
    assert audit(report, drop, worse).conclusion == "pass", "a rise is no drop"
    assert audit(report, drop, report).conclusion == "pass"
    rise = policy("- {id: change, check: change, layers: last, max_rise: 0.03}")
    assert audit(report, rise, worse).conclusion == "violation"


def test_disjoint_parts_make_a_sign_test(folder: Path) -> None:
    file = folder / "validation.npz"
    whole = report_of(folder, validation=file)
    parts = [
        report_of(folder, validation=file, options={"sampling": {"part": {"number": number, "of": 5}}})
        for number in range(5)
    ]
    assert parts[0].provenance.sampling["part"] == {"number": 0, "of": 5}
    far = audit(whole, policy(rule("at_least: 0.97", statistic="q90"), "repeat: 5"), parts=parts)
    assert only(far).p_value == pytest.approx(2**-5)
    assert far.conclusion == "violation"
    mean = audit(whole, policy(rule("at_least: 0.95"), "repeat: 5"), parts=parts)
    assert (mean.conclusion, len(only(mean).parts)) == ("violation", 5)


def test_the_parts_are_disjoint_and_the_same_whenever_they_are_drawn() -> None:
    codes = np.repeat(np.arange(3), 23)
    drawn = [draw_rows(codes, None, seed=1, split="train", part=SamplePart(number=n, of=4)) for n in range(4)]
    rows = np.concatenate([part for part in drawn if part is not None])
    assert len(rows) == 4 * 3 * 5
    assert len(np.unique(rows)) == len(rows)
    assert all((np.bincount(codes[part]) == 5).all() for part in drawn)
    again = draw_rows(codes, None, seed=1, split="train", part=SamplePart(number=2, of=4))
    np.testing.assert_array_equal(drawn[2], again)


def test_a_true_bound_is_seldom_called_violated(tmp_path: Path) -> None:
    """The expected mean itself as the bound: the audit must not fail more than one in twenty builds by chance."""
    reports = []
    for seed in range(80):
        path = write_activations(tmp_path / "x.npz", seed=1000 + seed, n=48, apart=(1.0,))
        reports.append(report_of(tmp_path, validation=path))
    truth = float(np.mean([found.separations[0].mean for found in reports]))
    loaded = policy(rule(f"at_least: {truth:.9f}"))
    outcomes = [audit(found, loaded).conclusion for found in reports]
    assert outcomes.count("violation") <= 9  # more by chance: 0.01, and the seeds are fixed
    assert outcomes.count("pass") > 20
