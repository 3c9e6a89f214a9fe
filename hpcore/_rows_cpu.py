"""Kernels over the rows of a matrix: content hashes and comparisons, for an order that rows carry themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)  # the constants are those of the SplitMix64 generator
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


@kernel()
def row_hashes(rows: NDArray[Any], hashes: NDArray[np.uint64]) -> None:
    """Hash the float64 content of every row; -0.0 counts as 0.0."""
    values = np.empty(rows.shape[1])
    bits = values.view(np.uint64)
    for i in range(rows.shape[0]):
        row = rows[i]
        for k in range(values.shape[0]):
            values[k] = np.float64(row[k]) + 0.0
        total = np.uint64(0)
        for k in range(bits.shape[0]):
            word = bits[k] + np.uint64(k + 1) * _STEP
            word = (word ^ (word >> _S30)) * _FIRST
            word = (word ^ (word >> _S27)) * _SECOND
            total += word ^ (word >> _S31)
        hashes[i] = total


@kernel()
def equal_to_previous(rows: NDArray[Any], order: NDArray[np.intp], equal: NDArray[np.bool_]) -> None:
    """Mark the places of `order` whose row equals the row one place earlier."""
    for i in range(1, order.shape[0]):
        here, there = order[i], order[i - 1]
        same = True
        for k in range(rows.shape[1]):
            if rows[here, k] != rows[there, k]:
                same = False
                break
        equal[i] = same
