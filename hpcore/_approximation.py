"""Blocks of approximate distances with rigorous bounds, by inner products or by direct differences.

Bounds are arrays of five rows, one column per point: ``high, low, rise, fall, t`` of `hpcore._block_cpu`. All
coordinates in them are multiplied by a power of two that keeps float32 in range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcore.distances import UNIT_ROUNDOFF, tie_tolerance

U32 = 2.0**-24
_TINY = 2.0**-120  # absolute error where float32 underflows; lengths are scaled to about 1
_FLUSHED = 2.0**-123  # the same for each product in a sum, where a device takes what is below 2⁻¹²⁶ for zero
_FEATURES = 512  # direct differences take so many at a time: a copy of them is small
FEWEST_OF_BYTES = 48
"""From so many features on products of rows rounded to 8 bits may gain something."""
_LARGEST_BYTE_ERROR = 1 / 40
_LARGEST_BYTE_SLACK = 1 / 12
LARGEST_DIRECT = 16
"""Up to this many features direct differences cost less than inner products."""


@dataclass(frozen=True)
class Packed:
    """Points in the form that a kernel reads: `data`, their number, and what the bounds need to know of them.

    ``shift (n,)`` is there where the other side of a block is packed around another centre, see `product_bounds`.
    """

    data: NDArray[Any]
    n_points: int
    step: NDArray[np.float64]
    squared_norm: NDArray[np.float64]
    error: float
    shift: NDArray[np.float64] | None

    def piece(self, begin: int, end: int) -> Packed:
        """Some of the points of panels, which begin at one of them, without copying."""
        in_panel = self.data.shape[2]
        data = self.data[begin // in_panel : -(-end // in_panel)]
        shift = None if self.shift is None else self.shift[begin:end]
        return Packed(data, end - begin, self.step[begin:end], self.squared_norm[begin:end], self.error, shift)


Open = tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]


class Approximation(Protocol):
    """A way to bound the squared distances of a block from both sides."""

    dtype: type[np.floating[Any]]

    def pack(self, rows: NDArray[Any], chosen: NDArray[np.intp], centre: NDArray[np.float64], /) -> Packed:
        """Bring ``rows[chosen]`` into the form of `block`; `centre` is a point near them."""
        ...

    def block(self, left: Packed, right: Packed, scratch: NDArray[np.int32]) -> NDArray[Any]:
        """Compute the numbers of all pairs, in `scratch` or in an array of its own."""
        ...

    def open_block(self, left: Packed, right: Packed, scratch: NDArray[np.int32]) -> Open:
        """A block that `hpcore._strips_cpu` fills from two operands; where these are None, it is full already."""
        ...

    def bounds(self, left: Packed, right: Packed) -> tuple[NDArray[Any], NDArray[Any]]:
        """Bounds for the rows and the columns of their block."""
        ...


class _Products:
    """Inner products of rows in panels."""

    def __init__(self, of_products: type[np.number[Any]]) -> None:
        self._of_products = of_products

    def block(self, left: Packed, right: Packed, scratch: NDArray[np.int32]) -> NDArray[Any]:
        """All of them; half is computed where the two sides are one."""
        from hpcore import _products_cpu as kernels

        products, *_ = self.open_block(left, right, scratch)
        if left is right:
            kernels.own_products(left.data, products)
        else:
            kernels.inner_products(left.data, right.data, products)
        return products

    def open_block(self, left: Packed, right: Packed, scratch: NDArray[np.int32]) -> Open:
        """Products of panels; rows that only fill up the last panel of the left side are left out where a tile can."""
        from hpcore._simd import TILE_ROWS

        n_rows, n_columns = (each.data.shape[0] * each.data.shape[2] for each in (left, right))
        if left is not right:
            n_rows = -(-left.n_points // TILE_ROWS) * TILE_ROWS
        return _room(scratch, (n_rows, n_columns), self._of_products), left.data, right.data


class FixedPoint(_Products):
    """Inner products of rows rounded to 16 or 8 bits: ``|x - y|² ≈ |x|² + |y|² - 2 t_x t_y (q_x · q_y)``.

    With ``x = t q + e`` and ``|e| ≤ η |x|``: ``x·y - t t' q·q' = x·e' + e·y - e·e'``, so the inner product is wrong by
    at most ``(η + η' + η η') |x| |y| ≤ (η + η' + η η') (|x|² + |y|²) / 2`` and the squared distance by twice that; η is
    measured, not assumed.
    """

    dtype: type[np.floating[Any]] = np.float32

    def __init__(self, exponent: int, number: type[np.signedinteger[Any]] = np.int16) -> None:
        """Coordinates in the bounds are multiplied by ``2**exponent``; `number` is int16 or int8."""
        super().__init__(np.int32)
        self._factor = math.ldexp(1.0, exponent)
        self._number = np.dtype(number)

    def pack(self, rows: NDArray[Any], chosen: NDArray[np.intp], centre: NDArray[np.float64], /) -> Packed:
        """Round to multiples of a step of each row."""
        from hpcore import _fixed_point_cpu as kernels
        from hpcore._products_cpu import PANEL

        n_points = chosen.shape[0]
        n_panels = -(-n_points // PANEL)
        per_word = 4 // self._number.itemsize
        data = np.empty((n_panels, -(-rows.shape[1] // per_word) + 1, PANEL, per_word), self._number)
        step, squared_norm = np.empty(n_points), np.empty(n_points)
        error = kernels.pack(rows, chosen, centre, data, step, squared_norm)
        return Packed(data, n_points, step * self._factor, squared_norm * self._factor**2, error, None)

    def bounds(self, left: Packed, right: Packed) -> tuple[NDArray[Any], NDArray[Any]]:
        """Measured rounding errors, and those of float32."""
        error = left.error + right.error + left.error * right.error
        return product_bounds(left, error), product_bounds(right, error)


def bytes_suffice(rows: NDArray[Any], chosen: NDArray[np.intp], centre: NDArray[np.float64], spread: float) -> bool:
    """Whether rows like ``rows[chosen]`` should be rounded to 8 bits first: a matter of time, not of what is found.

    Their products take half the time of those of 16 bits, but leave more candidates: two to five times as many where η
    is about 1 %, as it is for ordinary activations. A few large coordinates in a row make η larger, and classes that
    are far apart, for their mean squared distance `spread` from their own centres, make |x|² larger beside the lengths
    that matter. The limits are from trials with classes at many distances.
    """
    sample = FixedPoint(0, np.int8).pack(rows, chosen, centre)
    apart = float(sample.squared_norm.mean())
    return sample.error <= _LARGEST_BYTE_ERROR and sample.error * apart <= _LARGEST_BYTE_SLACK * spread


class FloatProducts(_Products):
    """Inner products in float32 or float64: ``|x - y|² ≈ |x|² + |y|² - 2 x·y``.

    In any order of summation ``|fl(x·y) - x·y| ≤ (d + 2) u |x| |y|`` to first order, the rounding of the coordinates
    included; the squared distance is wrong by at most ``(d + 2) u (|x|² + |y|²)``. Twice that leaves room for the
    second order.
    """

    def __init__(self, exponent: int, dtype: type[np.floating[Any]] = np.float32) -> None:
        """Coordinates are multiplied by ``2**exponent``."""
        super().__init__(dtype)
        self.dtype = dtype
        self._factor = math.ldexp(1.0, exponent)

    def pack(self, rows: NDArray[Any], chosen: NDArray[np.intp], centre: NDArray[np.float64], /) -> Packed:
        """Centre, scale and round."""
        from hpcore import _rounding_cpu as kernels
        from hpcore._products_cpu import PANEL

        n_points = chosen.shape[0]
        in_panel = PANEL * 4 // np.dtype(self.dtype).itemsize
        data = np.empty((-(-n_points // in_panel), rows.shape[1] + 1, in_panel, 1), self.dtype)
        squared_norm = np.empty(n_points)
        kernels.pack(rows, chosen, centre, self._factor, data, squared_norm)
        return Packed(data, n_points, np.ones(n_points), squared_norm, 0.0, None)

    def bounds(self, left: Packed, right: Packed) -> tuple[NDArray[Any], NDArray[Any]]:
        """Worst case of a sum."""
        n_features = left.data.shape[1] - 1
        error = (n_features + 4) * float(np.finfo(self.dtype).eps)
        return product_bounds(left, error, self.dtype), product_bounds(right, error, self.dtype)


def product_bounds(points: Packed, error: float, dtype: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
    """Bounds where the inner products are known up to ``error (|x|² + |y|²) / 2``; those of `dtype` come on top.

    Around centres that lie Δ apart, x - y becomes x - y + Δ, whose square has two more terms, one of x and one of y:
    ``2 x·Δ + |Δ|²/2`` and ``2 y·(-Δ) + |Δ|²/2``. They are the `shift`, computed in float64 to ``8 d 2⁻⁵³ |x| |Δ|``. A
    bound is rounded by a share of its terms, ``|x|² + |shift|``, and |x| |Δ| is at most eight times as large as these.
    """
    from hpcore._block_cpu import fill_product_bounds

    n_features = points.data.shape[1] * (points.data.shape[3] if points.data.ndim == 4 else 1)
    tiny = _TINY if dtype is np.float64 else max(_TINY, _FLUSHED * n_features)
    rounding = 16 * float(np.finfo(dtype).eps)  # 32 u: at most 24 roundings of a bound itself, and room for tied edges
    if dtype is np.float64:
        rounding += 4 * tie_tolerance(n_features)  # the terms of both sides are at least half a squared distance
    shift = points.shift
    if shift is None:
        shift = np.zeros(points.n_points)
    else:
        rounding += 64 * n_features * UNIT_ROUNDOFF
    bounds = np.empty((5, points.n_points), dtype)
    fill_product_bounds(points.step, points.squared_norm, shift, error, rounding, tiny, bounds)
    return bounds


class Direct:
    """Direct differences: relative error at most ``(d + 4) u`` in the arithmetic of `dtype`.

    In float64 this is as exact as the lengths that decide in the end.
    """

    def __init__(self, dtype: type[np.floating[Any]], exponent: int) -> None:
        """Rows are multiplied by ``2**exponent`` first, which is exact."""
        self.dtype = dtype
        self._factor = dtype(math.ldexp(1.0, exponent))
        self._smallest = float(np.finfo(dtype).tiny) * 2.0**7  # absolute error where the sums underflow

    def pack(self, rows: NDArray[Any], chosen: NDArray[np.intp], _centre: NDArray[np.float64], /) -> Packed:
        """Copy the rows."""
        nothing = np.empty(0)
        return Packed(rows[chosen], chosen.shape[0], nothing, nothing, 0.0, None)

    def block(self, left: Packed, right: Packed, scratch: NDArray[np.int32]) -> NDArray[Any]:
        """Squared distances, a strip of features at a time."""
        from hpcore._block_cpu import direct_distances

        block = self._empty(left, right, scratch)
        for first in range(0, left.data.shape[1], _FEATURES):
            operands = self._operands(left, right, slice(first, first + _FEATURES))
            direct_distances(*operands, block, first == 0)
        return block

    def open_block(self, left: Packed, right: Packed, scratch: NDArray[np.int32]) -> Open:
        """The full block: where blocks of differences are wanted at all, they are few."""
        return self.block(left, right, scratch), None, None

    def scaled(self, rows: NDArray[Any], chosen: NDArray[np.intp]) -> NDArray[Any]:
        """Some rows in the units of the bounds."""
        return np.ascontiguousarray(rows[chosen] * self._factor, self.dtype)

    def widening(self, n_features: int) -> tuple[Any, Any]:
        """``ratio, extra`` for which ``g > ratio x + extra`` proves an edge at g to be longer than a path up to x.

        With the bounds ``(1 ± e) g ± t`` of `bounds`: ``(1 - e) g - t > (1 + e) x + t`` follows from
        ``g > (1 + 3 e) x + 4 t``, as e < 1/4.
        """
        return self.dtype(1.0 + 3.0 * self._error(n_features)), self.dtype(4.0 * self._smallest)

    def _empty(self, left: Packed, right: Packed, scratch: NDArray[np.int32]) -> NDArray[Any]:
        return _room(scratch, (_padded(left.n_points), _padded(right.n_points)), self.dtype)

    def _operands(self, left: Packed, right: Packed, features: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        n_features = left.data[:1, features].shape[1]
        rows = np.zeros((_padded(left.n_points), n_features), self.dtype)
        columns = np.zeros((n_features, _padded(right.n_points)), self.dtype)
        rows[: left.n_points] = left.data[:, features]
        columns[:, : right.n_points] = right.data[:, features].T
        rows *= self._factor
        columns *= self._factor
        return rows, columns

    def bounds(self, left: Packed, right: Packed) -> tuple[NDArray[Any], NDArray[Any]]:
        """Relative error of a sum of squares, and room for tied edges."""
        error = self._error(left.data.shape[1])
        bounds = np.empty((5, max(left.n_points, right.n_points)), self.dtype)
        bounds[0] = self._smallest / 2
        bounds[1] = -bounds[0]
        bounds[2], bounds[3] = 1.0 + error, 1.0 - error
        bounds[4] = 1.0
        return bounds[:, : left.n_points].copy(), bounds[:, : right.n_points].copy()

    def _error(self, n_features: int) -> float:
        error = (n_features + 4 + 32) * float(np.finfo(self.dtype).eps) / 2
        return error if self.dtype is np.float32 else max(error, 2 * tie_tolerance(n_features))


def _padded(n_points: int) -> int:
    from hpcore._simd import GROUP

    return -(-n_points // GROUP) * GROUP


def _room(scratch: NDArray[np.int32], shape: tuple[int, int], dtype: type[np.number[Any]]) -> NDArray[Any]:
    """A block in `scratch`, or of its own for float64, which only fallbacks need."""
    if dtype is np.float64:
        return np.empty(shape)
    return scratch[: shape[0] * shape[1]].view(dtype).reshape(shape)
