"""Inner products of rows rounded to 16-bit multiples of a step of their own, with the rounding error measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import REASSOCIATE, kernel
from hpcore._simd import LANES, TILE_PANELS, TILE_ROWS, add_tile_product, address

PANEL = LANES
"""Rows of one panel; a packed array has shape (panels, ceil(d / 2), PANEL, 2) and `GROUP` rows, or a multiple."""

_STEPS = 128  # feature pairs per pass: two panels of them stay in the first-level cache
_LARGEST_NORM = 46340.0  # below √(2³¹): no inner product, and no part of one, leaves 32 bits
_LARGEST_VALUE = 32767.0


@kernel(fastmath=REASSOCIATE)
def pack(
    rows: NDArray[Any],
    chosen: NDArray[np.intp],
    centre: NDArray[np.float64],
    packed: NDArray[np.int16],
    step: NDArray[np.float64],
    squared_norm: NDArray[np.float64],
) -> float:
    """Round ``rows[chosen] - centre`` to multiples of `step`; return the largest relative error of a row.

    The step of a row is the least one with which neither a value nor an inner product overflows. Rows that fill up
    the last panels are zero.
    """
    n_features = rows.shape[1]
    limit = _LARGEST_NORM - 1.0 - 0.5 * np.sqrt(n_features)
    worst = 0.0
    packed[-TILE_PANELS:] = 0
    if n_features % 2 == 1:
        packed[:, -1, :, 1] = 0
    for i in range(chosen.shape[0]):
        row = rows[chosen[i]]
        panel = packed[i // PANEL]
        lane = i % PANEL
        square = 0.0
        largest = 0.0
        for k in range(n_features):
            value = np.float64(row[k]) - centre[k]
            square += value * value
            largest = max(largest, abs(value))
        unit = max(np.sqrt(square) / limit, largest / _LARGEST_VALUE)
        inverse = 1.0 / unit if unit > 0.0 else 0.0
        error = 0.0
        for k in range(n_features):
            value = np.float64(row[k]) - centre[k]
            whole = np.rint(value * inverse)
            panel[k >> 1, lane, k & 1] = np.int16(whole)
            rest = value - whole * unit
            error += rest * rest
        step[i] = unit
        squared_norm[i] = square
        if square > 0.0:
            worst = max(worst, error / square)
    return float(np.sqrt(worst))


@kernel()
def inner_products(left: NDArray[np.int16], right: NDArray[np.int16], products: NDArray[np.int32]) -> None:
    """Fill `products` (packed rows of `left`, packed rows of `right`) with all inner products."""
    n_steps = left.shape[1]
    size = n_steps * 2 * PANEL
    width = products.shape[1]
    for first in range(0, n_steps, _STEPS):
        steps = min(_STEPS, n_steps - first)
        skip = first * 2 * PANEL
        for column in range(0, right.shape[0], TILE_PANELS):
            for panel in range(left.shape[0]):
                for row in range(0, PANEL, TILE_ROWS):
                    add_tile_product(
                        address(left, panel * size + skip),
                        row,
                        address(right, column * size + skip),
                        size,
                        steps,
                        first == 0,
                        address(products, (panel * PANEL + row) * width + column * PANEL),
                        width,
                    )
