"""Kernels over a block of approximate distances: which edges can lie in a minimum spanning tree?

A block holds a number ``g`` for every pair of a row point a and a column point b, from which follow bounds of their
squared distance w (see `hpcore._approximation`):

    upper = (high_a + high_b) + rise_a · (t_b · g)  ≥  w,        lower = (low_a + low_b) + fall_a · (t_b · g)  <  w.

`lower` leaves room for tied edges as well, so that ``lower ≤ bottleneck`` holds for every edge of every minimum tree.
Every decision to drop an edge compares its lower bound with upper bounds along another path between its ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import kernel
from hpcore._simd import GROUP, TILE_ROWS, add_squared_differences, address, greatest, least

CHUNK = 128
"""Columns that the filter drops together."""
ORDERED = frozenset({"reassoc", "contract", "nnan", "nsz"})


@kernel()
def direct_distances(left: NDArray[Any], right: NDArray[Any], block: NDArray[Any], is_first: bool) -> None:
    """Fill `block` (n, m) with squared distances, or add to it; ``right (d, m)`` holds points in columns.

    n and m are multiples of `GROUP`.
    """
    n_features = left.shape[1]
    width = right.shape[1]
    for column in range(0, width, GROUP * 4 // block.itemsize):
        for row in range(0, left.shape[0], TILE_ROWS):
            add_squared_differences(
                address(left, row * n_features),
                n_features,
                address(right, column),
                width,
                n_features,
                is_first,
                address(block, row * width + column),
                width,
            )


@kernel(fastmath=ORDERED)
def tree_candidates(block: NDArray[Any], bounds: NDArray[Any], u: NDArray[np.int32], v: NDArray[np.int32]) -> int:
    """Edges within one set of points that may lie in a minimum tree: Prim's algorithm on upper bounds, with proof.

    In Prim's order the bottleneck between two points in the tree of upper bounds is the largest joining weight between
    their places (`path`). It is no less than the true bottleneck, so an edge whose lower bound exceeds it lies in no
    minimum tree. Returns the number of candidates; more than fit into `u`, `v` are counted but not stored.
    """
    n = bounds.shape[1]
    high, low, rise, fall, t = bounds[0], bounds[1], bounds[2], bounds[3], bounds[4]
    infinity = high.dtype.type(np.inf)
    near = np.full(n, infinity, high.dtype)
    taken = np.zeros(n, high.dtype)  # +inf once a point is in the tree: it is never nearest again
    path = np.full(n, -infinity, high.dtype)
    gate = np.full(n, -infinity, high.dtype)  # 0 once a point is in the tree: only then its path begins
    minima = np.empty((n + CHUNK - 1) // CHUNK, high.dtype)
    found = 0
    vertex = 0
    join = high.dtype.type(0.0)
    for _ in range(n):
        taken[vertex] = infinity
        row = block[vertex]
        high_v, low_v, rise_v, fall_v = high[vertex], low[vertex], rise[vertex], fall[vertex]
        for chunk in range(minima.shape[0]):
            start = np.uint64(chunk * CHUNK)
            stop = np.uint64(min(n, (chunk + 1) * CHUNK))
            minimum, slack = infinity, -infinity
            for j in range(start, stop):
                g = t[j] * high.dtype.type(row[j])
                closer = least(near[j], (high_v + high[j]) + rise_v * g)
                near[j] = closer
                minimum = least(minimum, closer + taken[j])
                longest = greatest(path[j], join + gate[j])
                path[j] = longest
                slack = greatest(slack, longest - ((low_v + low[j]) + fall_v * g))
            minima[chunk] = minimum
            if slack >= 0:
                for j in range(start, stop):
                    if path[j] >= (low_v + low[j]) + fall_v * (t[j] * high.dtype.type(row[j])):
                        if found < u.shape[0]:
                            u[found], v[found] = j, vertex
                        found += 1
        gate[vertex] = 0
        best = 0
        for chunk in range(1, minima.shape[0]):
            if minima[chunk] < minima[best]:
                best = chunk
        join = minima[best]
        for j in range(best * CHUNK, min(n, (best + 1) * CHUNK)):
            if near[j] + taken[j] == join:
                vertex = j
                break
    return found


@kernel(fastmath=ORDERED)
def improve_bottlenecks(
    block: NDArray[Any],
    rows: NDArray[Any],
    columns: NDArray[Any],
    span: tuple[int, int, int, int],
    row_core: NDArray[Any],
    column_core: NDArray[Any],
    row_reach: NDArray[Any],
    column_reach: NDArray[Any],
    bridge: Any,
    lowest: NDArray[Any],
) -> Any:
    """Take a block into account: see `hpcore._strips_cpu`; returns the new `bridge`.

    ``lowest[a, chunk]`` becomes the least lower bound of row a in each chunk of columns. Two rows go together, so that
    what belongs to the columns is loaded once for both.
    """
    high, low, t = columns[0][span[2] : span[3]], columns[1][span[2] : span[3]], columns[4][span[2] : span[3]]
    core_b = column_core[span[2] : span[3]]
    infinity = high.dtype.type(np.inf)
    n_rows, n_columns = span[1] - span[0], span[3] - span[2]
    for a in range(0, n_rows, 2):
        c = min(a + 1, n_rows - 1)  # the last of an odd number is its own partner
        i, k = span[0] + a, span[0] + c
        row_i, row_k = block[i][span[2] : span[3]], block[k][span[2] : span[3]]
        high_i, low_i, rise_i, fall_i, core_i = rows[0, i], rows[1, i], rows[2, i], rows[3, i], row_core[i]
        high_k, low_k, rise_k, fall_k, core_k = rows[0, k], rows[1, k], rows[2, k], rows[3, k], row_core[k]
        for chunk in range(lowest.shape[1]):
            start, stop = np.uint64(chunk * CHUNK), np.uint64(min(n_columns, (chunk + 1) * CHUNK))
            reach_i, lowest_i, reach_k, lowest_k = infinity, infinity, infinity, infinity
            for b in range(start, stop):
                g_i, g_k = t[b] * high.dtype.type(row_i[b]), t[b] * high.dtype.type(row_k[b])
                upper_i, upper_k = (high_i + high[b]) + rise_i * g_i, (high_k + high[b]) + rise_k * g_k
                lowest_i = least(lowest_i, (low_i + low[b]) + fall_i * g_i)
                lowest_k = least(lowest_k, (low_k + low[b]) + fall_k * g_k)
                reach_i = least(reach_i, greatest(upper_i, core_b[b]))
                reach_k = least(reach_k, greatest(upper_k, core_b[b]))
                reach = least(greatest(upper_i, core_i), greatest(upper_k, core_k))
                column_reach[b] = least(column_reach[b], reach)
            lowest[a, chunk], lowest[c, chunk] = lowest_i, lowest_k
            row_reach[a], row_reach[c] = least(row_reach[a], reach_i), least(row_reach[c], reach_k)
        bridge = least(bridge, least(greatest(core_i, row_reach[a]), greatest(core_k, row_reach[c])))
    return bridge


@kernel(fastmath=ORDERED)
def list_candidates(
    block: NDArray[Any],
    rows: NDArray[Any],
    columns: NDArray[Any],
    span: tuple[int, int, int, int],
    row_core: NDArray[Any],
    column_core: NDArray[Any],
    row_reach: NDArray[Any],
    column_reach: NDArray[Any],
    bridge: Any,
    lowest: NDArray[Any],
    u: NDArray[np.int32],
    v: NDArray[np.int32],
) -> int:
    """List the edges that no path of `hpcore._strips_cpu` excludes; most chunks go at once, by their largest limits."""
    low, t = columns[1][span[2] : span[3]], columns[4][span[2] : span[3]]
    core_b = column_core[span[2] : span[3]]
    n_columns, n_chunks = span[3] - span[2], lowest.shape[1]
    largest_core, largest_reach = np.zeros(n_chunks, low.dtype), np.zeros(n_chunks, low.dtype)
    for b in range(n_columns):
        largest_core[b // CHUNK] = max(largest_core[b // CHUNK], core_b[b])
        largest_reach[b // CHUNK] = max(largest_reach[b // CHUNK], column_reach[b])
    found = 0
    for i in range(span[0], span[1]):
        row = block[i][span[2] : span[3]]
        low_a, fall_a, core_a = rows[1, i], rows[3, i], row_core[i]
        inner = min(max(core_a, bridge), row_reach[i - span[0]])
        for chunk in range(n_chunks):
            if lowest[i - span[0], chunk] > min(max(inner, largest_core[chunk]), max(largest_reach[chunk], core_a)):
                continue
            start, stop = np.uint64(chunk * CHUNK), np.uint64(min(n_columns, (chunk + 1) * CHUNK))
            slack = -low.dtype.type(np.inf)
            for b in range(start, stop):
                longest = least(greatest(inner, core_b[b]), greatest(column_reach[b], core_a))
                slack = greatest(slack, longest - ((low_a + low[b]) + fall_a * (t[b] * low.dtype.type(row[b]))))
            if slack >= 0:
                for b in range(start, stop):
                    longest = min(max(inner, core_b[b]), max(column_reach[b], core_a))
                    if longest >= (low_a + low[b]) + fall_a * (t[b] * low.dtype.type(row[b])):
                        if found < u.shape[0]:
                            u[found], v[found] = i, span[2] + b
                        found += 1
    return found
