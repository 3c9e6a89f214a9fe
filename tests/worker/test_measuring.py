"""What a request asks of every layer beyond its pair values."""

from pathlib import Path

import numpy as np
import pytest

from contract.schemas import AnalysisRequest, Report
from hpcore import fold_means, pairwise_henze_penrose
from worker.analysis import analyze

ARTIFACT = "sha256:" + "a" * 64


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 60, 48 and 40 rows; the first layer is noise, the second is not."""
    rng = np.random.default_rng(11)
    labels = np.repeat([0, 1, 2], [60, 48, 40])
    noise, signal = rng.normal(size=(2, len(labels), 6))
    signal[:, 0] += 3.0 * labels
    found = tmp_path_factory.mktemp("files") / "run.npz"
    np.savez(found, labels=labels, noise=noise, signal=signal)
    return found


def study(path: Path, **sampling: object) -> Report:
    request = AnalysisRequest.model_validate(
        {"inputs": [{"artifact": ARTIFACT}], "sampling": sampling, "tests": {"n_resamples": 99}, "seed": 2}
    )
    return analyze(request, {ARTIFACT: path})[0]


def test_noise_and_signal_are_told_apart_by_one_overall_test(path: Path) -> None:
    noise, signal = (s.any_separation for s in study(path).separations)
    assert noise is not None
    assert signal is not None
    assert noise.p_value is not None
    assert noise.p_value > 0.01
    assert signal.p_value is not None
    assert signal.p_value < 1e-10
    assert signal.statistic > 0.5 > noise.statistic


def test_the_spread_of_repeated_draws_is_reported_and_the_first_draw_is_the_report(path: Path) -> None:
    once, often = study(path), study(path, repeats=6)
    for single, repeated in zip(once.separations, often.separations, strict=True):
        assert single.draws is None
        assert repeated.draws is not None
        assert repeated.mean == single.mean
        assert repeated.draws.count == 6
        assert repeated.draws.min < repeated.draws.max
        assert repeated.draws.min <= repeated.mean <= repeated.draws.max
        assert abs(repeated.draws.mean - repeated.mean) < 4 * repeated.draws.sd


def test_where_no_row_is_left_out_there_is_nothing_to_repeat(path: Path) -> None:
    assert all(s.draws is None for s in study(path, per_class="all", repeats=6).separations)


def test_the_trend_shows_the_bias_towards_zero(path: Path) -> None:
    report = study(path, trend=True, per_class=40)
    signal = report.separations[1]
    assert signal.trend is not None
    assert signal.trend.n_per_class == [10, 20, 40]
    assert signal.trend.means[2] == signal.mean
    assert signal.trend.means[0] < signal.trend.means[2]
    assert study(path).separations[0].trend is None


def test_a_layer_is_measured_as_hpcore_measures_it(path: Path) -> None:
    report = study(path, per_class="all")
    with np.load(path) as arrays:
        for found in report.separations:
            direct = pairwise_henze_penrose(arrays[found.layer], arrays["labels"])
            assert found.pairs.cross_edges == direct.cross_edges.tolist()
            assert found.fold_means is not None
            folds = np.array(found.fold_means)
            again = fold_means(arrays[found.layer], arrays["labels"], n_folds=folds.shape[1], rng=123)
            assert abs(folds.mean() - again.mean()) < 0.1


def test_states_recorded_in_different_orders_are_pointed_out(path: Path, tmp_path: Path) -> None:
    with np.load(path) as arrays:
        order = np.random.default_rng(0).permutation(len(arrays["labels"]))
        shuffled = {name: arrays[name][order] for name in arrays.files}
    np.savez(tmp_path / "shuffled.npz", **shuffled)
    other = "sha256:" + "b" * 64
    inputs = [{"artifact": ARTIFACT}, {"artifact": other, "state": "untrained"}]
    request = AnalysisRequest.model_validate({"inputs": inputs, "tests": {"n_resamples": 99}})
    found, _ = analyze(request, {ARTIFACT: path, other: tmp_path / "shuffled.npz"})
    assert "row_order" in {warning.code for warning in found.warnings}
    same, _ = analyze(request, {ARTIFACT: path, other: path})
    assert "row_order" not in {warning.code for warning in same.warnings}
