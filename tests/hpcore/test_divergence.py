"""The divergence that a statistic estimates and the Bayes errors that it allows, against published numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpcore
from tests.hpcore.gaussian_classes import blobs

# Equal-covariance Gaussians at Mahalanobis distance δ with equal priors: divergence, lower bound, upper bound.
GAUSSIAN_BOUNDS = [
    (0.01538697, 0.437978, 0.492307),
    (0.05894598, 0.378606, 0.470527),
    (0.12432002, 0.323705, 0.437840),
    (0.20405427, 0.274138, 0.397973),
    (0.38073296, 0.191482, 0.309634),
    (0.55040049, 0.129055, 0.224800),
    (0.69327512, 0.083684, 0.153362),
    (0.80275750, 0.052016, 0.098621),
    (0.93140259, 0.017454, 0.034299),
    (0.98104815, 0.004761, 0.009476),
    (0.99937098, 0.000157, 0.000315),
]


@pytest.mark.parametrize(("divergence", "lower", "upper"), GAUSSIAN_BOUNDS)
def test_bayes_bounds_of_gaussians(divergence: float, lower: float, upper: float) -> None:
    assert hpcore.bayes_error_bounds(divergence) == (pytest.approx(lower, abs=6e-7), pytest.approx(upper, abs=6e-7))


@pytest.mark.parametrize(
    ("prior", "divergence", "u"),
    [
        (0.25, 0.17133906, 0.37850430),
        (0.25, 0.51169639, 0.63377229),
        (0.25, 0.78081941, 0.83561456),
        (0.1, 0.41129336, 0.78806561),
    ],
)
def test_bayes_bounds_with_unequal_priors(prior: float, divergence: float, u: float) -> None:
    lower, upper = hpcore.bayes_error_bounds(divergence, prior=prior)
    assert (lower, upper) == (pytest.approx(0.5 - np.sqrt(u) / 2, abs=1e-8), pytest.approx(0.5 - u / 2, abs=1e-8))


def test_bayes_bounds_clip_and_keep_shape() -> None:
    lower, upper = hpcore.bayes_error_bounds(np.array([[-0.2, 0.0], [1.0, 1.1]]))
    np.testing.assert_array_equal(lower, [[0.5, 0.5], [0.0, 0.0]])
    np.testing.assert_array_equal(upper, lower)


@pytest.mark.parametrize(
    ("shift", "d", "expected", "standard_error"),
    [
        (0.0, 2, 0.001, 0.005),
        (1.0, 2, 0.202, 0.005),
        (2.0, 2, 0.545, 0.005),
        (3.0, 1, 0.801, 0.005),
        (2.0, 10, 0.492, 0.005),
    ],
)
def test_estimator_means(shift: float, d: int, expected: float, standard_error: float) -> None:
    n_repeats = 8
    values = [
        hpcore.henze_penrose(*np.split(blobs(1000, d, shift, seed)[0].astype(np.float64), 2)).statistic
        for seed in range(n_repeats)
    ]
    spread = np.hypot(standard_error, 0.024 / np.sqrt(n_repeats))
    assert np.mean(values) == pytest.approx(expected, abs=4 * spread)


@pytest.mark.parametrize(("centre", "truth"), [((0.5, 0.5), 0.111878), ((1.5, 1.5), 0.587958), ((5.0, 5.0), 0.999371)])
def test_divergence_of_two_planar_gaussians(centre: tuple[float, float], truth: float) -> None:
    rng = np.random.default_rng(7)
    found = hpcore.henze_penrose(rng.standard_normal((1000, 2)), rng.standard_normal((1000, 2)) + centre)
    assert abs(found.statistic - truth) < 0.07


def test_bootstrap_with_replacement_is_no_null() -> None:
    """Repeated points make edges of length zero: the reason why nothing here bootstraps."""
    rng = np.random.default_rng(3)
    points = rng.standard_normal((400, 10))
    resampled = [half[rng.integers(0, 200, 200)] for half in np.split(points, 2)]
    assert hpcore.henze_penrose(*resampled).statistic == pytest.approx(0.38, abs=0.12)


def test_null_spread() -> None:
    values: list[float] = []
    for seed in range(60):
        points, labels = blobs(50, 2, 0.0, seed, n_classes=4)
        values.extend(hpcore.pairwise_henze_penrose(points, labels, n_threads=1).statistic)
    assert np.std(values) == pytest.approx(1 / np.sqrt(2 * 50), rel=0.1)


@pytest.mark.parametrize("prior", [0.0, 1.0, -1, float("nan"), "half"])
def test_bad_priors(prior: Any) -> None:
    with pytest.raises(hpcore.InvalidInput, match="`prior`"):
        hpcore.bayes_error_bounds(0.5, prior=prior)


@pytest.mark.parametrize("statistic", [float("nan"), "much", [0.1, float("inf")]])
def test_bad_statistics(statistic: Any) -> None:
    with pytest.raises(hpcore.InvalidInput, match="`statistic`"):
        hpcore.bayes_error_bounds(statistic)
