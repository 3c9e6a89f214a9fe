"""The geometry behind a metric: rows whose Euclidean distances order the edges, and an order of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._validate import row_chunks
from hpcore.errors import OutOfMemory
from hpcore.threads import in_threads, row_ranges

UNIT_ROUNDOFF = 2.0**-53
_SMALLEST_TIE_TOLERANCE = 1e-12
_LARGEST_EXPONENT = 490  # the square of a difference is below 2⁹⁸², whatever the number of features
_SMALLEST_EXPONENT = -450  # a difference is at least 2⁻⁵² of the smaller number; 2⁻⁵¹¹ has the least normal square


@dataclass(frozen=True)
class Points:
    """Rows, the distinct points among them, and where every row went.

    Attributes
    ----------
    rows : (N, d) float32 or float64
        Squared Euclidean distances between them order the edges as the metric does. Read-only.
    representative : (G,) intp
        A row for each distinct point. Points are sorted by a hash of their content: the order is the same for every
        order of the rows.
    index : (N,) intp
        The point of every row.
    n_zero_rows : int
        Rows without a direction (metric ``"cosine"``); 0 for the Euclidean metric.
    tie_tolerance : float
        Relative difference below which two squared distances count as equal, see `tie_tolerance`.
    copied_bytes : int
        Memory of `rows` where they are not the input itself.
    """

    rows: NDArray[Any]
    representative: NDArray[np.intp]
    index: NDArray[np.intp]
    n_zero_rows: int
    tie_tolerance: float
    copied_bytes: int

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """Distinct points in float64, (G, d)."""
        return np.ascontiguousarray(self.rows[self.representative], np.float64)

    @property
    def n_duplicates(self) -> int:
        """Rows that repeat another row."""
        return int(self.index.shape[0] - self.representative.shape[0])


def tie_tolerance(n_features: int) -> float:
    """Relative difference below which two squared distances count as equal.

    The worst-case relative error of a squared distance by direct differences is ``(d + 2) u`` with ``u = 2**-53``;
    distances that are equal in exact arithmetic are therefore always recognised. The floor of 1e-12 covers coordinates
    that are themselves rounded, such as multiples of 0.1 or normalised rows, at angles from about 1e-3 on.
    """
    return max(_SMALLEST_TIE_TOLERANCE, 4 * (n_features + 4) * UNIT_ROUNDOFF)


def distinct_points(
    rows: NDArray[Any], metric: str, *, held: int = 0, budget: int | None = None, n_threads: int = 1
) -> Points:
    """Embed rows so that squared Euclidean distance orders them as `metric` does, and find repeated ones.

    ``"cosine"``: rows are normalised, for ``|x̂ - ŷ|² = 2 (1 - cos)``. A row of zeros gets a coordinate of its own,
    which puts it at squared distance 0 from zero rows and ``1 + 1 = 2 (1 - 0)`` from all others.

    Memory: none for contiguous float32 and for float64 rows of moderate size; 4 N d bytes for smaller types; 8 N d
    for wider integers and for the cosine metric. `held` bytes are copies made before.

    Raises
    ------
    OutOfMemory
        Copies alone take more than `budget` bytes; it is raised before they are made.
    """

    def make_room(size: int) -> None:
        if budget is not None and held + size > budget:
            what = f"`memory_budget` must be larger than {held + size} bytes, which a copy of these activations takes"
            raise OutOfMemory(f"{what}; got {budget}.")

    if metric == "cosine":
        make_room(8 * rows.size)
        embedded, n_zero_rows = _normalised(rows)
    else:
        embedded, n_zero_rows = _floating(rows, make_room), 0
    copied_bytes = held + (0 if np.may_share_memory(embedded, rows) else embedded.nbytes)
    embedded = embedded.view()
    embedded.flags.writeable = False  # kernels are compiled once: read-only input and copies look alike to them
    order, is_new = _content_order(embedded, n_threads)
    index = np.empty(rows.shape[0], np.intp)
    index[order] = np.cumsum(is_new) - 1
    return Points(embedded, order[is_new], index, n_zero_rows, tie_tolerance(embedded.shape[1]), copied_bytes)


def _floating(rows: NDArray[Any], make_room: Callable[[int], None]) -> NDArray[Any]:
    """Rows as float32 where that is exact, else float64."""
    is_narrow = rows.dtype.itemsize <= 2 or (rows.dtype.kind == "f" and rows.dtype.itemsize == 4)
    dtype = np.dtype(np.float32 if is_narrow else np.float64)
    if rows.dtype != dtype or not rows.flags.c_contiguous:
        make_room(rows.size * dtype.itemsize)
        rows = np.ascontiguousarray(rows, dtype)
    exponent = _far_exponent(rows) if rows.dtype == np.float64 else 0
    if exponent:
        make_room(rows.nbytes)
        rows = np.ldexp(rows, exponent)
    return rows


def _far_exponent(rows: NDArray[np.float64]) -> int:
    """The power of two by which squares of differences neither overflow nor vanish, where they could; else 0.

    It brings the largest number to about 2⁴⁹⁰. Multiplying is exact, and the tree is the same, but for what is 10³⁰⁰
    times smaller than the largest number: its squares vanish all the same.
    """
    largest, smallest = np.uint64(0), np.uint64(2**64 - 1)
    for chunk in row_chunks(rows):
        bits = rows[chunk].view(np.uint64) << np.uint64(1)  # without the sign; they ascend as the numbers do
        largest = max(largest, bits.max())
        bits -= np.uint64(1)  # 0 becomes the largest of all
        smallest = min(smallest, bits.min())
    if largest == 0:
        return 0
    of_largest, of_smallest = (
        int(np.frexp((bits >> np.uint64(1)).view(np.float64))[1]) for bits in (largest, smallest + np.uint64(1))
    )
    return (
        0 if of_smallest >= _SMALLEST_EXPONENT and of_largest <= _LARGEST_EXPONENT else _LARGEST_EXPONENT - of_largest
    )


def _normalised(rows: NDArray[Any]) -> tuple[NDArray[np.float64], int]:
    """Unit rows; division by the largest entry first makes exactly parallel rows exactly equal."""
    n_rows, n_features = rows.shape
    largest = np.empty(n_rows)
    for chunk in row_chunks(rows):
        largest[chunk] = np.abs(rows[chunk].astype(np.float64)).max(axis=1)
    is_zero = largest == 0.0
    n_zero_rows = int(is_zero.sum())
    largest[is_zero] = 1.0
    unit = np.zeros((n_rows, n_features + (n_zero_rows > 0)))
    for chunk in row_chunks(rows):
        part = rows[chunk].astype(np.float64) / largest[chunk, None]
        norms = np.sqrt(np.einsum("ij,ij->i", part, part))
        norms[is_zero[chunk]] = 1.0
        unit[chunk, :n_features] = part / norms[:, None]
    if n_zero_rows:
        unit[is_zero, -1] = 1.0
    if exponent := _far_exponent(unit):
        np.ldexp(unit, exponent, out=unit)
    return unit, n_zero_rows


def _content_order(rows: NDArray[Any], n_threads: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """An order of the rows that depends on their content alone, equal rows adjacent, and the firsts of equal rows."""
    from hpcore._rows_cpu import equal_to_previous, row_hashes
    from hpcore._sort_cpu import order_by_bits

    hashes = np.empty(rows.shape[0], np.uint64)
    ranges = row_ranges(rows.shape[0], rows.shape[1] * rows.itemsize, n_threads)
    deque(in_threads(lambda part: row_hashes(rows[part], hashes[part]), ranges, n_threads), maxlen=0)
    order = np.arange(rows.shape[0])
    order_by_bits(hashes, order)
    is_equal = np.zeros(rows.shape[0], np.bool_)
    equal_to_previous(rows, order, is_equal)
    same_hash = np.zeros(rows.shape[0], np.bool_)
    same_hash[1:] = hashes[order[1:]] == hashes[order[:-1]]
    if bool((same_hash & ~is_equal).any()):  # different rows share a hash: order by the values after the hash
        order = np.lexsort((*rows.T[::-1], hashes)).astype(np.intp)
        equal_to_previous(rows, order, is_equal)
    return order, ~is_equal
