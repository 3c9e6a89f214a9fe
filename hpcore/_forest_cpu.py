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
def _level_end(weight: NDArray[np.float64], start: int, tolerance: float) -> int:
    """The first place after `start` whose weight is not tied with the weight there."""
    stop = start + 1
    while stop < weight.shape[0] and weight[stop] <= weight[start] * (1.0 + tolerance):
        stop += 1
    return stop


@kernel()
def _number_cycles(
    parent: NDArray[np.intp],
    u: NDArray[np.intp],
    left: NDArray[np.intp],
    in_tree: NDArray[np.bool_],
    number: NDArray[np.intp],
    component: NDArray[np.intp],
    n_components: int,
) -> int:
    """Number the connected parts of one level that hold a cycle; `number` is -1 everywhere before and after."""
    for e in range(u.shape[0]):
        if left[e] >= 0 and not in_tree[e]:
            root = find(parent, u[e])
            if number[root] < 0:
                number[root] = n_components
                n_components += 1
    for e in range(u.shape[0]):
        component[e] = number[find(parent, u[e])] if left[e] >= 0 else -1
    for e in range(u.shape[0]):
        number[find(parent, u[e])] = -1
    return n_components


@kernel()
def _count_others(
    parent: NDArray[np.intp],
    size: NDArray[np.intp],
    u: NDArray[np.intp],
    v: NDArray[np.intp],
    is_preferred: NDArray[np.bool_],
) -> int:
    """Contract a level with the preferred edges first; return how many others a tree needs."""
    n_others = 0
    for wanted in (True, False):
        for e in range(u.shape[0]):
            if is_preferred[e] == wanted and _unite(parent, size, u[e], v[e]) and not wanted:
                n_others += 1
    return n_others


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
    parent_same, size_same = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    parent_cross, size_cross = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    number = np.full(n_nodes, -1, np.intp)
    n_taken, least, n_not_cross, n_components = 0, 0, 0, 0
    start = 0
    while start < u.shape[0]:
        stop = _level_end(weight, start, tolerance)
        for e in range(start, stop):
            left[e], right[e] = find(parent, u[e]), find(parent, v[e])
            if left[e] == right[e]:
                left[e], right[e] = -1, -1
        for e in range(start, stop):
            in_tree[e] = left[e] >= 0 and _unite(parent, size, u[e], v[e])
            n_taken += in_tree[e]
        at = slice(start, stop)
        n_components = _number_cycles(parent, u[at], left[at], in_tree[at], number, component[at], n_components)
        least += _count_others(parent_same, size_same, u[at], v[at], has_same[at])
        n_not_cross += _count_others(parent_cross, size_cross, u[at], v[at], has_cross[at])
        start = stop
    return least, n_taken - n_not_cross


@kernel()
def core_lengths(
    u: NDArray[np.intp], v: NDArray[np.intp], weight: NDArray[np.float64], core: NDArray[np.float64]
) -> None:
    """Fill `core (n)` with the longest edge on the path from each node to the core of its tree.

    The edges of the tree come in ascending order. Where two components merge, the core of the larger stays the core of
    both, and this edge is the longest on the way from the nodes of the smaller.
    """
    cluster_cores(u, v, weight, np.inf, 0, core, np.empty(core.shape[0], np.intp))


@kernel()
def cluster_cores(
    u: NDArray[np.intp],
    v: NDArray[np.intp],
    weight: NDArray[np.float64],
    gap: float,
    smallest: int,
    core: NDArray[np.float64],
    cluster: NDArray[np.intp],
) -> None:
    """As `core_lengths`, without the edges longer than `gap` that join components of at least `smallest` nodes.

    The components that are left are clusters, each with a core of its own; ``cluster (n)`` names a node of it.
    """
    n_nodes = core.shape[0]
    parent, size = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    following, last = np.full(n_nodes, -1, np.intp), np.arange(n_nodes)  # members of a component as a list
    core[:] = 0.0
    for e in range(u.shape[0]):
        large, small = find(parent, u[e]), find(parent, v[e])
        if size[large] < size[small]:
            large, small = small, large
        if weight[e] > gap and size[small] >= smallest:
            continue
        node = small
        while node >= 0:
            core[node] = weight[e]
            node = following[node]
        parent[small] = large
        size[large] += size[small]
        following[last[large]] = small
        last[large] = last[small]
    for node in range(n_nodes):
        cluster[node] = find(parent, node)


@kernel()
def _merge(
    first: NDArray[np.float64], second: NDArray[np.float64], third: NDArray[np.float64], order: NDArray[np.intp]
) -> None:
    """Fill `order` with the places of three sorted lists, one after another, in ascending order."""
    i, j, k = 0, 0, 0
    n_first, n_second = first.shape[0], second.shape[0]
    for e in range(order.shape[0]):
        one = first[i] if i < n_first else np.inf
        two = second[j] if j < n_second else np.inf
        three = third[k] if k < third.shape[0] else np.inf
        if one <= two and one <= three:
            order[e] = i
            i += 1
        elif two <= three:
            order[e] = n_first + j
            j += 1
        else:
            order[e] = n_first + n_second + k
            k += 1


@kernel()
def _unique_tree(
    u: NDArray[np.intp], v: NDArray[np.intp], weight: NDArray[np.float64], tolerance: float, n_first: int, n_nodes: int
) -> tuple[int, int]:
    """Cross edges (nodes below `n_first` to the rest) and Σ degree² of the tree; (-1, -1) where it is not unique."""
    degree = np.zeros(n_nodes, np.int64)
    parent, size = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    count, start, n_joined = 0, 0, 1
    while n_joined < n_nodes and start < u.shape[0]:
        stop = _level_end(weight, start, tolerance)
        n_open = 0
        if stop > start + 1:  # an edge of a length of its own is in every tree or in none
            for e in range(start, stop):
                n_open += find(parent, u[e]) != find(parent, v[e])
        for e in range(start, stop):
            if _unite(parent, size, u[e], v[e]):
                n_open -= 1
                n_joined += 1
                degree[u[e]] += 1
                degree[v[e]] += 1
                count += (u[e] < n_first) != (v[e] < n_first)
        if n_open > 0 or weight[start] == 0.0:
            return -1, -1
        start = stop
    return count, (degree * degree).sum()


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
        of_a = slice(edge_start[a], edge_start[a + 1])
        of_b = slice(edge_start[b], edge_start[b + 1])
        between = slice(cross_start[p], cross_start[p + 1])
        n_first = node_start[a + 1] - node_start[a]
        ascending = np.argsort(cross_weight[between])
        weight = np.concatenate((edge_weight[of_a], edge_weight[of_b], cross_weight[between][ascending]))
        u = np.concatenate((edge_u[of_a], edge_u[of_b], cross_u[between][ascending]))
        v = np.concatenate((edge_v[of_a], edge_v[of_b], cross_v[between][ascending]))
        for e in range(u.shape[0]):
            # the nodes of class a come first, those of class b after them
            u[e] -= node_start[a] if u[e] < node_start[a + 1] else node_start[b] - n_first
            v[e] -= node_start[a] if v[e] < node_start[a + 1] else node_start[b] - n_first
        order = np.empty(u.shape[0], np.intp)
        n_own = edge_start[a + 1] - edge_start[a]
        n_within = n_own + edge_start[b + 1] - edge_start[b]
        _merge(weight[:n_own], weight[n_own:n_within], weight[n_within:], order)
        n_nodes = n_first + node_start[b + 1] - node_start[b]
        count[p], squared_degrees[p] = _unique_tree(u[order], v[order], weight[order], tolerance, n_first, n_nodes)
        is_tied[p] = count[p] < 0


@kernel()
def linkage_order(
    u: NDArray[np.intp],
    v: NDArray[np.intp],
    weight: NDArray[np.float32],
    order: NDArray[np.intp],
    gap: NDArray[np.float32],
) -> None:
    """Order the nodes of a tree so that every component of single linkage is a run, given ascending edges.

    ``gap[i]`` is the edge that joined the places i - 1 and i. Two nodes are first together in the component that the
    largest gap between their places joined: that gap is the longest edge on the path between them.
    """
    n_nodes = order.shape[0]
    parent, size = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    first, last, following = np.arange(n_nodes), np.arange(n_nodes), np.full(n_nodes, -1, np.intp)
    before = np.zeros(n_nodes, np.float32)
    for e in range(u.shape[0]):
        left, right = find(parent, u[e]), find(parent, v[e])
        before[first[right]] = weight[e]
        following[last[left]] = first[right]
        start, end = first[left], last[right]
        _unite(parent, size, left, right)
        root = find(parent, left)
        first[root], last[root] = start, end
    node = first[find(parent, 0)]
    for place in range(n_nodes):
        order[place], gap[place] = node, before[node]
        node = following[node]
