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


@kernel()
def core_lengths(
    u: NDArray[np.intp], v: NDArray[np.intp], weight: NDArray[np.float64], core: NDArray[np.float64]
) -> None:
    """Fill `core (n)` with the longest edge on the path from each node to the core of its tree.

    The edges of the tree come in ascending order. Where two components merge, the core of the larger stays the core of
    both, and this edge is the longest on the way from the nodes of the smaller.
    """
    n_nodes = core.shape[0]
    parent, size = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    following, last = np.full(n_nodes, -1, np.intp), np.arange(n_nodes)  # members of a component as a list
    core[:] = 0.0
    for e in range(u.shape[0]):
        large, small = find(parent, u[e]), find(parent, v[e])
        if size[large] < size[small]:
            large, small = small, large
        node = small
        while node >= 0:
            core[node] = weight[e]
            node = following[node]
        parent[small] = large
        size[large] += size[small]
        following[last[large]] = small
        last[large] = last[small]


@kernel()
def pair_forests(
    pairs: NDArray[np.intp],
    node_start: NDArray[np.intp],
    edge_start: NDArray[np.intp],
    edge_u: NDArray[np.intp],
    edge_v: NDArray[np.intp],
    edge_weight: NDArray[np.float64],
    cross_start: NDArray[np.intp],
    cross_u: NDArray[np.intp],
    cross_v: NDArray[np.intp],
    cross_weight: NDArray[np.float64],
    tolerance: float,
    count: NDArray[np.int64],
    squared_degrees: NDArray[np.int64],
    is_tied: NDArray[np.bool_],
) -> None:
    """Kruskal for many class pairs whose points are all different: cross edges and Σ degree² of the tree.

    Class c has the nodes ``node_start[c]:node_start[c + 1]`` and the sorted edges ``edge_start[c]:edge_start[c + 1]``;
    pair p adds the edges ``cross_start[p]:cross_start[p + 1]``. Where the tree is not unique, or an edge has length
    zero, `is_tied` is set and nothing else; pairs for which it is set already are left out.
    """
    for p in range(pairs.shape[0]):
        if is_tied[p]:
            continue
        a, b = pairs[p, 0], pairs[p, 1]
        n_first = node_start[a + 1] - node_start[a]
        n_nodes = n_first + node_start[b + 1] - node_start[b]
        cross = np.argsort(cross_weight[cross_start[p] : cross_start[p + 1]]) + cross_start[p]
        i, j, k = edge_start[a], edge_start[b], 0
        n_edges = edge_start[a + 1] - i + edge_start[b + 1] - j + cross.shape[0]
        u, v = np.empty(n_edges, np.intp), np.empty(n_edges, np.intp)
        weight = np.empty(n_edges)
        for e in range(n_edges):
            from_a = edge_weight[i] if i < edge_start[a + 1] else np.inf
            from_b = edge_weight[j] if j < edge_start[b + 1] else np.inf
            between = cross_weight[cross[k]] if k < cross.shape[0] else np.inf
            if from_a <= from_b and from_a <= between:
                u[e], v[e] = edge_u[i] - node_start[a], edge_v[i] - node_start[a]
                weight[e] = from_a
                i += 1
            elif from_b <= between:
                u[e], v[e] = edge_u[j] - node_start[b] + n_first, edge_v[j] - node_start[b] + n_first
                weight[e] = from_b
                j += 1
            else:
                u[e], v[e] = cross_u[cross[k]] - node_start[a], cross_v[cross[k]] - node_start[b] + n_first
                weight[e] = between
                k += 1
        degree = np.zeros(n_nodes, np.int64)
        parent, size = np.arange(n_nodes), np.ones(n_nodes, np.intp)
        count[p] = 0
        is_tied[p] = n_edges > 0 and weight[0] == 0.0
        start, joined = 0, 1
        while joined < n_nodes and start < n_edges and not is_tied[p]:
            stop = start + 1
            while stop < n_edges and weight[stop] <= weight[start] * (1.0 + tolerance):
                stop += 1
            n_open = 0
            for e in range(start, stop):
                if find(parent, u[e]) != find(parent, v[e]):
                    n_open += 1
            for e in range(start, stop):
                if _unite(parent, size, u[e], v[e]):
                    n_open -= 1
                    joined += 1
                    degree[u[e]] += 1
                    degree[v[e]] += 1
                    count[p] += (u[e] < n_first) != (v[e] < n_first)
            is_tied[p] = n_open > 0
            start = stop
        squared_degrees[p] = (degree * degree).sum()
