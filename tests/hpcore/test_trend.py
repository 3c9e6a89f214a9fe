"""The dependence of the estimate on n."""

import numpy as np
import pytest

from hpcore import pairwise_henze_penrose
from hpcore.folds import fold_assignment
from hpcore.trend import _extrapolated, sample_size_trend


def test_means_of_disjoint_quarters_and_halves() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 32)
    points = generator.normal(size=(64, 3)) + labels[:, None]
    trend = sample_size_trend(points, labels, rng=4, device="cpu")
    assert trend.n_min == (8, 16, 32)
    shared = np.random.default_rng(4)
    for n_folds, mean in ((4, trend.means[0]), (2, trend.means[1])):
        (folds,) = fold_assignment(labels, n_repeats=1, n_folds=n_folds, rng=shared)
        values = [pairwise_henze_penrose(points[folds == f], labels[folds == f]).statistic[0] for f in range(n_folds)]
        assert mean == pytest.approx(np.mean(values))
    assert trend.means[2] == pairwise_henze_penrose(points, labels).statistic[0]


def test_high_dimension_shows_a_rising_estimate() -> None:
    """d = 50, classes two standard deviations apart: E[HP] is .255 at n = 100, the truth .55."""
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 100)
    means = []
    for _ in range(10):
        points = generator.normal(size=(400, 50)) + np.sqrt(2) * np.eye(4, 50)[labels]
        means.append(sample_size_trend(points, labels, device="cpu").means)
    quarter, half, full = np.mean(means, axis=0)
    assert full == pytest.approx(0.255, abs=0.03)
    assert quarter < half < full


@pytest.mark.parametrize(
    ("means", "limit"),
    [
        ((0.0, 0.5, 0.75), 1.0),
        ((0.3, 0.3, 0.3), 0.3),
        ((0.0, 0.1, 0.3), None),
        ((0.0, 0.2, 0.1), None),
        ((0.2, 0.2, 0.3), None),
        ((0.0, 0.3, 0.59), None),  # would go on to 9.0, where the statistic cannot be
    ],
)
def test_extrapolation(means: tuple[float, float, float], limit: float | None) -> None:
    found, reason = _extrapolated(*means)
    assert found == (None if limit is None else pytest.approx(limit))
    assert (reason is None) == (limit is not None)
