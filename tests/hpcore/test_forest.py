"""Kruskal's algorithm in its lean forms, against the one that ties need."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpcore._forest_cpu import core_lengths, level_forest, minimal_edges
from hpcore.ties import Edges, contract_levels, sorted_edges


@given(seed=st.integers(0, 2**32 - 1), n_lengths=st.sampled_from([1, 3, 10**9]))
def test_edges_of_all_minimum_forests(seed: int, n_lengths: int) -> None:
    """Also where the graph falls apart; and edges that close a cycle change no core."""
    rng = np.random.default_rng(seed)
    n, n_edges = int(rng.integers(2, 30)), int(rng.integers(0, 80))
    ends = rng.integers(0, n, (n_edges, 2))
    ends = ends[ends[:, 0] != ends[:, 1]]
    edges = sorted_edges(
        ends[:, 0], ends[:, 1], rng.integers(0, n_lengths, len(ends)) * (1.0 + 1e-14 * rng.random(len(ends)))
    )
    n_edges = edges.u.shape[0]
    left, right, component = (np.empty(n_edges, np.intp) for _ in range(3))
    keep, in_tree, expected_tree = (np.empty(n_edges, np.bool_) for _ in range(3))
    nowhere = np.zeros(n_edges, np.bool_)
    minimal_edges(n, edges.u, edges.v, edges.weight, 1e-12, keep, in_tree)
    level_forest(n, edges.u, edges.v, edges.weight, 1e-12, nowhere, nowhere, left, right, component, expected_tree)
    np.testing.assert_array_equal(keep, left >= 0)
    np.testing.assert_array_equal(in_tree, expected_tree)
    of_tree, of_all = np.empty(n), np.empty(n)
    core_lengths(edges.u[in_tree], edges.v[in_tree], edges.weight[in_tree], of_tree)
    core_lengths(edges.u, edges.v, edges.weight, of_all)
    np.testing.assert_array_equal(of_all, of_tree)


@given(seed=st.integers(0, 2**32 - 1))
def test_edges_that_are_dropped_would_change_nothing(seed: int) -> None:
    """Chains of lengths, each tied with the next and not with the one after, in a set and in what it is part of."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 16))
    u, v = np.triu_indices(n, 1)
    weight = np.asarray(1.0 + 4e-13 * rng.integers(0, 30, len(u)), np.float64)
    edges = sorted_edges(u, v, weight)
    n_first = int(rng.integers(4, n))  # the first nodes are a set whose edges are thinned out by themselves
    of_set = edges.v < n_first
    keep, in_tree = np.empty(int(of_set.sum()), np.bool_), np.empty(int(of_set.sum()), np.bool_)
    minimal_edges(n_first, edges.u[of_set], edges.v[of_set], edges.weight[of_set], 1e-12, keep, in_tree)
    left = ~of_set
    left[of_set] = keep
    thin = Edges(edges.u[left], edges.v[left], edges.weight[left])
    one, two = (
        contract_levels(each, np.ones(n, np.int64), each.v < n_first, each.v >= n_first, 1e-12)
        for each in (edges, thin)
    )
    assert not one.resistance[~left].any()
    np.testing.assert_allclose(two.resistance, one.resistance[left], rtol=1e-12)
    np.testing.assert_array_equal(two.in_tree, one.in_tree[left])
    assert (two.least, two.most) == (one.least, one.most)
