"""Prim's algorithm over the panels of one set, with a certificate: only panels that matter are looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._block_cpu import ORDERED
from hpcore._jit import kernel
from hpcore._panel_simd import visit_panel
from hpcore._panels_cpu import append_lanes, fill_gaps
from hpcore._simd import LANES, address, greatest, least


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
    fill_gaps(low, high, (0, n_panels), (0, n_panels), gap)
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
