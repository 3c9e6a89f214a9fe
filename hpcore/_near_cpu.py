"""Kernels for points whose neighbours lie together: panels of 16 points, and the boxes around them.

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
from hpcore._panel_simd import reach_tile, visit_panel
from hpcore._simd import LANES, address, greatest, least


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
    order[:] = np.arange(n_points)
    stack[0, 0], stack[0, 1], depth = 0, n_points, 1
    while depth > 0:
        depth -= 1
        begin, end = stack[depth]
        if end - begin <= LANES:
            continue
        low[:] = points[order[begin]]
        high[:] = low
        for i in range(begin + 1, end):
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
def _fill_gaps(
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


@kernel(fastmath=ORDERED)
def _raise_limits(
    limit: NDArray[Any], pending: NDArray[Any], opened: NDArray[Any], join: Any, ratio: Any, extra: Any
) -> None:
    """Lengthen the paths to all points in the tree by a joining weight."""
    widened = join * ratio + extra
    for p in range(np.uint64(limit.shape[0])):
        pending[p] = greatest(pending[p], join)
        limit[p] = greatest(limit[p], widened + opened[p])


@kernel(fastmath=ORDERED)
def _least_place(values: NDArray[Any]) -> int:
    smallest = values[0]
    for i in range(np.uint64(values.shape[0])):
        smallest = least(smallest, values[i])
    place = 0
    while values[place] != smallest:
        place += 1
    return place


@kernel()
def panel_tree_candidates(
    data: NDArray[Any],
    low: NDArray[Any],
    high: NDArray[Any],
    n_points: int,
    ratio: Any,
    extra: Any,
    u: NDArray[np.int32],
    v: NDArray[np.int32],
) -> int:
    """Edges within one set that may lie in a minimum tree, as places in the panels.

    As `hpcore._block_cpu.tree_candidates`, but a step of Prim's algorithm looks only at panels that it could matter
    to: some point that is not in the tree could come nearer, or some point in it be joined by a path that is no
    shorter than the gap between the boxes (`limit`). Elsewhere joining weights wait (`pending`) until the next visit.
    """
    n_panels, n_features = data.shape[0], data.shape[1]
    infinity = data.dtype.type(np.inf)
    gap = np.empty((n_panels, n_panels), data.dtype)
    _fill_gaps(low, high, (0, n_panels), (0, n_panels), gap)
    near = np.full((n_panels, LANES), infinity)
    taken = np.full((n_panels, LANES), infinity)  # +inf once a point is in the tree; what fills up a panel never joins
    taken.reshape(-1)[:n_points] = 0
    path, gate = np.full((n_panels, LANES), -infinity), np.full((n_panels, LANES), -infinity)
    limit, nearest = np.full(n_panels, infinity), np.full(n_panels, infinity)
    pending, opened = np.full(n_panels, -infinity), np.full(n_panels, -infinity)
    ends, mask = np.empty(2, data.dtype), np.zeros(1, np.uint16)
    found, home, lane = 0, 0, 0
    join = data.dtype.type(0.0)
    for _ in range(n_points):
        taken[home, lane] = infinity
        _raise_limits(limit, pending, opened, join, ratio, extra)
        row = gap[home]
        point = address(data, home * n_features * LANES + lane)
        for p in range(n_panels):
            if row[p] > limit[p]:
                continue
            visit_panel(
                point,
                address(data, p * n_features * LANES),
                n_features,
                address(near, p * LANES),
                address(taken, p * LANES),
                address(path, p * LANES),
                address(gate, p * LANES),
                pending[p],
                ratio,
                extra,
                address(ends, 0),
                address(mask, 0),
            )
            pending[p] = -infinity
            nearest[p] = ends[0]
            limit[p] = ends[1] * ratio + extra
            bits = np.uint32(mask[0])
            other = p * LANES
            while bits:
                if bits & np.uint32(1):
                    if found < u.shape[0]:
                        u[found], v[found] = other, home * LANES + lane
                    found += 1
                bits >>= np.uint32(1)
                other += 1
        gate[home, lane] = 0
        opened[home] = 0
        home = _least_place(nearest)
        lane = 0
        join = nearest[home]
        while lane < LANES - 1 and near[home, lane] + taken[home, lane] != join:
            lane += 1
    return found


@kernel(fastmath=ORDERED)
def _largest(values: NDArray[Any]) -> Any:
    largest = values[0]
    for i in range(np.uint64(values.shape[0])):
        largest = greatest(largest, values[i])
    return largest


@kernel(fastmath=ORDERED)
def _fill_limits(
    row_core: Any,
    row_reach: Any,
    bridge: Any,
    core: NDArray[Any],
    reach: NDArray[Any],
    ratio: Any,
    extra: Any,
    limit: NDArray[Any],
) -> None:
    """What no gap between a panel of rows and each panel of columns may exceed, from the largest cores and reaches."""
    inner = least(greatest(row_core, bridge), row_reach)
    for j in range(np.uint64(limit.shape[0])):
        limit[j] = least(greatest(inner, core[j]), greatest(reach[j], row_core)) * ratio + extra


@kernel()
def _mark_nearest(gap: NDArray[Any], marked: NDArray[np.bool_]) -> None:
    """For every panel of rows and of columns the nearest one of the others."""
    best = np.zeros(gap.shape[1], np.intp)
    for i in range(gap.shape[0]):
        row = gap[i]
        marked[i, row.argmin()] = True
        for j in range(row.shape[0]):
            if row[j] < gap[best[j], j]:
                best[j] = i
    for j in range(gap.shape[1]):
        marked[best[j], j] = True


@kernel(fastmath=ORDERED)
def _end_row(lanes: NDArray[Any], core: NDArray[Any], reach: NDArray[Any], bridge: Any) -> Any:
    """Take the lanes of a panel of rows into their reaches and the bridge."""
    for r in range(LANES):
        for lane in range(LANES):
            reach[r] = least(reach[r], lanes[r, lane])
        bridge = least(bridge, greatest(core[r], reach[r]))
    return bridge


@kernel()
def _sweep(
    panels: Panels,
    rows: tuple[int, int],
    columns: tuple[int, int],
    row_reach: NDArray[Any],
    column_reach: NDArray[Any],
    bridge: Any,
    ratio: Any,
    extra: Any,
    u: NDArray[np.int32],
    v: NDArray[np.int32],
    used: int,
) -> tuple[int, Any]:
    """Take two sets into account, and append the edges (as places) that their reaches so far do not exclude.

    First the tiles of nearest boxes, which make the reaches small; then every tile whose gap they do not exclude.
    """
    data, core = panels.data, panels.core
    n_features = data.shape[1]
    infinity = data.dtype.type(np.inf)
    n_rows, n_columns = rows[1] - rows[0], columns[1] - columns[0]
    gap = np.empty((n_rows, n_columns), data.dtype)
    _fill_gaps(panels.low, panels.high, rows, columns, gap)
    marked = np.zeros((n_rows, n_columns), np.bool_)
    _mark_nearest(gap, marked)
    limit = np.empty(n_columns, data.dtype)
    largest_core, largest_reach = np.empty_like(limit), np.empty_like(limit)
    for j in range(n_columns):
        largest_core[j], largest_reach[j] = _largest(core[columns[0] + j]), _largest(column_reach[j])
    lanes, inner = np.empty((LANES, LANES), data.dtype), np.empty(LANES, data.dtype)
    mask = np.zeros(LANES, np.uint16)
    any_of = mask.view(np.uint64)
    for is_first in (True, False):
        for i in range(n_rows):
            lanes[:] = infinity
            core_i = core[rows[0] + i]
            for r in range(LANES):
                inner[r] = min(max(core_i[r], bridge), row_reach[i, r])
            largest = _largest(core_i)
            _fill_limits(largest, _largest(row_reach[i]), bridge, largest_core, largest_reach, ratio, extra, limit)
            for j in range(n_columns):
                if not marked[i, j] if is_first else gap[i, j] > limit[j]:
                    continue
                reach_tile(
                    address(data, (rows[0] + i) * n_features * LANES),
                    address(data, (columns[0] + j) * n_features * LANES),
                    n_features,
                    address(inner, 0),
                    address(core, (rows[0] + i) * LANES),
                    address(core, (columns[0] + j) * LANES),
                    address(lanes, 0),
                    address(column_reach, j * LANES),
                    ratio,
                    extra,
                    address(mask, 0),
                )
                largest_reach[j] = _largest(column_reach[j])
                if not is_first and any_of[0] | any_of[1] | any_of[2] | any_of[3]:
                    used = _append(mask, (rows[0] + i) * LANES, (columns[0] + j) * LANES, u, v, used)
            bridge = _end_row(lanes, core_i, row_reach[i], bridge)
    return used, bridge


@kernel()
def _append(
    mask: NDArray[np.uint16], row: int, column: int, u: NDArray[np.int32], v: NDArray[np.int32], used: int
) -> int:
    """List the edges of a mask as places of their ends; what has no room is counted only."""
    for r in range(LANES):
        bits = np.uint32(mask[r])
        place = column
        while bits:
            if bits & np.uint32(1):
                if used < u.shape[0]:
                    u[used], v[used] = row + r, place
                used += 1
            bits >>= np.uint32(1)
            place += 1
    return used


@kernel()
def _settle(
    panels: Panels,
    first_row: int,
    first_column: int,
    row_reach: NDArray[Any],
    column_reach: NDArray[Any],
    bridge: Any,
    ratio: Any,
    extra: Any,
    u: NDArray[np.int32],
    v: NDArray[np.int32],
) -> int:
    """Keep the edges that the reaches of a pair do not exclude in the end, as nodes; returns how many."""
    data, core = panels.data, panels.core
    kept = 0
    for e in range(u.shape[0]):
        i, r = u[e] // LANES, u[e] % LANES
        j, c = v[e] // LANES, v[e] % LANES
        if panels.node[i, r] < 0 or panels.node[j, c] < 0:
            continue
        squared = data.dtype.type(0.0)
        for k in range(data.shape[1]):
            difference = data[i, k, r] - data[j, k, c]
            squared += difference * difference
        core_a, core_b = core[i, r], core[j, c]
        inner = min(max(core_a, bridge), row_reach[i - first_row, r])
        if squared <= min(max(inner, core_b), max(column_reach[j - first_column, c], core_a)) * ratio + extra:
            u[kept], v[kept] = panels.node[i, r], panels.node[j, c]
            kept += 1
    return kept


@kernel()
def near_candidates(
    panels: Panels,
    pairs: NDArray[np.intp],
    ratio: Any,
    extra: Any,
    per_point: int,
    u: NDArray[np.int32],
    v: NDArray[np.int32],
    start: NDArray[np.intp],
    dense: NDArray[np.intp],
    pair: int,
    n_dense: int,
) -> tuple[int, int]:
    """Edges between the two groups of each pair that may lie in a minimum tree, by the paths of `hpcore._strips_cpu`.

    Begins with `pair`; pair p gets the edges ``start[p]:start[p + 1]`` of `u`, `v`. Two sets with more than `per_point`
    candidates a point are listed in `dense` as (pair, set, set) instead. Returns the first pair for which there is no
    room, or the number of pairs, and the length of that list.
    """
    infinity = panels.data.dtype.type(np.inf)
    for p in range(pair, pairs.shape[0]):
        a, b = pairs[p]
        first_row, first_column = panels.first[panels.group[a]], panels.first[panels.group[b]]
        row_reach = np.full((panels.first[panels.group[a + 1]] - first_row, LANES), infinity)
        column_reach = np.full((panels.first[panels.group[b + 1]] - first_column, LANES), infinity)
        bridge = infinity
        used, n_dense_before = start[p], n_dense
        for s in range(panels.group[a], panels.group[a + 1]):
            for t in range(panels.group[b], panels.group[b + 1]):
                rows, columns = (panels.first[s], panels.first[s + 1]), (panels.first[t], panels.first[t + 1])
                before = used
                used, bridge = _sweep(
                    panels,
                    rows,
                    columns,
                    row_reach[rows[0] - first_row : rows[1] - first_row],
                    column_reach[columns[0] - first_column : columns[1] - first_column],
                    bridge,
                    ratio,
                    extra,
                    u,
                    v,
                    used,
                )
                if used - before > per_point * LANES * (rows[1] - rows[0] + columns[1] - columns[0]):
                    dense[n_dense, 0], dense[n_dense, 1], dense[n_dense, 2] = p, s, t
                    n_dense += 1
                    used = before
                elif used > u.shape[0]:
                    return p, n_dense_before
        here = slice(start[p], used)
        kept = _settle(panels, first_row, first_column, row_reach, column_reach, bridge, ratio, extra, u[here], v[here])
        start[p + 1] = start[p] + kept
    return pairs.shape[0], n_dense
