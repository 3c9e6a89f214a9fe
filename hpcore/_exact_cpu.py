"""Exact lengths of single edges: direct differences in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import REASSOCIATE, kernel
from hpcore._simd import LANES, address, fill_lane_sums


@kernel()
def edge_lengths(rows: NDArray[Any], u: NDArray[np.intp], v: NDArray[np.intp], squared: NDArray[np.float64]) -> None:
    """Fill `squared (E,)` with ``|rows[u] - rows[v]|²``: relative error at most ``(d + 2) u``, u = 2**-53.

    The order of summation is fixed and nothing is fused, so an edge has one length only: whichever way its ends are
    given, on every processor and on every device. Feature k goes to sum k mod `LANES`; halves are added until one is
    left.
    """
    sums = np.empty(LANES)
    n_whole = rows.shape[1] - rows.shape[1] % LANES
    for e in range(u.shape[0]):
        x, y = rows[u[e]], rows[v[e]]
        fill_lane_sums(address(x, 0), address(y, 0), n_whole // LANES, address(sums, 0))
        for lane in range(rows.shape[1] - n_whole):
            difference = np.float64(x[n_whole + lane]) - np.float64(y[n_whole + lane])
            sums[lane] += difference * difference
        half = LANES // 2
        while half > 0:
            for lane in range(half):
                sums[lane] += sums[lane + half]
            half //= 2
        squared[e] = sums[0]


@kernel()
def mean_row(rows: NDArray[Any], chosen: NDArray[np.intp], mean: NDArray[np.float64]) -> None:
    """Fill `mean (d)` with the mean of ``rows[chosen]``."""
    mean[:] = 0.0
    share = 1.0 / chosen.shape[0]
    for i in range(chosen.shape[0]):
        row = rows[chosen[i]]
        for k in range(mean.shape[0]):
            mean[k] += np.float64(row[k]) * share


@kernel(fastmath=REASSOCIATE)
def centre_shifts(
    rows: NDArray[Any],
    chosen: NDArray[np.intp],
    centre: NDArray[np.float64],
    other: NDArray[np.float64],
    shift: NDArray[np.float64],
) -> None:
    """Fill `shift (n)` with ``2 x·Δ + |Δ|²/2`` for each ``x = rows[chosen] - centre``, Δ being ``centre - other``."""
    apart = centre - other
    half = 0.5 * (apart * apart).sum()
    for i in range(chosen.shape[0]):
        row = rows[chosen[i]]
        along = 0.0
        for k in range(apart.shape[0]):
            along += (np.float64(row[k]) - centre[k]) * apart[k]
        shift[i] = 2.0 * along + half
