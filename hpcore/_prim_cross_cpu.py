"""The fallback between two sets whose own trees have several far clusters: Prim over both trees and one block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._block_cpu import ORDERED
from hpcore._jit import kernel
from hpcore._simd import greatest, least

_CHUNK = 64


@kernel(fastmath=ORDERED)
def _visit_across(
    row: NDArray[Any],
    own: NDArray[Any],
    other: NDArray[Any],
    near: NDArray[Any],
    path: NDArray[Any],
    u: NDArray[np.int32],
    found: int,
) -> int:
    """Improve the nearest distances of the other side, and list those of its points whose path is no shorter."""
    high, low, t = other[0], other[1], other[4]
    n = near.shape[0]
    for first in range(0, n, _CHUNK):
        start, stop = np.uint64(first), np.uint64(min(n, first + _CHUNK))
        slack = -high.dtype.type(np.inf)
        for j in range(start, stop):
            g = t[j] * high.dtype.type(row[j])
            near[j] = least(near[j], (own[0] + high[j]) + own[2] * g)
            slack = greatest(slack, path[j] - ((own[1] + low[j]) + own[3] * g))
        if slack >= 0:
            for j in range(start, stop):
                if path[j] >= (own[1] + low[j]) + own[3] * (t[j] * high.dtype.type(row[j])):
                    if found < u.shape[0]:
                        u[found] = j
                    found += 1
    return found


@kernel(fastmath=ORDERED)
def _nearest(near: NDArray[Any], taken: NDArray[Any]) -> int:
    best = 0
    for j in range(1, near.shape[0]):
        if near[j] + taken[j] < near[best] + taken[best]:
            best = j
    return best


@kernel(fastmath=ORDERED)
def _lengthen(path: NDArray[Any], gate: NDArray[Any], join: Any) -> None:
    for j in range(np.uint64(path.shape[0])):
        path[j] = greatest(path[j], join + gate[j])


@kernel()
def cross_tree_candidates(
    block: NDArray[Any],
    turned: NDArray[Any],
    rows: NDArray[Any],
    columns: NDArray[Any],
    starts: NDArray[np.intp],
    neighbours: NDArray[np.intp],
    lengths: NDArray[Any],
    u: NDArray[np.int32],
    v: NDArray[np.int32],
) -> int:
    """Edges between n row points and m column points that may lie in a minimum tree over all n + m.

    As `hpcore._block_cpu.tree_candidates`, on the graph of both trees and all edges between: it holds every edge of
    every minimum tree. `turned` is the transposed block; the neighbours of point i (columns count from n) in the trees
    are ``neighbours[starts[i] : starts[i + 1]]``, at no more than `lengths`.
    """
    n, m = rows.shape[1], columns.shape[1]
    kind = rows.dtype.type
    near = np.full(n + m, kind(np.inf))
    taken = np.zeros(n + m, rows.dtype)
    path = np.full(n + m, -kind(np.inf))
    gate = np.full(n + m, -kind(np.inf))
    found = 0
    vertex, join = 0, kind(0.0)
    for _ in range(n + m):
        taken[vertex] = kind(np.inf)
        _lengthen(path, gate, join)
        if vertex < n:
            after = _visit_across(block[vertex], rows[:, vertex], columns, near[n:], path[n:], v, found)
            u[found:after] = vertex
        else:
            after = _visit_across(turned[vertex - n], columns[:, vertex - n], rows, near[:n], path[:n], u, found)
            v[found:after] = vertex - n
        found = after
        for k in range(starts[vertex], starts[vertex + 1]):
            near[neighbours[k]] = min(near[neighbours[k]], lengths[k])
        gate[vertex] = kind(0.0)
        vertex = _nearest(near, taken)
        join = near[vertex]
    return found
