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
