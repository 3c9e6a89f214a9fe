"""Two reports compared: the numbers are those of the numerical core, and what cannot be compared is named."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from contract.schemas import Report
from contract.schemas.comparison import Comparison
from hpcore import subsample_test
from hpcore.multiplicity import holm
from interlayer import student
from interlayer.comparison import compare
from interlayer.local import LocalInput, analyze
from interlayer.render.comparison_table import comparison_to_html, comparison_to_markdown, comparison_to_text
from tests.interlayer.render.sample import HOSTILE_NAMES, sample_report


@pytest.mark.parametrize("degrees", [1, 2, 3, 9, 10, 40, 1000])
@pytest.mark.parametrize("t", [0.0, 1e-3, 0.3, 1.0, 2.228, 7.5, 60.0, -1.5])
def test_student_is_student(degrees: float, t: float) -> None:
    assert student.tail(t, degrees) == pytest.approx(scipy.stats.t.sf(t, degrees), rel=1e-11)


def test_close_to_zero_it_is_exact() -> None:
    for t in (1e-9, 1e-6, 1e-3):  # with one degree of freedom the tail has a closed form
        assert student.tail(t, 1) == pytest.approx(0.5 - math.atan(t) / math.pi, rel=1e-14)


@pytest.mark.parametrize("upper", [0.4, 0.025, 0.005, 1e-9])
def test_quantiles(upper: float) -> None:
    for degrees in (1, 4, 10):
        assert student.quantile(upper, degrees) == pytest.approx(scipy.stats.t.isf(upper, degrees), rel=1e-10)


QUICK: dict[str, object] = {"tests": {"n_resamples": 99}}


def study(folder: Path, name: str, seed: int, lift: float, n: int = 90) -> LocalInput:
    """Two layers of four classes; the second layer separates by `lift`."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n * 4) % 4
    layers = {"0.Input": rng.normal(size=(n * 4, 6)), "1.Dense": rng.normal(size=(n * 4, 6))}
    for layer, by in (("0.Input", 1.0), ("1.Dense", lift)):
        layers[layer][:, 0] += by * labels
    np.savez(folder / f"{name}.npz", labels=labels, **layers)  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
    return LocalInput(folder / f"{name}.npz", split="validation")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Report]:
    """A base and a candidate whose second layer is worse."""
    folder = tmp_path_factory.mktemp("pair")
    return analyze([study(folder, "a", 1, 2.5)], QUICK), analyze([study(folder, "b", 2, 1.5)], QUICK)


def test_the_numbers_are_those_of_the_numerical_core(pair: tuple[Report, Report]) -> None:
    base, candidate = pair
    comparison = compare(base, candidate)
    assert comparison.comparable
    expected: list[Any] = []
    for change, before, after in zip(comparison.changes, base.separations, candidate.separations, strict=True):
        assert before.fold_means is not None
        assert after.fold_means is not None
        expected.append(
            subsample_test(after.mean - before.mean, after.fold_means, independent_fold_statistics=before.fold_means)
        )
        assert change.difference == pytest.approx(after.mean - before.mean)
        assert change.p_value == pytest.approx(expected[-1].p_value, rel=1e-9)
        assert change.interval.low == pytest.approx(expected[-1].low)
        assert change.interval.high == pytest.approx(expected[-1].high)
    adjusted = holm([test.p_value for test in expected])
    assert [change.p_adjusted for change in comparison.changes] == pytest.approx(adjusted)
    assert adjusted[1] is not None
    assert adjusted[1] < 0.01
    worst = comparison.changes[1].worst_pairs
    assert worst == sorted(worst, key=lambda item: item.difference)
    statistics = zip(base.separations[1].pairs.statistic, candidate.separations[1].pairs.statistic, strict=True)
    assert worst[0].difference == pytest.approx(min(after - before for before, after in statistics))


def test_it_is_antisymmetric_and_nothing_has_changed_from_itself(pair: tuple[Report, Report]) -> None:
    there, back = compare(*pair), compare(*reversed(pair))
    for one, other in zip(there.changes, back.changes, strict=True):
        assert one.difference == -other.difference
        assert one.p_value == other.p_value
    for change in compare(pair[0], pair[0]).changes:
        assert (change.difference, change.p_value, change.reason, change.worst_pairs) == (0, 1.0, "identical", [])


def test_few_rows_and_saturation_have_no_p_value(tmp_path: Path) -> None:
    small = [analyze([study(tmp_path, str(seed), seed, 2.0, n=20)], QUICK) for seed in range(2)]
    assert all(change.p_value is None and "too few rows" in (change.reason or "") for change in compare(*small).changes)
    apart = [analyze([study(tmp_path, str(seed), seed, lift)], QUICK) for seed, lift in ((1, 50.0), (2, 2.0))]
    changes = {change.layer: change for change in compare(*apart).changes}
    assert changes["0.Input"].p_value is not None
    assert "saturated" in (changes["1.Dense"].reason or "")


CHANGES: dict[str, tuple[Callable[[Report], Report], bool]] = {
    "classes": (lambda r: r.model_copy(update={"classes": [f"{name}'" for name in r.classes]}), True),
    "metric": (lambda r: with_provenance(r, metric="cosine"), True),
    "estimator": (lambda r: with_provenance(r, estimator="another"), True),
    "ties": (lambda r: with_provenance(r, ties="first"), True),
    "rows per class": (lambda r: with_separations(r, n_per_class=[7] * 4), True),
    "layers": (lambda r: r.model_copy(update={"layers": [*r.layers, "2.New"]}), False),
    "networks and splits": (lambda r: with_separations(r, split="train"), True),
}


def with_provenance(report: Report, **values: Any) -> Report:
    return report.model_copy(update={"provenance": report.provenance.model_copy(update=values)})


def with_separations(report: Report, **values: Any) -> Report:
    return report.model_copy(update={"separations": [found.model_copy(update=values) for found in report.separations]})


@pytest.mark.parametrize("field", CHANGES)
def test_what_keeps_reports_from_being_compared_is_named(pair: tuple[Report, Report], field: str) -> None:
    change, decisive = CHANGES[field]
    comparison = compare(pair[0], change(pair[1]))
    assert not comparison.comparable
    (difference,) = comparison.differences
    assert (difference.field, difference.decisive) == (field, decisive)
    assert difference.base != difference.candidate
    assert (comparison.changes == []) == decisive
    shown = comparison_to_text(comparison)
    assert field in shown
    assert ("cannot be compared" if decisive else "not comparable as a whole") in shown


def test_renderings_hold_the_numbers(pair: tuple[Report, Report]) -> None:
    comparison = compare(*pair)
    assert Comparison.model_validate_json(comparison.to_bytes()) == comparison
    text, markdown = comparison_to_text(comparison), comparison_to_markdown(comparison)
    page = comparison_to_html(*pair, comparison)
    for shown in (text, markdown, page):
        assert "1.Dense" in shown.replace("\\", "")
        assert f"−{abs(comparison.changes[1].difference):.3f}" in shown
    assert text.startswith("Of 2 layers and splits, 1 separate the classes worse")
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_text(name: str) -> None:
    classes = [name, "cat", "dog"]
    base = sample_report(n_layers=2, classes=classes, layers=["0.Input", name + "2"], seed=1)
    candidate = sample_report(n_layers=2, classes=classes, layers=["0.Input", name + "2"], seed=2)
    comparison = compare(base, candidate)
    page = comparison_to_html(base, candidate, comparison)
    assert "<script" not in page
    assert "\x1b" not in comparison_to_text(comparison) + comparison_to_markdown(comparison) + page
    assert "<script" not in comparison_to_markdown(comparison).replace("\\<", "")
