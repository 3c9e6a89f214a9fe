"""Edges between groups of sets in panels: tiles that boxes do not exclude, once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._block_cpu import ORDERED
from hpcore._jit import kernel
from hpcore._panel_simd import reach_tile
from hpcore._panels_cpu import Panels, append_lanes, distance_between, fill_gaps
from hpcore._simd import LANES, address, greatest, least


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


@kernel()
def _list_marked(marked: NDArray[np.bool_], places: NDArray[np.intp]) -> int:
    found = 0
    for j in range(marked.shape[0]):
        places[found] = j
        found += marked[j]
    return found


@kernel()
def _list_within(values: NDArray[Any], limit: NDArray[Any], places: NDArray[np.intp]) -> int:
    """Where a value is within its limit: without a branch, for nobody can foretell it."""
    found = 0
    for j in range(values.shape[0]):
        places[found] = j
        found += values[j] <= limit[j]
    return found


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
    fill_gaps(panels.low, panels.high, rows, columns, gap)
    marked = np.zeros((n_rows, n_columns), np.bool_)
    _mark_nearest(gap, marked)
    limit = np.empty(n_columns, data.dtype)
    largest_core, largest_reach = np.empty_like(limit), np.empty_like(limit)
    for j in range(n_columns):
        largest_core[j], largest_reach[j] = _largest(core[columns[0] + j]), _largest(column_reach[j])
    lanes, widened = np.empty((LANES, LANES), data.dtype), np.empty((2, LANES), data.dtype)
    near = np.empty(n_columns, np.intp)
    mask = np.zeros(LANES, np.uint16)
    four_rows = mask.view(np.uint64)
    for is_first in (True, False):
        for i in range(n_rows):
            lanes[:] = infinity
            core_i = core[rows[0] + i]
            for r in range(LANES):
                widened[0, r] = min(max(core_i[r], bridge), row_reach[i, r]) * ratio + extra
                widened[1, r] = core_i[r] * ratio + extra
            if is_first:
                n_near = _list_marked(marked[i], near)
            else:
                largest = _largest(core_i)
                _fill_limits(largest, _largest(row_reach[i]), bridge, largest_core, largest_reach, ratio, extra, limit)
                n_near = _list_within(gap[i], limit, near)
            for j in near[:n_near]:
                largest_reach[j] = reach_tile(
                    address(data, (rows[0] + i) * n_features * LANES),
                    address(data, (columns[0] + j) * n_features * LANES),
                    n_features,
                    address(widened, 0),
                    address(core, (rows[0] + i) * LANES),
                    address(core, (columns[0] + j) * LANES),
                    address(lanes, 0),
                    address(column_reach, j * LANES),
                    ratio,
                    extra,
                    address(mask, 0),
                )
                if is_first:
                    continue
                for quarter in range(4):
                    row = (rows[0] + i) * LANES + 4 * quarter
                    used = append_lanes(four_rows[quarter], row, (columns[0] + j) * LANES, u, v, used)
            bridge = _end_row(lanes, core_i, row_reach[i], bridge)
    return used, bridge


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
    """Keep the edges that the reaches of a pair do not exclude in the end, as nodes; returns how many.

    Without a branch, for nobody can foretell which.
    """
    data, core, node = panels.data, panels.core, panels.node
    kept = 0
    for e in range(u.shape[0]):
        place_a, place_b = np.uint64(u[e]), np.uint64(v[e])
        i, r = place_a // np.uint64(LANES), place_a % np.uint64(LANES)
        j, c = place_b // np.uint64(LANES), place_b % np.uint64(LANES)
        squared = distance_between(data, u[e], v[e])
        core_a, core_b = core[i, r], core[j, c]
        inner = min(max(core_a, bridge), row_reach[i - np.uint64(first_row), r])
        longest = min(max(inner, core_b), max(column_reach[j - np.uint64(first_column), c], core_a))
        u[kept], v[kept] = node[i, r], node[j, c]
        kept += (u[kept] >= 0) & (v[kept] >= 0) & (squared <= longest * ratio + extra)
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
