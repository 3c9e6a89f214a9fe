"""Radix sorting of many short lists: edges by length, then by their ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcore._jit import kernel

_BYTES, _DIGITS = 8, 256


@kernel()
def order_by_bits(keys: NDArray[np.uint64], order: NDArray[np.intp]) -> None:
    """Rearrange `order (n)`, places in `keys`, so that the keys ascend; equal ones stay as they are.

    The bits of floating-point numbers that are not negative ascend as the numbers do.
    """
    n = order.shape[0]
    counts = np.zeros((_BYTES, _DIGITS), np.int64)
    for i in range(n):
        key = keys[order[i]]
        for byte in range(_BYTES):
            counts[byte, (key >> np.uint64(8 * byte)) & np.uint64(_DIGITS - 1)] += 1
    other = np.empty_like(order)
    source, target = order, other
    for byte in range(_BYTES):
        place = counts[byte]
        shift = np.uint64(8 * byte)
        if n == 0 or place[(keys[order[0]] >> shift) & np.uint64(_DIGITS - 1)] == n:
            continue  # a digit that all keys share orders nothing
        total = 0
        for digit in range(_DIGITS):
            total, place[digit] = total + place[digit], total
        for i in range(n):
            own = np.intp((keys[source[i]] >> shift) & np.uint64(_DIGITS - 1))
            target[place[own]] = source[i]
            place[own] += 1
        source, target = target, source
    if source is not order:
        for i in range(n):  # not as a slice: code for an error that cannot happen would take longest to compile
            order[i] = source[i]


@kernel()
def order_edges(
    low: NDArray[np.intp], high: NDArray[np.intp], weight: NDArray[np.float64], order: NDArray[np.intp]
) -> int:
    """Fill `order` with the places of edges by (weight, low, high), repeated ones once; returns how many there are.

    Ends are below 2³², weights not negative.
    """
    n = order.shape[0]
    ends = np.empty(n, np.uint64)
    lengths = np.empty(n)
    for e in range(n):
        order[e] = e
        ends[e] = (np.uint64(low[e]) << np.uint64(32)) | np.uint64(high[e])
        lengths[e] = weight[e] + 0.0  # no sign of zero
    order_by_bits(ends, order)
    order_by_bits(lengths.view(np.uint64), order)
    kept = 0
    for e in range(n):
        here = order[e]
        if kept == 0 or ends[here] != ends[order[kept - 1]]:
            order[kept] = here
            kept += 1
    return kept
