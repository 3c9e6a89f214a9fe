"""Squared distances between panels of 16 points that never leave the registers, and what is made of them there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hpcore._simd import HAS_WIDE_REGISTERS, LANES

_BYTES_OF_SUMS = 1024 if HAS_WIDE_REGISTERS else 256  # 16 or 8 registers; the rest feed them
_I32, _I64 = ir.IntType(32), ir.IntType(64)


class _Lanes:
    """Vectors of `LANES` numbers of one type: loads, stores, choices and sums of squares."""

    def __init__(self, builder: Any, number: Any, *, only_positive: bool = False) -> None:
        """`only_positive` promises that no number that is compared is negative."""
        self.builder = builder
        self._only_positive = only_positive
        self.align = 4 if isinstance(number, ir.FloatType) else 8
        self.vector = ir.VectorType(number, LANES)
        self.rows_at_once = _BYTES_OF_SUMS // (self.align * LANES)
        self._nothing = ir.Constant(self.vector, ir.Undefined)
        self._same = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)

    def at(self, pointer: Any, offset: Any) -> Any:
        return self.builder.gep(pointer, [ir.Constant(_I64, offset) if isinstance(offset, int) else offset])

    def load(self, pointer: Any, offset: Any = 0) -> Any:
        place = self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer())
        return self.builder.load(place, align=self.align)

    def store(self, value: Any, pointer: Any, offset: Any = 0) -> None:
        place = self.builder.bitcast(self.at(pointer, offset), self.vector.as_pointer())
        self.builder.store(value, place, align=self.align)

    def spread(self, value: Any) -> Any:
        single = self.builder.insert_element(self._nothing, value, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(single, self._nothing, self._same)

    def spread_of(self, pointer: Any, offset: Any = 0) -> Any:
        return self.spread(self.builder.load(self.at(pointer, offset), align=self.align))

    def _choose(self, predicate: str, a: Any, b: Any) -> Any:
        if self._only_positive and self.align == 4:  # then the bits compare as integers, on more arithmetic units
            bits = ir.VectorType(_I32, LANES)
            chosen = self.builder.icmp_signed(predicate, self.builder.bitcast(a, bits), self.builder.bitcast(b, bits))
            chosen = self.builder.select(chosen, self.builder.bitcast(a, bits), self.builder.bitcast(b, bits))
            return self.builder.bitcast(chosen, self.vector)
        flags = ("nnan", "nsz")
        return self.builder.select(self.builder.fcmp_ordered(predicate, a, b, flags=flags), a, b, flags=flags)

    def least(self, a: Any, b: Any) -> Any:
        return self._choose("<", a, b)

    def greatest(self, a: Any, b: Any) -> Any:
        return self._choose(">", a, b)

    def reduce(self, choose: Callable[[Any, Any], Any], value: Any) -> Any:
        """The least or greatest lane."""
        half = LANES // 2
        while half:
            lanes = ir.Constant(ir.VectorType(_I32, LANES), [(lane + half) % LANES for lane in range(LANES)])
            value = choose(value, self.builder.shuffle_vector(value, self._nothing, lanes))
            half //= 2
        return self.builder.extract_element(value, ir.Constant(_I32, 0))

    def write_mask(self, value: Any, limit: Any, mask: Any, offset: int = 0) -> None:
        """Store a bit for every lane: whether `value` is within `limit`."""
        bits = self.builder.bitcast(self.builder.fcmp_ordered("<=", value, limit), ir.IntType(LANES))
        self.builder.store(bits, self.at(mask, offset))

    def widened(self, path: Any, ratio: Any, extra: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(path, ratio), extra)

    def squared_distances(self, points: Any, first: int, n_points: int, panel: Any, n_features: Any) -> list[Any]:
        """Of some points of a panel to all of another."""
        may_fuse = ("contract",)
        zeros = ir.Constant(self.vector, [0.0] * LANES)
        sums = [cgutils.alloca_once(self.builder, self.vector) for _ in range(n_points)]  # type: ignore[no-untyped-call]  # numba has no types
        for each in sums:
            self.builder.store(zeros, each)
        with cgutils.for_range(self.builder, n_features) as loop:
            offset = self.builder.mul(loop.index, ir.Constant(_I64, LANES))
            column = self.load(panel, offset)
            for r, each in enumerate(sums, first):
                value = self.spread_of(points, self.builder.add(offset, ir.Constant(_I64, r)))
                difference = self.builder.fsub(column, value)
                square = self.builder.fmul(difference, difference, flags=may_fuse)
                self.builder.store(self.builder.fadd(self.builder.load(each), square, flags=may_fuse), each)
        return [self.builder.load(each) for each in sums]


def _reach_tile(
    _context: Any,
    a: Any,
    _b: Any,
    _n_features: Any,
    _inner: Any,
    _core_a: Any,
    _core_b: Any,
    _rows: Any,
    _columns: Any,
    ratio: Any,
    _extra: Any,
    mask: Any,
) -> Any:
    signature = ratio(a, a, types.intp, a, a, a, a, a, ratio, ratio, mask)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        left, right, n_features, inner, core_a, core_b, rows, columns, ratio, extra, masks = arguments
        lanes = _Lanes(builder, left.type.pointee, only_positive=True)
        ratio, extra = lanes.spread(ratio), lanes.spread(extra)
        core, column = lanes.load(core_b), lanes.load(columns)
        wide_core, before = lanes.widened(core, ratio, extra), lanes.widened(column, ratio, extra)
        for first in range(0, LANES, lanes.rows_at_once):
            squared = lanes.squared_distances(left, first, lanes.rows_at_once, right, n_features)
            for r, g in enumerate(squared, first):
                core_r = lanes.spread_of(core_a, r)
                reach = lanes.least(lanes.load(rows, r * LANES), lanes.greatest(g, core))
                lanes.store(reach, rows, r * LANES)
                column = lanes.least(column, lanes.greatest(g, core_r))
                through_b = lanes.greatest(lanes.spread_of(inner, r), wide_core)
                through_a = lanes.greatest(before, lanes.spread_of(inner, LANES + r))
                lanes.write_mask(g, lanes.least(through_b, through_a), masks, r)
        lanes.store(column, columns)
        return lanes.reduce(lanes.greatest, column)

    return signature, generate


def _visit_panel(
    _context: Any,
    point: Any,
    _panel: Any,
    _n_features: Any,
    _near: Any,
    _taken: Any,
    _path: Any,
    _gate: Any,
    join: Any,
    _ratio: Any,
    _extra: Any,
    _ends: Any,
    mask: Any,
) -> Any:
    signature = types.void(point, point, types.intp, point, point, point, point, join, join, join, point, mask)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> None:
        point, panel, n_features, near_at, taken_at, path_at, gate_at, join, ratio, extra, ends, mask = arguments
        lanes = _Lanes(builder, point.type.pointee)
        (g,) = lanes.squared_distances(point, 0, 1, panel, n_features)
        near = lanes.least(lanes.load(near_at), g)
        path = lanes.greatest(lanes.load(path_at), builder.fadd(lanes.load(gate_at), lanes.spread(join)))
        lanes.store(near, near_at)
        lanes.store(path, path_at)
        lanes.write_mask(g, lanes.widened(path, lanes.spread(ratio), lanes.spread(extra)), mask)
        taken = lanes.load(taken_at)
        nearest = lanes.reduce(lanes.least, builder.fadd(near, taken))
        farthest = lanes.reduce(lanes.greatest, lanes.greatest(path, builder.fsub(near, taken)))
        builder.store(nearest, lanes.at(ends, 0))
        builder.store(farthest, lanes.at(ends, 1))

    return signature, generate


reach_tile: Callable[..., Any] = intrinsic(_reach_tile)
"""All distances between panels a and b, taken into account in the reaches of both:
``(a, b, n_features, widened_a, core_a, core_b, row_reach, column_reach, ratio, extra, mask)``.

Panels hold feature after feature, 16 numbers each; ``row_reach (16, 16)`` keeps a lane for each column. ``mask (16,)``
uint16 becomes, row by row, the columns whose edge the paths of `hpcore._strips_cpu` do not exclude. Paths are compared
when they have been widened; ``widened_a (2, 16)`` holds those from a to the core of b, and to the core of a, without
their last steps. Returns the largest of the new ``column_reach``.
"""

visit_panel: Callable[..., None] = intrinsic(_visit_panel)
"""The step of Prim's algorithm from one point, of a panel, to all of a panel:
``(point, panel, n_features, near, taken, path, gate, join, ratio, extra, ends, mask)``.

``ends`` becomes the least distance of a point that is not in the tree, and the largest number that an edge to this
panel must not exceed to matter; ``mask`` the points whose edge the paths do not exclude.
"""
