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
def level_end(weight: NDArray[np.float64], start: int, tolerance: float) -> int:
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

    It begins with an edge that still joins two components: where levels begin is a matter of the lengths in a minimum
    tree alone, whichever other edges there are.

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
        if find(parent, u[start]) == find(parent, v[start]):
            left[start], right[start], component[start], in_tree[start] = -1, -1, -1, False
            start += 1
            continue
        stop = level_end(weight, start, tolerance)
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
def minimal_edges(
    n_nodes: int,
    u: NDArray[np.intp],
    v: NDArray[np.intp],
    weight: NDArray[np.float64],
    tolerance: float,
    keep: NDArray[np.bool_],
    in_tree: NDArray[np.bool_],
) -> None:
    """Mark which sorted edges may be tied with an edge of a minimum forest, and which Kruskal's algorithm takes.

    An edge is dropped if edges that are shorter by more than `tolerance` join its ends: then no level of any larger
    graph holds it, wherever its levels begin.
    """
    parent, size = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    parent_shorter, size_shorter = np.arange(n_nodes), np.ones(n_nodes, np.intp)
    n_shorter = 0
    for e in range(u.shape[0]):
        in_tree[e] = _unite(parent, size, u[e], v[e])
        while weight[n_shorter] * (1.0 + tolerance) < weight[e]:
            if in_tree[n_shorter]:
                _unite(parent_shorter, size_shorter, u[n_shorter], v[n_shorter])
            n_shorter += 1
        # only an edge that is tied with the one before can be in one forest and not in another
        keep[e] = in_tree[e] or (n_shorter < e and find(parent_shorter, u[e]) != find(parent_shorter, v[e]))


@kernel()
def core_lengths(
    u: NDArray[np.intp], v: NDArray[np.intp], weight: NDArray[np.float64], core: NDArray[np.float64]
) -> None:
    """Fill `core (n)` with the longest edge on the path from each node to the core of its tree.

    The edges of the tree come in ascending order; others among them that close a cycle do no harm. Where two components
    merge, the core of the larger stays the core of both, and this edge is the longest on the way from the nodes of the
    smaller.
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
        if large == small or (weight[e] > gap and size[small] >= smallest):
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
