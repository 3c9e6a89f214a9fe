"""Rows as floats around a centre, in panels, and their squared norms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import REASSOCIATE, kernel
from hpcore._simd import address, transpose

_FEATURES = 256  # of the rows of a panel at a time: they stay in the first-level cache until they are in their places


@kernel()
def pack(
    rows: NDArray[Any],
    chosen: NDArray[np.intp],
    centre: NDArray[np.float64],
    factor: float,
    packed: NDArray[Any],
    squared_norm: NDArray[np.float64],
) -> None:
    """Round ``factor (rows[chosen] - centre)`` to the type of `packed` (see `hpcore._products_cpu`).

    Differences are those of float64, and so are the squared norms, of the rows before they are rounded. Rows that fill
    up the last panel are zero.
    """
    n_rows, n_features = chosen.shape[0], rows.shape[1]
    in_panel = packed.shape[2]
    values = np.zeros((in_panel, _FEATURES), packed.dtype)
    squared_norm[:] = 0.0
    for panel in range(packed.shape[0]):
        begin, end = panel * in_panel, min(n_rows, (panel + 1) * in_panel)
        values[end - begin :] = 0
        words = packed[panel].reshape(-1)
        words[n_features * in_panel :] = 0
        for first in range(0, n_features, _FEATURES):
            last = min(n_features, first + _FEATURES)
            for i in range(begin, end):
                row = rows[chosen[i]][first:last]
                squared_norm[i] += _round_row(row, centre[first:last], factor, values[i - begin])
            _turn(values, words[first * in_panel : last * in_panel])


@kernel(fastmath=REASSOCIATE)
def _round_row(row: NDArray[Any], centre: NDArray[np.float64], factor: float, values: NDArray[Any]) -> float:
    square = 0.0
    for k in range(np.uint64(row.shape[0])):
        value = (np.float64(row[k]) - centre[k]) * factor
        values[k] = value
        square += value * value
    return square


@kernel()
def _turn(values: NDArray[Any], words: NDArray[Any]) -> None:
    """Row by row to step by step."""
    n_rows = values.shape[0]
    n_steps = words.shape[0] // n_rows
    n_whole = n_steps - n_steps % n_rows
    for k in range(0, n_whole, n_rows):
        transpose(address(values, k), _FEATURES, address(words, k * n_rows), n_rows)
    for k in range(n_whole, n_steps):
        for row in range(n_rows):
            words[k * n_rows + row] = values[row, k]
