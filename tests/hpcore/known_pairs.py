"""What the kernels know when every pair of points is a pair of sets."""

from __future__ import annotations

import numpy as np

from hpcore._approximation import Approximation, Packed
from hpcore._strips_cpu import Known, improve_reaches


def known_of_pairs(approximation: Approximation, left: Packed, right: Packed, *, has_all_columns: bool) -> Known:
    """A pair of sets for every pair of points: the row with that column alone, or with all; cores are zero."""
    n, m = left.n_points, right.n_points
    block, *operands = approximation.open_block(left, right, np.empty((n + 32) * (m + 32), np.int32))
    rows, columns = approximation.bounds(left, right)
    i, j = (each.reshape(-1) for each in np.indices((n, m)))
    pair, width = np.arange(n * m), m if has_all_columns else 1
    no_core = np.zeros(max(n, m), approximation.dtype)
    known = Known(
        block=block,
        rows=rows,
        columns=columns,
        row_core=no_core,
        column_core=no_core,
        spans=np.stack((i, i + 1, 0 * j, 0 * j + m) if has_all_columns else (i, i + 1, j, j + 1), axis=1),
        reach_at=np.stack((pair, width * pair), axis=1),
        row_reach=np.full(n * m, np.inf, approximation.dtype),
        column_reach=np.full(n * m * width, np.inf, approximation.dtype),
        bridge=np.full(n * m, np.inf, approximation.dtype),
        nearest=np.empty(n * m, approximation.dtype),
        nearest_at=np.arange(n * m + 1),
    )
    improve_reaches(operands[0], operands[1], known)
    return known
