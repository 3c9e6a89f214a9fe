"""Orthogonal trees: minimum spanning tree, remove its edges, and again, as one would do it by hand."""

from __future__ import annotations

from itertools import combinations

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hpcore
from hpcore._orthogonal_cpu import orthogonal_trees


def by_hand(rows: NDArray[np.int64], n_trees: int) -> list[set[frozenset[int]]]:
    """Grow each tree from the first point by the shortest edge that leads out and has not been used.

    Of equally long ones that to the earliest point outside, and then from the point that joined first.
    """
    trees: list[set[frozenset[int]]] = []
    used: set[frozenset[int]] = set()
    for _ in range(n_trees):
        joined, tree = [0], set()
        while len(joined) < len(rows):
            leading_out = [
                (int(((rows[i] - rows[j]) ** 2).sum()), j, when)
                for when, i in enumerate(joined)
                for j in range(len(rows))
                if j not in joined and frozenset((i, j)) not in used
            ]
            if not leading_out:
                return trees
            _, j, when = min(leading_out)
            tree.add(frozenset((joined[when], j)))
            joined.append(j)
        trees.append(tree)
        used |= tree
    return trees


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 14), n_values=st.sampled_from([2, 4, 10**6]))
def test_trees_equal_those_by_hand(seed: int, n: int, n_values: int) -> None:
    """With ties and repeated points, and as many trees as there are: the next one would not span."""
    rows = np.random.default_rng(seed).integers(0, n_values, (n, 2))
    nodes = np.random.default_rng(seed + 1).permutation(n)
    found = orthogonal_trees(rows.astype(np.float64), nodes.astype(np.intp), n)
    trees = [{frozenset(edge) for edge in tree.T.tolist()} for tree in found]
    assert trees == by_hand(rows[nodes], n)
    left = networkx.complete_graph(n)
    for tree in trees:
        left.remove_edges_from([tuple(edge) for edge in tree])
    assert n == 2 or not networkx.is_connected(left)


@given(seed=st.integers(0, 2**32 - 1), n_trees=st.integers(1, 3), d=st.integers(1, 20))
def test_each_tree_is_minimal_among_what_is_left(seed: int, n_trees: int, d: int) -> None:
    """Against Kruskal's algorithm of networkx, classes of any size, with ties and without."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(10, 30))
    rows = rng.standard_normal((n, d)) if rng.random() < 0.5 else rng.integers(0, 3, (n, d)).astype(np.float64)
    graph = networkx.Graph()
    graph.add_weighted_edges_from((i, j, float(((rows[i] - rows[j]) ** 2).sum())) for i, j in combinations(range(n), 2))
    for tree in orthogonal_trees(rows, np.arange(n), n_trees):
        edges = tree.T.tolist()
        assert all(graph.has_edge(*edge) for edge in edges)  # no edge is used twice
        assert networkx.is_tree(networkx.Graph(edges))
        smallest = networkx.minimum_spanning_tree(graph).size(weight="weight")
        assert sum(graph.edges[edge]["weight"] for edge in edges) == pytest.approx(smallest, rel=1e-12)
        graph.remove_edges_from(edges)


@pytest.mark.parametrize("n_trees", [1, 2, 4])
def test_the_bound_counts_edges_between_unequal_classes(n_trees: int) -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [40, 9, 2])
    rows = rng.standard_normal((51, 3)) + labels[:, None]
    graph = networkx.Graph()
    graph.add_weighted_edges_from(
        (i, j, float(np.linalg.norm(rows[i] - rows[j]))) for i, j in combinations(range(51), 2)
    )
    n_cross = 0
    for _ in range(n_trees):
        tree = list(networkx.minimum_spanning_edges(graph, data=False))
        n_cross += sum(labels[i] != labels[j] for i, j in tree)
        graph.remove_edges_from(tree)
    upper = hpcore.multiclass_bayes_error_bounds(rows, labels, n_trees=n_trees)[1]
    assert upper == pytest.approx(n_cross / n_trees / 51, abs=1e-12)


def test_a_star_has_no_second_tree() -> None:
    """All edges of the point in the middle are in the first tree; the rest cannot reach it, and the error says so."""
    star = np.concatenate((np.zeros((1, 6)), np.eye(6), -np.eye(6)))
    assert len(orthogonal_trees(star, np.arange(13), 3)) == 1
    with pytest.raises(hpcore.InvalidInput, match="`n_trees` must be at most 1 for these 13 points; got 2"):
        hpcore.multiclass_bayes_error_bounds(star, np.arange(13) % 2, n_trees=2)
