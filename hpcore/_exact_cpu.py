"""Exact lengths of single edges: direct differences in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import REASSOCIATE, kernel


@kernel(fastmath=REASSOCIATE)
def edge_lengths(rows: NDArray[Any], u: NDArray[np.intp], v: NDArray[np.intp], squared: NDArray[np.float64]) -> None:
    """Fill `squared (E,)` with ``|rows[u] - rows[v]|²``: relative error at most ``(d + 2) u``, u = 2**-53.

    The summation order is the same for every edge and the ends may be exchanged, so an edge has one length only.
    """
    for e in range(u.shape[0]):
        x, y = rows[u[e]], rows[v[e]]
        total = 0.0
        for k in range(rows.shape[1]):
            difference = np.float64(x[k]) - np.float64(y[k])
            total += difference * difference
        squared[e] = total


@kernel()
def mean_row(rows: NDArray[Any], chosen: NDArray[np.intp], mean: NDArray[np.float64]) -> None:
    """Fill `mean (d)` with the mean of ``rows[chosen]``."""
    mean[:] = 0.0
    share = 1.0 / chosen.shape[0]
    for i in range(chosen.shape[0]):
        row = rows[chosen[i]]
        for k in range(mean.shape[0]):
            mean[k] += np.float64(row[k]) * share
