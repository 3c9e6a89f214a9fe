"""Bayes-error bounds of many classes from one global tree."""

from __future__ import annotations

import numpy as np
import pytest

import hpcore
from tests import oracle


@pytest.mark.parametrize(("centre", "lower", "upper"), [(2.0, 0.169144, 0.295374), (3.0, 0.069323, 0.131437)])
def test_three_gaussians_on_a_line(centre: float, lower: float, upper: float) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 1500)
    points = rng.standard_normal((4500, 1)) + centre * (labels[:, None] - 1)
    found = hpcore.multiclass_bayes_error_bounds(points, labels)
    np.testing.assert_allclose(found, (lower, upper), rtol=0, atol=0.025)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_bounds_equal_the_formula_on_the_reference_tree(metric: str) -> None:
    rng = np.random.default_rng(1)
    points, labels = rng.standard_normal((120, 4)), rng.integers(0, 5, 120)
    points[:, 0] += labels * 4
    delta = oracle.cross_edges(points, labels, metric) / 240
    lower = 0.8 * (1 - np.sqrt(max(0.0, 1 - 2.5 * delta)))
    found = hpcore.multiclass_bayes_error_bounds(points, labels, metric=metric)
    np.testing.assert_allclose(found, (lower, min(2 * delta, 0.8)), rtol=0, atol=1e-12)


def test_ties_are_averaged() -> None:
    """The corners of a simplex: each of the N (N - 1) / 2 edges is in a share 2/N of the trees."""
    labels = np.repeat([0, 1, 2], [2, 3, 5])
    n_cross = 2 * 3 + 2 * 5 + 3 * 5
    upper = hpcore.multiclass_bayes_error_bounds(np.eye(10), labels)[1]
    assert upper == pytest.approx(2 * n_cross * (2 / 10) / 20, abs=1e-12)


def test_repeated_points_are_averaged() -> None:
    """One place, three classes: a uniform tree over all copies."""
    labels = np.repeat([0, 1, 2], [2, 3, 5])
    points = np.zeros((11, 1))
    points[10] = 1.0
    labels = np.append(labels, 2)
    n_cross = 2 * 3 + 2 * 5 + 3 * 5
    expected = n_cross * 2 / 10 + 5 / 10
    assert hpcore.multiclass_bayes_error_bounds(points, labels)[1] == pytest.approx(2 * expected / 22, abs=1e-12)


def test_two_classes_agree_with_the_pair() -> None:
    """For two equal classes both upper bounds are R/N."""
    rng = np.random.default_rng(2)
    points, labels = rng.standard_normal((200, 3)), np.repeat([0, 1], 100)
    points[:, 0] += 2.0 * labels
    statistic = hpcore.pairwise_henze_penrose(points, labels).statistic[0]
    upper = hpcore.multiclass_bayes_error_bounds(points, labels)[1]
    assert upper == pytest.approx(hpcore.bayes_error_bounds(statistic)[1], abs=1e-12)


@pytest.mark.parametrize("n_trees", [2, 3])
def test_orthogonal_trees_equal_repeated_removal(n_trees: int) -> None:
    """The reference removes the edges of each tree from the matrix and builds the next."""
    rng = np.random.default_rng(4)
    points, labels = rng.standard_normal((80, 3)), np.arange(80) % 4
    points[:, 0] += 3.0 * labels
    weights = oracle.squared_distances(points)
    counts = []
    for _ in range(n_trees):
        edges = oracle.prim(weights)
        counts.append(oracle.cross_count(edges, labels))
        for i, j in edges:
            weights[i, j] = weights[j, i] = np.inf
    found = hpcore.multiclass_bayes_error_bounds(points, labels, n_trees=n_trees)
    assert found[1] == pytest.approx(float(np.mean(counts)) / 80, abs=1e-12)


def test_orthogonal_trees_do_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(5)
    points, labels = rng.integers(0, 3, (60, 2)), rng.integers(0, 3, 60)
    order = rng.permutation(60)
    first, second = (
        hpcore.multiclass_bayes_error_bounds(points[each], labels[each], n_trees=3) for each in (slice(None), order)
    )
    assert first == second


def test_too_many_trees_are_refused() -> None:
    """Six points have 15 edges; three trees would need all of them, and what two leave need not span."""
    points, labels = np.arange(6.0)[:, None] ** 2, np.arange(6) % 2
    with pytest.raises(hpcore.InvalidInput, match="`n_trees` must be at most"):
        hpcore.multiclass_bayes_error_bounds(points, labels, n_trees=4)
    with pytest.raises(hpcore.InvalidInput, match="`n_trees` must be an integer"):
        hpcore.multiclass_bayes_error_bounds(points, labels, n_trees=0)
