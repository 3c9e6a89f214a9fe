"""Kernels on full matrices against the slow reference."""

from __future__ import annotations

import numpy as np
import pytest

from hpcore import _mst_dense, spanning_tree
from tests import oracle


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (65, 7), (130, 300)])
def test_squared_distances(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).standard_normal(shape)
    squared = np.empty((shape[0], shape[0]))
    _mst_dense.squared_distances(rows, squared)
    np.testing.assert_allclose(squared, oracle.squared_distances(rows), rtol=1e-14)
    np.testing.assert_array_equal(squared, squared.T)
    u, v = np.triu_indices(shape[0], 1)
    along = np.empty(u.shape[0])
    _mst_dense.edge_lengths(rows, u, v, along)
    np.testing.assert_array_equal(along, squared[u, v])


@pytest.mark.parametrize("seed", range(5))
def test_minimal_edges_are_the_tree_where_it_is_unique(seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((60, 4))
    edges = spanning_tree.minimal_edges(rows, 1e-12)
    found = set(zip(edges.u.tolist(), edges.v.tolist(), strict=True))
    assert found == {(min(e), max(e)) for e in oracle.prim(oracle.squared_distances(rows))}


@pytest.mark.parametrize("seed", range(20))
def test_minimal_edges_are_those_of_all_minimum_trees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.array([(i, j) for i in range(4) for j in range(3)]))[:6]
    edges = spanning_tree.minimal_edges(rows.astype(np.float64), 1e-12)
    assert set(zip(edges.u.tolist(), edges.v.tolist(), strict=True)) == set(oracle.edge_probabilities(rows))


def test_arrays_grow_when_ties_are_many() -> None:
    edges = spanning_tree.minimal_edges(np.eye(30), 1e-12)
    assert edges.u.shape[0] == 30 * 29 // 2
