"""The geometry behind a metric: rows whose Euclidean distances order the edges, and an order of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._validate import row_chunks

UNIT_ROUNDOFF = 2.0**-53
_SMALLEST_TIE_TOLERANCE = 1e-12


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
    that are themselves rounded, such as normalised rows or multiples of 0.1.
    """
    return max(_SMALLEST_TIE_TOLERANCE, 4 * (n_features + 4) * UNIT_ROUNDOFF)


def distinct_points(rows: NDArray[Any], metric: str) -> Points:
    """Embed rows so that squared Euclidean distance orders them as `metric` does, and find repeated ones.

    ``"cosine"``: rows are normalised, for ``|x̂ - ŷ|² = 2 (1 - cos)``. A row of zeros gets a coordinate of its own,
    which puts it at squared distance 0 from zero rows and ``1 + 1 = 2 (1 - 0)`` from all others.

    Memory: none for contiguous float32 and for float64 rows of moderate size; 4 N d bytes for smaller types; 8 N d
    for wider integers and for the cosine metric.
    """
    if metric == "cosine":
        embedded, n_zero_rows = _normalised(rows)
    else:
        embedded, n_zero_rows = _floating(rows), 0
    copied_bytes = 0 if np.may_share_memory(embedded, rows) else embedded.nbytes
    embedded = embedded.view()
    embedded.flags.writeable = False  # kernels are compiled once: read-only input and copies look alike to them
    order, is_new = _content_order(embedded)
    index = np.empty(rows.shape[0], np.intp)
    index[order] = np.cumsum(is_new) - 1
    return Points(embedded, order[is_new], index, n_zero_rows, tie_tolerance(embedded.shape[1]), copied_bytes)


def _floating(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows as float32 where that is exact, else float64."""
    is_narrow = rows.dtype.itemsize <= 2 or rows.dtype == np.float32
    if rows.dtype == np.float64:
        return _moderate(np.ascontiguousarray(rows))
    return np.ascontiguousarray(rows, np.float32 if is_narrow else np.float64)


def _moderate(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows times a power of two where squares could overflow or vanish: exact, and the tree is the same."""
    largest = max(float(np.abs(rows[chunk]).max()) for chunk in row_chunks(rows))
    exponent = int(np.frexp(largest)[1])
    return np.ldexp(rows, -exponent) if abs(exponent) > 256 else rows


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
    return unit, n_zero_rows


def _content_order(rows: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """An order of the rows that depends on their content alone, equal rows adjacent, and the firsts of equal rows."""
    from hpcore._rows_cpu import equal_to_previous, row_hashes
    from hpcore._sort_cpu import order_by_bits

    hashes = np.empty(rows.shape[0], np.uint64)
    row_hashes(rows, hashes)
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
