"""Kruskal's algorithm for many pairs of classes: their trees are sorted already, only cross edges have to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcore._forest_cpu import level_end
from hpcore._jit import kernel
from hpcore._sort_cpu import order_by_bits


@kernel()
def _unite(
    label: NDArray[np.int32], following: NDArray[np.int32], size: NDArray[np.int32], left: int, right: int
) -> None:
    """Give the smaller of two components the label of the larger; `following` leads round the nodes of each.

    Trees grow mostly node by node, so that this touches few nodes, and a lookup takes no search.
    """
    is_left = size[left] < size[right]
    small, large = (left, right) if is_left else (right, left)
    node = small
    while label[node] != large:
        label[node] = large
        node = following[node]
    following[large], following[small] = following[small], following[large]
    size[large] += size[small]


@kernel()
def _ascending(
    u: NDArray[np.intp],
    v: NDArray[np.intp],
    weight: NDArray[np.float64],
    order: NDArray[np.intp],
    firsts: tuple[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """A list for `_merge` in the given order, the ends counted from `firsts`."""
    n = order.shape[0]
    lengths, ends = np.empty(n + 1), np.empty((n, 2), np.int32)
    for i in range(n):
        e = order[i]
        lengths[i], ends[i, 0], ends[i, 1] = weight[e], u[e] - firsts[0], v[e] - firsts[1]
    lengths[n] = np.inf
    return lengths, ends


@kernel()
def _as_they_come(n: int) -> NDArray[np.intp]:
    order = np.empty(n, np.intp)
    for i in range(n):
        order[i] = i
    return order


@kernel()
def _merge(
    first: tuple[NDArray[np.float64], NDArray[np.int32]],
    second: tuple[NDArray[np.float64], NDArray[np.int32]],
    third: tuple[NDArray[np.float64], NDArray[np.int32]],
    weight: NDArray[np.float64],
    ends: NDArray[np.int32],
) -> None:
    """Merge three sorted lists of lengths and ends (n, 2), the last length of each being infinite."""
    i, j, k = 0, 0, 0
    for e in range(weight.shape[0]):
        one, two, three = first[0][i], second[0][j], third[0][k]
        if one <= two and one <= three:
            weight[e], ends[e, 0], ends[e, 1] = one, first[1][i, 0], first[1][i, 1]
            i += 1
        elif two <= three:
            weight[e], ends[e, 0], ends[e, 1] = two, second[1][j, 0], second[1][j, 1]
            j += 1
        else:
            weight[e], ends[e, 0], ends[e, 1] = three, third[1][k, 0], third[1][k, 1]
            k += 1


@kernel()
def _unique_tree(
    weight: NDArray[np.float64], ends: NDArray[np.int32], tolerance: float, n_first: int, n_nodes: int
) -> tuple[int, int]:
    """Cross edges (nodes below `n_first` to the rest) and Σ degree² of the tree; (-1, -1) where it is not unique.

    The edges are sorted.
    """
    label, following = np.empty(n_nodes, np.int32), np.empty(n_nodes, np.int32)
    size, degree = np.ones(n_nodes, np.int32), np.zeros(n_nodes, np.int64)
    for node in range(n_nodes):
        label[node] = following[node] = node
    count, start, n_joined = 0, 0, 1
    while n_joined < n_nodes and start < weight.shape[0]:
        if label[ends[start, 0]] == label[ends[start, 1]]:  # a level begins where something is joined
            start += 1
            continue
        stop = level_end(weight, start, tolerance)
        n_open = 0
        if stop > start + 1:  # an edge of a length of its own is in every tree or in none
            for e in range(start, stop):
                n_open += label[ends[e, 0]] != label[ends[e, 1]]
        for e in range(start, stop):
            u, v = ends[e, 0], ends[e, 1]
            left, right = label[u], label[v]
            if left != right:
                _unite(label, following, size, left, right)
                n_open -= 1
                n_joined += 1
                degree[u] += 1
                degree[v] += 1
                count += (u < n_first) != (v < n_first)
        if n_open > 0 or weight[start] == 0.0:
            return -1, -1
        start = stop
    squares = 0
    for node in range(n_nodes):
        squares += degree[node] * degree[node]
    return count, squares


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
    found: NDArray[np.float64],
    is_tied: NDArray[np.bool_],
) -> None:
    """Kruskal for many class pairs whose points are all different: cross edges, edges and Σ degree² of the tree.

    Class c has the nodes ``node_start[c]:node_start[c + 1]`` and the sorted edges ``edge_start[c]:edge_start[c + 1]``;
    pair p adds the edges ``cross_start[p]:cross_start[p + 1]`` and is column p of `found` (3, P). Where the tree is not
    unique, or an edge has length zero, `is_tied` is set; pairs for which it is set already are left out.
    """
    for p in range(pairs.shape[0]):
        if is_tied[p]:
            continue
        a, b = pairs[p, 0], pairs[p, 1]
        n_first = node_start[a + 1] - node_start[a]
        n_nodes = n_first + node_start[b + 1] - node_start[b]
        of_a = slice(edge_start[a], edge_start[a + 1])
        of_b = slice(edge_start[b], edge_start[b + 1])
        between = slice(cross_start[p], cross_start[p + 1])
        order = _as_they_come(between.stop - between.start)
        order_by_bits(cross_weight[between].view(np.uint64), order)
        # the nodes of class a come first, those of class b after them
        start, shift = node_start[a], node_start[b] - n_first
        sorted_a, sorted_b = _as_they_come(of_a.stop - of_a.start), _as_they_come(of_b.stop - of_b.start)
        first = _ascending(edge_u[of_a], edge_v[of_a], edge_weight[of_a], sorted_a, (start, start))
        second = _ascending(edge_u[of_b], edge_v[of_b], edge_weight[of_b], sorted_b, (shift, shift))
        third = _ascending(cross_u[between], cross_v[between], cross_weight[between], order, (start, shift))
        n_edges = first[0].shape[0] + second[0].shape[0] + third[0].shape[0] - 3
        weight, ends = np.empty(n_edges), np.empty((n_edges, 2), np.int32)
        _merge(first, second, third, weight, ends)
        count, squared_degrees = _unique_tree(weight, ends, tolerance, n_first, n_nodes)
        found[0, p], found[1, p], found[2, p] = count, n_nodes - 1, squared_degrees
        is_tied[p] = count < 0
