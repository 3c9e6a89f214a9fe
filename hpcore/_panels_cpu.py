"""Points whose neighbours lie together, in panels of 16, and the boxes around them.

Between two panels every squared distance is at least that of the nearest two points of their boxes. That is itself a
direct difference of rounded coordinates, so ``gap`` and every distance ``g`` obey the same bounds,
``(1 - e) g - t < w ≤ (1 + e) g + t``. A path whose longest edge is x in this arithmetic excludes an edge, or a whole
tile, exactly if ``(1 - e) g - t > (1 + e) x + t``, for which ``g > ratio x + extra`` suffices
(`hpcore._approximation.Direct.widening`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcore._block_cpu import ORDERED
from hpcore._jit import kernel
from hpcore._simd import LANES, greatest, trailing_zeros


class Panels(NamedTuple):
    """Sets of points in panels of 16, feature after feature; the last panel of a set repeats its last point.

    ``data (P, d, 16)``; ``low (d, P)`` and ``high (d, P)`` are the corners of the boxes; ``core (P, 16)`` as in
    `hpcore._strips_cpu`; ``node (P, 16)`` the number of every point, -1 for repeated ones. Set s has the panels
    ``first[s]:first[s + 1]``, and group g the sets ``group[g]:group[g + 1]``.
    """

    data: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    core: NDArray[Any]
    node: NDArray[np.int32]
    first: NDArray[np.intp]
    group: NDArray[np.intp]


@kernel()
def _select(key: NDArray[Any], order: NDArray[np.int32], first: int, last: int, middle: int) -> None:
    """Partly sort ``key[first:last]``, and `order` with it: what comes before `middle` is no larger than the rest."""
    left, right = first, last - 1
    while left < right:
        pivot = key[(left + right) // 2]
        i, j = left, right
        while i <= j:
            while key[i] < pivot:
                i += 1
            while key[j] > pivot:
                j -= 1
            if i <= j:
                key[i], key[j] = key[j], key[i]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            right = j
        elif middle >= i:
            left = i
        else:
            return


@kernel()
def near_order(points: NDArray[Any], order: NDArray[np.int32]) -> None:
    """Fill `order (n)`: halves of whole panels along the widest feature, again and again, until a panel is left."""
    n_points, n_features = points.shape
    key = np.empty(n_points, points.dtype)
    low, high = np.empty(n_features, points.dtype), np.empty(n_features, points.dtype)
    stack = np.empty((64, 2), np.intp)  # of ranges; each is at most half of the one below
    for i in range(n_points):
        order[i] = i
    stack[0, 0], stack[0, 1], depth = 0, n_points, 1
    while depth > 0:
        depth -= 1
        begin, end = stack[depth]
        if end - begin <= LANES:
            continue
        low[:], high[:] = np.inf, -np.inf
        for i in range(begin, end):
            row = points[order[i]]
            for k in range(n_features):
                low[k] = min(low[k], row[k])
                high[k] = max(high[k], row[k])
        widest = (high - low).argmax()
        for i in range(begin, end):
            key[i] = points[order[i], widest]
        middle = begin + (end - begin + 2 * LANES - 1) // (2 * LANES) * LANES
        _select(key, order, begin, end, middle)
        stack[depth, 0], stack[depth, 1] = middle, end
        stack[depth + 1, 0], stack[depth + 1, 1] = begin, middle
        depth += 2


@kernel()
def fill_panels(
    points: NDArray[Any], order: NDArray[np.int32], data: NDArray[Any], low: NDArray[Any], high: NDArray[Any]
) -> None:
    """Bring the points of one set into panels, and find their boxes."""
    n_points = order.shape[0]
    for p in range(data.shape[0]):
        panel = data[p]
        for lane in range(LANES):
            row = points[order[min(p * LANES + lane, n_points - 1)]]
            for k in range(panel.shape[0]):
                panel[k, lane] = row[k]
        for k in range(panel.shape[0]):
            low[k, p], high[k, p] = panel[k].min(), panel[k].max()


@kernel(fastmath=ORDERED)
def fill_gaps(
    low: NDArray[Any], high: NDArray[Any], rows: tuple[int, int], columns: tuple[int, int], gap: NDArray[Any]
) -> None:
    """Squared distances between the boxes of two ranges of panels."""
    zero = low.dtype.type(0.0)
    gap[:] = zero
    for i in range(gap.shape[0]):
        row = gap[i]
        for k in range(low.shape[0]):
            low_a, high_a = low[k, rows[0] + i], high[k, rows[0] + i]
            low_b, high_b = low[k][columns[0] : columns[1]], high[k][columns[0] : columns[1]]
            for j in range(np.uint64(row.shape[0])):
                between = greatest(greatest(low_b[j] - high_a, low_a - high_b[j]), zero)
                row[j] += between * between


@kernel()
def append_lanes(
    bits: int, point: int, first: int, points: NDArray[np.int32], others: NDArray[np.int32], used: int
) -> int:
    """List the edges from points of a panel to those of another that are marked; what has no room is counted only.

    Bit ``16 r + c`` marks the edge from ``point + r`` to ``first + c``.
    """
    left = np.uint64(bits)
    while left:
        place = trailing_zeros(left)
        if used < points.shape[0]:
            points[used], others[used] = point + place // LANES, first + place % LANES
        used += 1
        left &= left - np.uint64(1)
    return used


@kernel()
def distance_between(data: NDArray[Any], u: int, v: int) -> float:
    """Squared distance between two places in panels."""
    p, q = np.uint64(u) // np.uint64(LANES), np.uint64(v) // np.uint64(LANES)  # unsigned: division is a shift
    one, other = np.uint64(u) % np.uint64(LANES), np.uint64(v) % np.uint64(LANES)
    squared = 0.0
    for k in range(data.shape[1]):
        apart = np.float64(data[p, k, one]) - np.float64(data[q, k, other])
        squared += apart * apart
    return squared
