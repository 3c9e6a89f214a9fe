"""Averages and ranges over all minimum spanning trees against enumeration of every tree."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpcore
from hpcore import ties
from hpcore.layer import measure_pairs
from tests import oracle


@given(seed=st.integers(0, 2**32 - 1), n_values=st.integers(2, 4), d=st.integers(1, 3))
def test_average_and_range_equal_enumeration(seed: int, n_values: int, d: int) -> None:
    """Six lattice points: repeated ones, squares, stars and paths of equal edges in all mixtures."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, n_values, (6, d))
    labels = rng.permutation([0, 0, 0, 1, 1, int(rng.integers(0, 2))])
    least, most, mean = oracle.tree_range_and_mean(points, labels)
    found = hpcore.pairwise_henze_penrose(points, labels, n_threads=1)
    assert (found.cross_edges_min[0], found.cross_edges_max[0]) == (least, most)
    assert found.cross_edges[0] == pytest.approx(float(mean), abs=1e-12)
    first = hpcore.pairwise_henze_penrose(points, labels, ties="first", n_threads=1)
    assert first.cross_edges[0] in range(least, most + 1)


@given(seed=st.integers(0, 2**32 - 1), n_values=st.integers(2, 4))
def test_null_moments_of_averaged_trees(seed: int, n_values: int) -> None:
    """z uses the share of trees that hold each edge: mean and variance over all labellings by enumeration."""
    rng = np.random.default_rng(seed)
    points, labels = rng.integers(0, n_values, (6, 2)), rng.permutation([0, 0, 0, 1, 1, 1])
    mean, variance = oracle.null_moments(oracle.edge_probabilities(points), 6, 3)
    found = hpcore.pairwise_henze_penrose(points, labels, n_threads=1)
    expected = 0.0 if variance == 0 else (found.cross_edges[0] - float(mean)) / float(variance) ** 0.5
    assert found.z[0] == pytest.approx(expected, abs=1e-7)


def test_average_of_a_larger_grid_by_removing_edges() -> None:
    """A 4 x 4 grid has 100352 spanning trees; the deletion-contraction count gives every edge's share."""
    side = 4
    points = np.array([(i, j) for i in range(side) for j in range(side)])
    edges = [(a, b) for a in range(16) for b in range(a) if np.abs(points[a] - points[b]).sum() == 1]

    def n_trees(some: list[tuple[int, int]]) -> float:
        laplacian = np.zeros((16, 16))
        for a, b in some:
            laplacian[[a, b], [a, b]] += 1
            laplacian[[a, b], [b, a]] -= 1
        return float(np.linalg.det(laplacian[1:, 1:]))

    total = n_trees(edges)
    assert total == pytest.approx(100352)
    labels = np.array([0, 0, 1, 1] * 2 + [1, 0, 0, 1] * 2)
    mean = sum(
        1 - n_trees([e for e in edges if e != edge]) / total for edge in edges if labels[edge[0]] != labels[edge[1]]
    )
    assert hpcore.pairwise_henze_penrose(points, labels).cross_edges[0] == pytest.approx(mean, rel=1e-10)


@pytest.mark.parametrize("n", [3, 10, 300])
def test_all_points_equally_far(n: int) -> None:
    """The corners of a simplex: every tree is minimum, each edge is in a share 2/N of them (Cayley)."""
    points = np.eye(2 * n, dtype=np.float32)
    labels = np.repeat([0, 1], n)
    found = hpcore.pairwise_henze_penrose(points, labels)
    assert found.cross_edges[0] == pytest.approx(n * n * 2 / (2 * n), rel=1e-10)
    assert (found.cross_edges_min[0], found.cross_edges_max[0]) == (1, 2 * n - 1)
    assert found.z[0] == 0.0


def test_many_copies_of_few_points() -> None:
    """Closed form for repeated observations: Σ 2ab/m within points plus (a b' + a' b)/(m m') along the tree."""
    values = np.array([0.0, 1.0, 2.5, 7.0])
    copies = np.array([[200, 100], [0, 300], [150, 150], [50, 0]])
    points = np.repeat(np.tile(values, 2), copies.T.ravel())
    labels = np.repeat([0, 1], copies.sum(axis=0))
    sizes = copies.sum(axis=1)
    expected = (2 * copies.prod(axis=1) / sizes).sum()
    for i, j in pairwise(range(4)):
        expected += (copies[i, 0] * copies[j, 1] + copies[i, 1] * copies[j, 0]) / (sizes[i] * sizes[j])
    found = hpcore.pairwise_henze_penrose(points, labels)
    assert found.cross_edges[0] == pytest.approx(expected, rel=1e-12)
    assert found.n_duplicates == sizes.sum() - 4


def test_equal_lengths_are_recognised_through_rounding() -> None:
    """Multiples of 0.1 are rounded, so the sides of this grid differ in the last bits."""
    grid = np.array([(i, j) for i in range(5) for j in range(5)])
    labels = np.arange(25) % 3 % 2
    exact = hpcore.pairwise_henze_penrose(grid, labels)
    rounded = hpcore.pairwise_henze_penrose(grid * 0.1, labels)
    assert len(np.unique(np.diff(np.arange(5) * 0.1))) > 1
    assert rounded.cross_edges[0] == pytest.approx(exact.cross_edges[0], rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1), d=st.sampled_from([6, 17, 40]))
def test_chains_of_nearly_equal_lengths(seed: int, d: int) -> None:
    """Lengths 4e-13 apart: which are tied depends on where a level begins, and that on no edge outside the trees."""
    rng = np.random.default_rng(seed)
    points = np.eye(6, d) * np.sqrt(1.0 + 4e-13 * rng.integers(0, 12, (6, 1)))
    labels = rng.permutation([0, 0, 0, 1, 1, 1])
    trees = oracle.least_trees(oracle.levels(oracle.squared_distances(points), 1e-12))
    least, most, mean = oracle.range_and_mean(trees, labels)
    found = hpcore.pairwise_henze_penrose(points, labels, n_threads=1)
    assert (found.cross_edges_min[0], found.cross_edges_max[0]) == (least, most)
    assert found.cross_edges[0] == pytest.approx(float(mean), abs=1e-12)
    three = rng.permutation([0, 0, 1, 1, 2, 2])
    overall = measure_pairs(points, three, n_threads=1)[1]
    mean = oracle.range_and_mean(trees, three)[2]
    assert overall.statistic == pytest.approx(1 - float(mean) / 4, abs=1e-12)  # 5 edges, 12 of 15 pairs are unequal


def test_too_many_ties_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ties, "LARGEST_TIE_COMPONENT", 8)
    points, labels = np.eye(9), np.arange(9) % 2
    with pytest.raises(hpcore.HpcoreError, match='`ties="average"`'):
        hpcore.pairwise_henze_penrose(points, labels)
    assert hpcore.pairwise_henze_penrose(points, labels, ties="first").cross_edges_max[0] == 8


def test_too_many_tied_edges_are_refused_before_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three sets by themselves small enough, but with more edges in all than one set may have."""
    points = np.concatenate([np.eye(30) + 100 * k for k in range(3)])
    labels = np.arange(90) % 2
    monkeypatch.setattr(ties, "LARGEST_TIE_COMPONENT", 31)
    with pytest.raises(hpcore.HpcoreError, match=r'`ties="average"` would need 2[0-9]{3} edges.*at most 961.*"first"'):
        hpcore.pairwise_henze_penrose(points, labels)
    assert hpcore.pairwise_henze_penrose(points, labels, ties="first").cross_edges_min[0] == 3
    monkeypatch.setattr(ties, "LARGEST_TIE_COMPONENT", 60)
    assert hpcore.pairwise_henze_penrose(points, labels).cross_edges_max[0] == 87  # 29 in each set


def test_resistances_of_parallel_and_series_edges() -> None:
    """Two parallel unit edges in series with a bridge of conductance 4."""
    left, right = np.array([0, 0, 1]), np.array([1, 1, 2])
    found = ties.effective_resistances(left, right, np.array([1.0, 1.0, 4.0]))
    np.testing.assert_allclose(found, [0.5, 0.5, 0.25], rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 40), share=st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_resistances_of_any_graph(seed: int, n: int, share: float) -> None:
    """Trees, sparse graphs, of which most is eliminated, and full ones, by the pseudo-inverse of the Laplacian."""
    rng = np.random.default_rng(seed)
    parent = [int(rng.integers(0, i)) for i in range(1, n)]
    more = [(i, j) for i in range(n) for j in range(i) if rng.random() < share]
    edges = np.array([*zip(parent, range(1, n), strict=True), *more])
    edges = edges[rng.permutation(len(edges))]
    conductance = rng.integers(1, 6, len(edges)).astype(np.float64)
    laplacian = np.zeros((n, n))
    for (i, j), c in zip(edges, conductance, strict=True):
        laplacian[[i, j], [i, j]] += c
        laplacian[[i, j], [j, i]] -= c
    inverse = np.linalg.pinv(laplacian)
    expected = [inverse[i, i] + inverse[j, j] - 2 * inverse[i, j] for i, j in edges]
    found = ties.effective_resistances(edges[:, 0], edges[:, 1], conductance)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert (found * conductance).sum() == pytest.approx(n - 1)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_first_tree_is_the_one_described(seed: int) -> None:
    """Copies of a point form a path, the first class before the second; edges join one class where they can."""
    rng = np.random.default_rng(seed)
    places = np.unique(rng.integers(0, 3, (int(rng.integers(2, 10)), 2)), axis=0)
    n = len(places)
    copies = rng.integers(0, 4, (n, 2))
    copies[copies.sum(axis=1) == 0, int(rng.integers(0, 2))] = 1
    u, v = np.triu_indices(n, 1)
    edges = ties.sorted_edges(u, v, oracle.squared_distances(places)[u, v])
    found = ties.cross_edges(edges, copies, 1e-12, "first")
    last = np.cumsum(copies.sum(axis=1)) - 1
    first = np.concatenate(([0], last[:-1] + 1))
    of_copy = np.concatenate([np.repeat([0, 1], each) for each in copies])
    tree = [(i, i + 1) for i, j in zip(first, last, strict=True) for i in range(i, j)]
    component = np.arange(n)
    for i, j in zip(edges.u, edges.v, strict=True):
        if component[i] == component[j]:
            continue
        component[component == component[i]] = component[j]
        if copies[i, 0] and copies[j, 0]:
            tree.append((first[i], first[j]))
        elif copies[i, 1] and copies[j, 1]:
            tree.append((last[i], last[j]))
        else:
            tree.append((first[i], last[j]) if copies[i, 0] else (last[i], first[j]))
    degree = np.bincount(np.array(tree, np.intp).reshape(-1), minlength=len(of_copy))
    assert len(tree) == len(of_copy) - 1 == found.squared_weights
    assert found.count == sum(of_copy[i] != of_copy[j] for i, j in tree)
    assert found.squared_strengths == (degree**2).sum()
    assert found.least <= found.count <= found.most
