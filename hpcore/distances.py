"""The geometry behind a metric: points whose Euclidean distances order the edges, in an order of their own."""

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
    """Distinct points and where the given rows went.

    Attributes
    ----------
    coordinates : (G, d) float64
        Distinct points, sorted by a hash of their content: the order is the same for every order of the rows.
    index : (N,) intp
        The point of every given row.
    n_zero_rows : int
        Rows without a direction (metric ``"cosine"``); 0 for the Euclidean metric.
    """

    coordinates: NDArray[np.float64]
    index: NDArray[np.intp]
    n_zero_rows: int

    @property
    def n_duplicates(self) -> int:
        """Rows that repeat another row."""
        return self.index.shape[0] - self.coordinates.shape[0]

    @property
    def tie_tolerance(self) -> float:
        """Relative difference below which two squared distances count as equal.

        The worst-case relative error of a squared distance by direct differences is ``(d + 2) u`` with
        ``u = 2**-53``; distances that are equal in exact arithmetic are therefore always recognised. The floor of
        1e-12 covers coordinates that are themselves rounded, such as normalised rows or multiples of 0.1.
        """
        return max(_SMALLEST_TIE_TOLERANCE, 4 * (self.coordinates.shape[1] + 4) * UNIT_ROUNDOFF)


def distinct_points(rows: NDArray[Any], metric: str) -> Points:
    """Embed rows so that squared Euclidean distance orders them as `metric` does, and collapse repeated ones.

    ``"cosine"``: rows are normalised, for ``|x̂ - ŷ|² = 2 (1 - cos)``. A row of zeros gets a coordinate of its own,
    which puts it at squared distance 0 from zero rows and ``1 + 1 = 2 (1 - 0)`` from all others.

    Memory: float64 copies of the N × d values, two at a time.
    """
    if metric == "cosine":
        embedded, n_zero_rows = _normalised(rows)
    else:
        embedded, n_zero_rows = _scaled(rows), 0
    order, is_new = _content_order(embedded)
    index = np.empty(rows.shape[0], np.intp)
    index[order] = np.cumsum(is_new) - 1
    return Points(embedded[order[is_new]], index, n_zero_rows)


def _scaled(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Rows as float64, times a power of two where squares could overflow or vanish: exact, and the tree is the same."""
    values = np.array(rows, dtype=np.float64, order="C")
    if rows.dtype == np.float64:
        largest = max(float(np.abs(values[chunk]).max()) for chunk in row_chunks(values))
        exponent = int(np.frexp(largest)[1])
        if abs(exponent) > 256:  # float32 and integers never come here
            np.ldexp(values, -exponent, out=values)
    return values


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
    unit[is_zero, -1] = 1.0
    return unit, n_zero_rows


def _content_order(rows: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """An order of the rows that depends on their content alone, equal rows adjacent, and the firsts of equal rows."""
    from hpcore._rows_cpu import equal_to_previous, row_hashes

    hashes = np.empty(rows.shape[0], np.uint64)
    row_hashes(rows, hashes)
    order = np.argsort(hashes, kind="stable")
    is_equal = np.zeros(rows.shape[0], np.bool_)
    equal_to_previous(rows, order, is_equal)
    same_hash = np.zeros(rows.shape[0], np.bool_)
    same_hash[1:] = hashes[order[1:]] == hashes[order[:-1]]
    if bool((same_hash & ~is_equal).any()):  # different rows share a hash: order by the values after the hash
        order = np.lexsort((*rows.T[::-1], hashes)).astype(np.intp)
        equal_to_previous(rows, order, is_equal)
    return order, ~is_equal
