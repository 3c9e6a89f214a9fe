"""The overall test against enumeration of all labellings and against the two-class test."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from hpcore import henze_penrose, ties
from hpcore.errors import TooManyTies
from hpcore.layer import measure_pairs
from hpcore.overall import cross_edge_moments, separation_test

PATH = [(i, i + 1) for i in range(6)]
STAR = [(0, i) for i in range(1, 7)]
BRANCHED = [(0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (5, 6)]


@pytest.mark.parametrize("edges", [PATH, STAR, BRANCHED])
@pytest.mark.parametrize("sizes", [(3, 4), (2, 2, 3), (1, 2, 4), (2, 2, 2, 1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_of_every_labelling(edges: Sequence[tuple[int, int]], sizes: Sequence[int], weighted: bool) -> None:
    """Mean and variance over all distinct labellings of seven points, by brute force."""
    weights = np.ones(6)
    if weighted:
        weights = np.random.default_rng(0).random(6)
        weights *= 6 / weights.sum()  # a tree of N points has total weight N - 1
    labels = np.repeat(np.arange(len(sizes)), sizes)
    totals = [
        sum(w for w, (i, j) in zip(weights, edges, strict=True) if shuffled[i] != shuffled[j])
        for shuffled in set(itertools.permutations(labels.tolist()))
    ]
    strength = np.zeros(7)
    for w, (i, j) in zip(weights, edges, strict=True):
        strength[[i, j]] += w
    mean, variance = cross_edge_moments(np.array(sizes), float((weights**2).sum()), float((strength**2).sum()))
    assert mean == pytest.approx(np.mean(totals))
    assert variance == pytest.approx(np.var(totals), abs=1e-9)


def points(
    generator: np.random.Generator, n_classes: int, distance: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    labels = np.repeat(np.arange(n_classes), 40)
    values = generator.normal(size=(labels.size, 4))
    return values + distance * labels[:, None], labels


def test_two_classes_are_the_friedman_rafsky_test() -> None:
    values, labels = points(np.random.default_rng(1), 2, 0.3)
    # Rounding makes repeated points and equal distances.
    for activations in (values, np.round(values)):
        result = separation_test(activations, labels)
        pair = henze_penrose(activations[labels == 0], activations[labels == 1])
        assert result.statistic == pytest.approx(pair.statistic, abs=0.03)  # 2mn/N against (N-1) p2: the same here
        assert result.p_value == pytest.approx(pair.p_value, rel=1e-6)


def test_level_and_power() -> None:
    generator = np.random.default_rng(2)
    p_values = [separation_test(*points(generator, 5, 0.0)).p_value for _ in range(200)]
    rejected = sum(p is not None and p <= 0.05 for p in p_values)
    assert 2 <= rejected <= 20  # binomial(200, .05) leaves this band with probability .002
    p_value = separation_test(*points(generator, 5, 0.5)).p_value
    assert p_value is not None
    assert p_value < 1e-6


def test_one_point_repeated_is_no_separation() -> None:
    result = separation_test(np.zeros((12, 2)), np.repeat([0, 1, 2], 4))
    assert result.p_value is not None
    assert result.p_value > 0.4
    assert result.statistic == pytest.approx(0.0)


def test_too_many_ties_leave_one_tree_for_all_labellings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid with a repeated point: the mean over all labellings is that of the null, so the tree ignores labels."""
    rows = np.array([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 2)])
    assert separation_test(rows, [0, 0, 0, 1, 1, 1, 1]).reason is None
    monkeypatch.setattr(ties, "LARGEST_TIE_COMPONENT", 3)
    results = []
    for first in itertools.combinations(range(7), 3):
        labels = np.isin(np.arange(7), first)
        results.append(measure_pairs(rows, labels, ties="first", n_threads=1)[1])
        assert results[-1] == separation_test(rows[::-1], labels[::-1])
    assert len({round(result.statistic, 9) for result in results}) > 3
    assert np.mean([result.statistic for result in results]) == pytest.approx(0.0, abs=1e-12)
    assert all("one minimum tree" in str(result.reason) for result in results)
    with pytest.raises(TooManyTies):
        measure_pairs(rows, labels, n_threads=1)
