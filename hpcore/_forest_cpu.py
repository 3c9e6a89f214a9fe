"""Kernels of Kruskal's algorithm, one weight level at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import kernel


@kernel()
def find(parent: NDArray[np.intp], node: int) -> int:
    """Root of `node`, with path halving."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel()
def _unite(parent: NDArray[np.intp], size: NDArray[np.intp], left: int, right: int) -> bool:
    left, right = find(parent, left), find(parent, right)
    if left == right:
        return False
    if size[left] < size[right]:
        left, right = right, left
    parent[right] = left
    size[left] += size[right]
    return True


@kernel()
def level_forest(
    n_nodes: int,
    u: NDArray[np.intp],
    v: NDArray[np.intp],
    weight: NDArray[np.float64],
    tolerance: float,
    has_same: NDArray[np.bool_],
    has_cross: NDArray[np.bool_],
    left: NDArray[np.intp],
    right: NDArray[np.intp],
    component: NDArray[np.intp],
    in_tree: NDArray[np.bool_],
) -> tuple[int, int]:
    """Contract sorted edges level by level; a level holds the weights within `tolerance` of its first.

    For each edge: `left`, `right` are the components of the lighter edges that it joins (-1, -1 for a loop),
    `component` numbers the connected part of its level if that part holds a cycle (else -1), and `in_tree` tells
    whether Kruskal's algorithm in the given order takes it. Returns the least and the greatest number of cross edges
    in a minimum tree: in each level those edges go first that have a copy within (between) classes.
    """
    parent, size = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    parent_least, size_least = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    parent_most, size_most = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    surplus = np.zeros(n_nodes, np.intp)
    number = np.full(n_nodes, -1, np.intp)
    least, most, n_components = 0, 0, 0
    n_edges = u.shape[0]
    start = 0
    while start < n_edges:
        stop = start + 1
        while stop < n_edges and weight[stop] <= weight[start] * (1.0 + tolerance):
            stop += 1
        for e in range(start, stop):
            left[e], right[e] = find(parent, u[e]), find(parent, v[e])
            component[e] = -1
            if left[e] == right[e]:
                left[e], right[e] = -1, -1
        for e in range(start, stop):
            in_tree[e] = left[e] >= 0 and _unite(parent, size, u[e], v[e])
        for e in range(start, stop):
            if left[e] >= 0 and not in_tree[e]:
                surplus[find(parent, u[e])] += 1
        for e in range(start, stop):
            if left[e] >= 0:
                root = find(parent, u[e])
                if surplus[root] > 0:
                    if number[root] < 0:
                        number[root] = n_components
                        n_components += 1
                    component[e] = number[root]
        for e in range(start, stop):
            if left[e] >= 0:
                root = find(parent, u[e])
                surplus[root] = 0
                number[root] = -1
                if has_same[e]:
                    _unite(parent_least, size_least, u[e], v[e])
                if has_cross[e] and _unite(parent_most, size_most, u[e], v[e]):
                    most += 1
        for e in range(start, stop):
            if left[e] >= 0:
                if _unite(parent_least, size_least, u[e], v[e]):
                    least += 1
                _unite(parent_most, size_most, u[e], v[e])
        start = stop
    return least, most
