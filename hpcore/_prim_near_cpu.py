"""Prim's algorithm over the panels of one set, with a certificate: only panels that matter are looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._block_cpu import ORDERED
from hpcore._forest_cpu import core_lengths
from hpcore._jit import kernel
from hpcore._panel_simd import visit_panel
from hpcore._panels_cpu import append_lanes, distance_between, fill_gaps
from hpcore._simd import LANES, address, greatest, least
from hpcore._sort_cpu import order_by_bits


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
    first: int,
    n_points: int,
    ratio: Any,
    extra: Any,
    u: NDArray[np.int32],
    v: NDArray[np.int32],
) -> int:
    """Edges within one set that may lie in a minimum tree, as places in its panels, whose boxes begin at `first`.

    As `hpcore._block_cpu.tree_candidates`, but a step of Prim's algorithm looks only at panels that it could matter
    to: some point that is not in the tree could come nearer, or some point in it be joined by a path that is no
    shorter than the gap between the boxes (`limit`). Elsewhere joining weights wait (`pending`) until the next visit.
    """
    n_panels, n_features = data.shape[0], data.shape[1]
    infinity = data.dtype.type(np.inf)
    gap = np.empty((n_panels, n_panels), data.dtype)
    fill_gaps(low, high, (first, first + n_panels), (first, first + n_panels), gap)
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
            found = append_lanes(mask[0], home * LANES + lane, p * LANES, v, u, found)
        gate[home, lane] = 0
        opened[home] = 0
        home = _least_place(nearest)
        lane = 0
        join = nearest[home]
        while lane < LANES - 1 and near[home, lane] + taken[home, lane] != join:
            lane += 1
    return found


@kernel()
def run_candidates(
    data: NDArray[Any],
    low: NDArray[Any],
    high: NDArray[Any],
    cuts: NDArray[np.intp],
    n_points: int,
    ratio: Any,
    extra: Any,
    u: NDArray[np.int32],
    v: NDArray[np.int32],
    core: NDArray[np.float64],
) -> int:
    """Edges within each of the runs of panels between `cuts` that may lie in a minimum tree of the run, as places.

    ``core (16 P)`` becomes the longest edge (squared, in the units of the panels) from every point to the core of a
    tree of its run. Returns the number of edges, or -1 where they are more than fit into `u`, `v`.
    """
    used = 0
    for run in range(cuts.shape[0] - 1):
        begin, end = cuts[run], cuts[run + 1]
        place = begin * LANES
        n_own = min(n_points, end * LANES) - place
        found = panel_tree_candidates(data[begin:end], low, high, begin, n_own, ratio, extra, u[used:], v[used:])
        if used + found > u.shape[0]:
            return -1
        left, right = u[used : used + found].astype(np.intp), v[used : used + found].astype(np.intp)
        squared = np.empty(found)
        for e in range(found):
            u[used + e], v[used + e] = place + left[e], place + right[e]
            squared[e] = distance_between(data, u[used + e], v[used + e])
        order = np.arange(found)
        order_by_bits(squared.view(np.uint64), order)
        core_lengths(left[order], right[order], squared[order], core[place : place + n_own])
        used += found
    core[n_points:] = core[n_points - 1]
    return used
