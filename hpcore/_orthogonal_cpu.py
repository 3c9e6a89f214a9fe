"""Several trees without a common edge: each is the minimum spanning tree of what the ones before it leave."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._exact_cpu import edge_lengths
from hpcore._jit import kernel


@kernel()
def _next_tree(
    rows: NDArray[Any],
    nodes: NDArray[np.intp],
    starts: NDArray[np.intp],
    used: NDArray[np.intp],
    u: NDArray[np.intp],
    v: NDArray[np.intp],
) -> bool:
    """Prim's algorithm without the edges from i to ``used[starts[i]:starts[i + 1]]``; False if none spans."""
    n = nodes.shape[0]
    nearest, source = np.full(n, np.inf), np.zeros(n, np.intp)
    waiting = np.ones(n, np.bool_)
    here, lengths = np.empty(n, np.intp), np.empty(n)
    vertex = 0
    for e in range(n - 1):
        waiting[vertex] = False
        here[:] = nodes[vertex]
        edge_lengths(rows, here, nodes, lengths)
        for k in range(starts[vertex], starts[vertex + 1]):
            lengths[used[k]] = np.inf
        best = -1
        for j in range(n):
            if waiting[j]:
                if lengths[j] < nearest[j]:
                    nearest[j], source[j] = lengths[j], vertex
                if best < 0 or nearest[j] < nearest[best]:
                    best = j
        if nearest[best] == np.inf:
            return False
        u[e], v[e] = source[best], best
        vertex = best
    return True


def orthogonal_trees(rows: NDArray[Any], nodes: NDArray[np.intp], n_trees: int) -> list[NDArray[np.intp]]:
    """Edges (2, n - 1) of the first `n_trees` orthogonal trees over ``rows[nodes]``, as places in `nodes`.

    Equal lengths are decided by the order of `nodes`. Stops early where the remaining edges span no more. Time
    O(n_trees n² d), memory O(n_trees n).
    """
    n = nodes.shape[0]
    trees: list[NDArray[np.intp]] = []
    ends = np.empty((2, 0), np.intp)
    for _ in range(n_trees):
        both = np.concatenate((ends, ends[::-1]), axis=1)
        order = np.argsort(both[0], kind="stable")
        starts = np.searchsorted(both[0, order], np.arange(n + 1)).astype(np.intp)
        tree = np.empty((2, n - 1), np.intp)
        if not _next_tree(rows, nodes, starts, both[1, order], tree[0], tree[1]):
            break
        trees.append(tree)
        ends = np.concatenate((ends, tree), axis=1)
    return trees
