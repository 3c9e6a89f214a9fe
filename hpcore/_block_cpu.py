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
from hpcore._simd import (
    GROUP,
    LANES,
    TILE_ROWS,
    add_squared_differences,
    address,
    greatest,
    lanes_not_negative,
    least,
    trailing_zeros,
)

CHUNK = 128
"""Columns that the filter drops together."""
ORDERED = frozenset({"reassoc", "contract", "nnan", "nsz"})


@kernel()
def fill_product_bounds(
    step: NDArray[np.float64],
    squared_norm: NDArray[np.float64],
    shift: NDArray[np.float64],
    error: float,
    rounding: float,
    smallest: float,
    bounds: NDArray[Any],
) -> None:
    """Fill `bounds` (5, n), see `hpcore._approximation.product_bounds`."""
    for i in range(np.uint64(squared_norm.shape[0])):
        term, size = squared_norm[i] + shift[i], squared_norm[i] + abs(shift[i])
        slack = error * squared_norm[i] + rounding * size + smallest
        bounds[0, i], bounds[1, i] = term + slack, term - slack
        bounds[2, i] = bounds[3, i] = -2.0 * step[i]
        bounds[4, i] = step[i]


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


@kernel()
def _append(
    doubt: NDArray[Any],
    n_columns: int,
    first_column: int,
    row: int,
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    used: int,
) -> int:
    """List the edges from a row to those columns of a chunk whose `doubt` is not negative; returns the new number.

    What has no room is counted only. `doubt` is written up to a whole register.
    """
    for lane in range(n_columns, (n_columns + LANES - 1) // LANES * LANES):
        doubt[lane] = -1
    for first in range(0, n_columns, LANES):
        bits = lanes_not_negative(address(doubt, first))
        while bits:
            if used < rows.shape[0]:
                rows[used], columns[used] = row, first_column + first + trailing_zeros(bits)
            used += 1
            bits &= bits - np.uint64(1)
    return used


@kernel()
def _first(values: NDArray[Any]) -> int:
    """Place of the first number that is not negative: there is one."""
    first = 0
    bits = lanes_not_negative(address(values, 0))
    while not bits:
        first += LANES
        bits = lanes_not_negative(address(values, first))
    return int(first + trailing_zeros(bits))


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
    doubt = np.empty(CHUNK, high.dtype)
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
            start, stop = chunk * CHUNK, min(n, (chunk + 1) * CHUNK)
            minimum, slack = infinity, -infinity
            for j in range(np.uint64(start), np.uint64(stop)):
                g = t[j] * high.dtype.type(row[j])
                closer = least(near[j], (high_v + high[j]) + rise_v * g)
                near[j] = closer
                minimum = least(minimum, closer + taken[j])
                longest = greatest(path[j], join + gate[j])
                path[j] = longest
                slack = greatest(slack, longest - ((low_v + low[j]) + fall_v * g))
            minima[chunk] = minimum
            if slack >= 0:
                for j in range(np.uint64(start), np.uint64(stop)):
                    lower = (low_v + low[j]) + fall_v * (t[j] * high.dtype.type(row[j]))
                    doubt[j - np.uint64(start)] = path[j] - lower
                found = _append(doubt, stop - start, start, vertex, v, u, found)
        gate[vertex] = 0
        best = 0
        for chunk in range(1, minima.shape[0]):
            if minima[chunk] < minima[best]:
                best = chunk
        join = minima[best]
        start = best * CHUNK
        for j in range(np.uint64(start), np.uint64(min(n, start + CHUNK))):
            doubt[j - np.uint64(start)] = 0 if near[j] + taken[j] <= join else -1
        vertex = start + _first(doubt)
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
    nearest: NDArray[Any],
) -> Any:
    """Take a block into account: see `hpcore._strips_cpu`; returns the new `bridge`.

    ``nearest[a, chunk]`` becomes the least ``high_b + rise_a · (t_b · g)`` of row a in each chunk of columns. Two rows
    go together, so that what belongs to the columns is loaded once for both; paths by way of either take the longer of
    their core lengths, which are neighbours in the order of these.
    """
    high, t = columns[0][span[2] : span[3]], columns[4][span[2] : span[3]]
    core_b = column_core[span[2] : span[3]]
    infinity = high.dtype.type(np.inf)
    n_rows, n_columns = span[1] - span[0], span[3] - span[2]
    for a in range(0, n_rows, 2):
        c = min(a + 1, n_rows - 1)  # the last of an odd number is its own partner
        i, k = span[0] + a, span[0] + c
        row_i, row_k = block[i][span[2] : span[3]], block[k][span[2] : span[3]]
        high_i, rise_i, high_k, rise_k = rows[0, i], rows[2, i], rows[0, k], rows[2, k]
        core_a = max(row_core[i], row_core[k])
        reach_i, reach_k = row_reach[a], row_reach[c]
        for chunk in range(nearest.shape[1]):
            least_i, least_k = infinity, infinity
            for b in range(np.uint64(chunk * CHUNK), np.uint64(min(n_columns, (chunk + 1) * CHUNK))):
                g_i = high[b] + rise_i * (t[b] * high.dtype.type(row_i[b]))
                g_k = high[b] + rise_k * (t[b] * high.dtype.type(row_k[b]))
                least_i, least_k = least(least_i, g_i), least(least_k, g_k)
                reach_i = least(reach_i, greatest(high_i + g_i, core_b[b]))
                reach_k = least(reach_k, greatest(high_k + g_k, core_b[b]))
                column_reach[b] = least(column_reach[b], greatest(least(high_i + g_i, high_k + g_k), core_a))
            nearest[a, chunk], nearest[c, chunk] = least_i, least_k
        row_reach[a], row_reach[c] = reach_i, reach_k
        bridge = least(bridge, least(greatest(row_core[i], reach_i), greatest(row_core[k], reach_k)))
    return bridge


@kernel(fastmath=ORDERED)
def _largest_of_chunks(
    columns: NDArray[Any], first: int, core: NDArray[Any], reach: NDArray[Any], share: Any, largest: NDArray[Any]
) -> None:
    """Fill `largest` (3, chunks) with the largest core length, reach and ``share · high - low`` of some columns."""
    for chunk in range(largest.shape[1]):
        start, stop = chunk * CHUNK, min(reach.shape[0], (chunk + 1) * CHUNK)
        high, low = columns[0][first + start : first + stop], columns[1][first + start : first + stop]
        of_core, of_reach, of_gap = core[first + start], reach[start], share * high[0] - low[0]
        for b in range(np.uint64(stop - start)):
            of_core = greatest(of_core, core[first + start : first + stop][b])
            of_reach = greatest(of_reach, reach[start:stop][b])
            of_gap = greatest(of_gap, share * high[b] - low[b])
        largest[0, chunk], largest[1, chunk], largest[2, chunk] = of_core, of_reach, of_gap


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
    nearest: NDArray[Any],
    u: NDArray[np.int32],
    v: NDArray[np.int32],
) -> int:
    """List the edges that no path of `hpcore._strips_cpu` excludes; most chunks go at once, by their largest limits.

    As ``fall = share · rise``, ``lower = low_a + share · (high_b + rise_a · t_b g) - (share · high_b - low_b)``: what
    remains of the chunk when its least number meets its largest deduction is below all lower bounds in it.
    """
    low, t = columns[1][span[2] : span[3]], columns[4][span[2] : span[3]]
    core_b = column_core[span[2] : span[3]]
    n_columns = span[3] - span[2]
    rise, fall = rows[2, span[0]], rows[3, span[0]]
    share = low.dtype.type(1.0) if rise == fall else fall / rise
    largest, doubt = np.empty((3, nearest.shape[1]), low.dtype), np.empty(CHUNK, low.dtype)
    _largest_of_chunks(columns, span[2], column_core, column_reach, share, largest)
    found = 0
    for i in range(span[0], span[1]):
        row = block[i][span[2] : span[3]]
        low_a, fall_a, core_a = rows[1, i], rows[3, i], row_core[i]
        inner = min(max(core_a, bridge), row_reach[i - span[0]])
        for chunk in range(nearest.shape[1]):
            lowest = low_a + share * nearest[i - span[0], chunk] - largest[2, chunk]
            if lowest > min(max(inner, largest[0, chunk]), max(largest[1, chunk], core_a)):
                continue
            start, stop = chunk * CHUNK, min(n_columns, (chunk + 1) * CHUNK)
            slack = -low.dtype.type(np.inf)
            for k in range(np.uint64(stop - start)):
                b = k + np.uint64(start)
                longest = least(greatest(inner, core_b[b]), greatest(column_reach[b], core_a))
                over = longest - ((low_a + low[b]) + fall_a * (t[b] * low.dtype.type(row[b])))
                doubt[k] = over
                slack = greatest(slack, over)
            if slack >= 0:
                found = _append(doubt, stop - start, span[2] + start, i, u, v, found)
    return found
