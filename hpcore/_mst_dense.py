"""Kernels for exact trees of small dense graphs: direct squared distances and Prim's algorithm in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import REASSOCIATE, kernel

_TILE = 64


@kernel(fastmath=REASSOCIATE)
def _squared_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    total = 0.0
    for k in range(x.shape[0]):
        difference = x[k] - y[k]
        total += difference * difference
    return total


@kernel()
def squared_distances(rows: NDArray[np.float64], squared: NDArray[np.float64]) -> None:
    """Fill `squared (n, n)` with direct differences: relative error at most ``(d + 2) u``, exactly symmetric."""
    n = rows.shape[0]
    for top in range(0, n, _TILE):
        for left in range(0, top + 1, _TILE):
            for i in range(top, min(top + _TILE, n)):
                for j in range(left, min(left + _TILE, i)):
                    value = _squared_distance(rows[i], rows[j])
                    squared[i, j] = value
                    squared[j, i] = value
    for i in range(n):
        squared[i, i] = 0.0


@kernel()
def edge_lengths(
    rows: NDArray[np.float64], u: NDArray[np.intp], v: NDArray[np.intp], squared: NDArray[np.float64]
) -> None:
    """Fill `squared (E,)` with the same values as `squared_distances`, edge by edge."""
    for e in range(u.shape[0]):
        squared[e] = _squared_distance(rows[u[e]], rows[v[e]])


@kernel()
def minimal_edges(
    squared: NDArray[np.float64],
    tolerance: float,
    u: NDArray[np.intp],
    v: NDArray[np.intp],
    weight: NDArray[np.float64],
) -> int:
    """List every edge that lies in some minimum spanning tree of the complete graph `squared (n, n)`.

    Prim's order makes the bottleneck between two vertices the largest joining weight between their places in it
    (``bottleneck`` below). By the cycle property an edge lies in some minimum tree exactly if it is no longer than the
    bottleneck between its ends. Returns the number of such edges, which are stored as far as the arrays reach.
    """
    n = squared.shape[0]
    nearest = np.full(n, np.inf)
    bottleneck = np.zeros(n)
    joined = np.empty(n, np.intp)
    waiting = np.arange(n)
    found = 0
    vertex, join_weight, place = 0, 0.0, 0
    for step in range(n):
        row = squared[vertex]
        for t in range(step):
            other = joined[t]
            if join_weight > bottleneck[t]:
                bottleneck[t] = join_weight
            length = row[other]
            if length <= bottleneck[t] * (1.0 + tolerance):
                if found < u.shape[0]:
                    u[found] = min(vertex, other)
                    v[found] = max(vertex, other)
                    weight[found] = length
                found += 1
        joined[step] = vertex
        n_waiting = n - step - 1
        waiting[place] = waiting[n_waiting]
        join_weight = np.inf
        next_place = 0
        for t in range(n_waiting):
            other = waiting[t]
            length = row[other]
            if length < nearest[other]:
                nearest[other] = length
            if nearest[other] < join_weight:
                join_weight = nearest[other]
                next_place = t
        place = next_place
        vertex = waiting[place]
    return found
