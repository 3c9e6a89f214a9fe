"""Inner products of rows rounded to multiples of a step of their own, in 16 or 8 bits, with the error measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import REASSOCIATE, kernel
from hpcore._products_cpu import PANEL
from hpcore._simd import greatest

_LARGEST_NORM = 46340.0  # below √(2³¹): no inner product leaves 32 bits; sums on the way may go round and come back


@kernel(fastmath=REASSOCIATE)
def _round_row(
    row: NDArray[Any],
    centre: NDArray[np.float64],
    largest_value: float,
    values: NDArray[np.float64],
    rounded: NDArray[Any],
) -> tuple[float, float, float]:
    """Fill `rounded` with ``row - centre`` as multiples of a step; returns the step, |x|² and |rounding error|²."""
    square, largest = 0.0, 0.0
    for k in range(values.shape[0]):
        value = np.float64(row[k]) - centre[k]
        values[k] = value
        square += value * value
    for k in range(np.uint64(values.shape[0])):
        largest = greatest(largest, abs(values[k]))
    limit = _LARGEST_NORM - 1.0 - 0.5 * np.sqrt(values.shape[0])
    unit = max(np.sqrt(square) / limit, largest / largest_value)
    inverse = 1.0 / unit if unit > 0.0 else 0.0
    error = 0.0
    for k in range(values.shape[0]):
        whole = np.rint(values[k] * inverse)
        rounded[k] = np.int32(whole)
        rest = values[k] - whole * unit
        error += rest * rest
    return unit, square, error


@kernel()
def pack(
    rows: NDArray[Any],
    chosen: NDArray[np.intp],
    centre: NDArray[np.float64],
    packed: NDArray[Any],
    step: NDArray[np.float64],
    squared_norm: NDArray[np.float64],
) -> float:
    """Round ``rows[chosen] - centre`` to multiples of `step`; return the largest relative error of a row.

    The step of a row is the least one with which neither a value nor an inner product overflows. Rows that fill up
    the last panel are zero. The sums of a column begin with zero for 16 bits; the instruction for 8 takes ``q + 128``
    on one side, and ``-128 Σ q'`` makes up for it.
    """
    n_words = packed.shape[1] - 1
    is_bytes = packed.itemsize == 1
    largest_value = 127.0 if is_bytes else 32767.0
    worst = 0.0
    packed[-1] = 0
    words = packed.reshape(-1).view(np.int32)
    values = np.empty(rows.shape[1])
    rounded = np.zeros(n_words * packed.shape[3], packed.dtype)
    of_row = rounded.view(np.int32)
    for i in range(chosen.shape[0]):
        unit, square, error = _round_row(rows[chosen[i]], centre, largest_value, values, rounded)
        at = i // PANEL * (n_words + 1) * PANEL + i % PANEL
        for k in range(n_words):
            words[at + k * PANEL] = of_row[k]
        words[at + n_words * PANEL] = -128 * _sum_of(rounded) if is_bytes else 0
        step[i], squared_norm[i] = unit, square
        if square > 0.0:
            worst = max(worst, error / square)
    return float(np.sqrt(worst))


@kernel()
def _sum_of(rounded: NDArray[Any]) -> int:
    total = np.int32(0)
    for k in range(np.uint64(rounded.shape[0])):
        total += np.int32(rounded[k])
    return int(total)
