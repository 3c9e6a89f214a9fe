"""The few instructions that matter: vectorisable minima, register tiles of 16-bit products and squared differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
"""Rows of a packed panel; one 512-bit or two 256-bit registers of 32-bit sums."""

HAS_WIDE_REGISTERS = bool(llvmlite.binding.get_host_cpu_features().get("avx512bw", False))
# Rows and panels of a register tile: 16 of 32 wide, or 8 of 16 narrow registers hold sums; the rest feed them.
TILE_ROWS, TILE_PANELS = (8, 2) if HAS_WIDE_REGISTERS else (4, 1)
GROUP = TILE_PANELS * LANES
"""Rows and columns of a block are padded to a multiple of this, which `TILE_ROWS` divides."""


def _select(predicate: str) -> Any:
    """A choice that LLVM recognises as a packed minimum or maximum: no NaN ever comes here, and -0 equals 0."""

    def choose(_context: Any, left: Any, right: Any) -> Any:
        if left != right or not isinstance(left, types.Float):
            return None

        def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
            a, b = arguments
            flags = ("nnan", "nsz")
            return builder.select(builder.fcmp_ordered(predicate, a, b, flags=flags), a, b, flags=flags)

        return left(left, right), generate

    return choose


def _tile_product(
    _context: Any, a: Any, _a_row: Any, b: Any, _b_stride: Any, _n_steps: Any, _is_first: Any, out: Any, _o: Any
) -> Any:
    signature = types.void(a, types.intp, b, types.intp, types.intp, types.boolean, out, types.intp)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> None:
        a_pointer, a_first, b_pointer, b_step, steps, is_first, o_pointer, o_step = arguments
        i32, i64 = ir.IntType(32), ir.IntType(64)
        words, wide = (ir.VectorType(ir.IntType(bits), 2 * LANES) for bits in (16, 32))
        sums = ir.VectorType(i32, LANES)
        even, odd = (ir.Constant(sums, list(range(first, 2 * LANES, 2))) for first in (0, 1))
        same, nothing = ir.Constant(sums, [0] * LANES), ir.Constant(sums, ir.Undefined)
        zeros, begins = ir.Constant(sums, [0] * LANES), builder.trunc(is_first, ir.IntType(1))

        def load(pointer: Any, place: Any, kind: Any, align: int) -> Any:
            return builder.load(builder.bitcast(builder.gep(pointer, [place]), kind.as_pointer()), align=align)

        def output(i: int, j: int) -> Any:
            place = builder.add(builder.mul(o_step, ir.Constant(i64, i)), ir.Constant(i64, j * LANES))
            return builder.bitcast(builder.gep(o_pointer, [place]), sums.as_pointer())

        cells = {}
        for key in [(i, j) for i in range(TILE_ROWS) for j in range(TILE_PANELS)]:
            start = builder.select(begins, zeros, builder.load(output(*key), align=4))
            cells[key] = cgutils.alloca_once_value(builder, start)  # type: ignore[no-untyped-call]  # numba has no types
        with cgutils.for_range(builder, steps) as loop:
            offset = builder.mul(loop.index, ir.Constant(i64, 2 * LANES))
            columns = []
            for j in range(TILE_PANELS):
                place = builder.add(offset, builder.mul(b_step, ir.Constant(i64, j)))
                columns.append(builder.sext(load(b_pointer, place, words, 2), wide))
            for i in range(TILE_ROWS):
                row = builder.add(a_first, ir.Constant(i64, i))
                pair = load(a_pointer, builder.add(offset, builder.shl(row, ir.Constant(i64, 1))), i32, 2)
                spread = builder.insert_element(nothing, pair, ir.Constant(i32, 0))
                factors = builder.sext(builder.bitcast(builder.shuffle_vector(spread, nothing, same), words), wide)
                for j in range(TILE_PANELS):
                    products = builder.mul(factors, columns[j])
                    halves = [builder.shuffle_vector(products, ir.Constant(wide, ir.Undefined), h) for h in (even, odd)]
                    builder.store(builder.add(builder.load(cells[i, j]), builder.add(*halves)), cells[i, j])
        for key, cell in cells.items():
            builder.store(builder.load(cell), output(*key), align=4)

    return signature, generate


def _squared_tile(
    _context: Any, a: Any, _a_stride: Any, b: Any, _b_stride: Any, _n_features: Any, _is_first: Any, out: Any, _o: Any
) -> Any:
    signature = types.void(a, types.intp, b, types.intp, types.intp, types.boolean, out, types.intp)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> None:
        a_pointer, a_step, b_pointer, b_step, features, is_first, o_pointer, o_step = arguments
        number, i32, i64 = a_pointer.type.pointee, ir.IntType(32), ir.IntType(64)
        align, width = (4, LANES) if isinstance(number, ir.FloatType) else (8, LANES // 2)
        vector, may_fuse = ir.VectorType(number, width), ("contract",)
        same, nothing = ir.Constant(ir.VectorType(i32, width), [0] * width), ir.Constant(vector, ir.Undefined)
        zeros = ir.Constant(vector, [0.0] * width)

        def place(pointer: Any, row: Any, step: Any, column: int) -> Any:
            offset = builder.add(builder.mul(step, row), ir.Constant(i64, column * width))
            return builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())

        def output(i: int, j: int) -> Any:
            return place(o_pointer, ir.Constant(i64, i), o_step, j)

        cells = {}
        begins = builder.trunc(is_first, ir.IntType(1))
        for key in [(i, j) for i in range(TILE_ROWS) for j in range(TILE_PANELS)]:
            start = builder.select(begins, zeros, builder.load(output(*key), align=align))
            cells[key] = cgutils.alloca_once_value(builder, start)  # type: ignore[no-untyped-call]  # numba has no types
        with cgutils.for_range(builder, features) as loop:
            columns = [builder.load(place(b_pointer, loop.index, b_step, j), align=align) for j in range(TILE_PANELS)]
            for i in range(TILE_ROWS):
                offset = builder.add(builder.mul(a_step, ir.Constant(i64, i)), loop.index)
                value = builder.load(builder.gep(a_pointer, [offset]))
                spread = builder.insert_element(nothing, value, ir.Constant(i32, 0))
                spread = builder.shuffle_vector(spread, nothing, same)
                for j in range(TILE_PANELS):
                    difference = builder.fsub(columns[j], spread)
                    square = builder.fmul(difference, difference, flags=may_fuse)
                    total = builder.fadd(builder.load(cells[i, j]), square, flags=may_fuse)
                    builder.store(total, cells[i, j])
        for key, cell in cells.items():
            builder.store(builder.load(cell), output(*key), align=align)

    return signature, generate


def _lane_sums(_context: Any, x: Any, y: Any, _n_steps: Any, out: Any) -> Any:
    signature = types.void(x, y, types.intp, out)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> None:
        x_pointer, y_pointer, steps, o_pointer = arguments
        number, exact = x_pointer.type.pointee, ir.VectorType(ir.DoubleType(), LANES)
        vector, align = ir.VectorType(number, LANES), 4 if isinstance(number, ir.FloatType) else 8
        sums = cgutils.alloca_once_value(builder, ir.Constant(exact, [0.0] * LANES))  # type: ignore[no-untyped-call]  # numba has no types
        with cgutils.for_range(builder, steps) as loop:
            offset = builder.mul(loop.index, ir.Constant(ir.IntType(64), LANES))
            values = []
            for pointer in (x_pointer, y_pointer):
                place = builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())
                value = builder.load(place, align=align)
                values.append(value if vector == exact else builder.fpext(value, exact))
            difference = builder.fsub(*values)
            square = builder.fmul(difference, difference)  # no flags: never fused, so the same everywhere
            builder.store(builder.fadd(builder.load(sums), square), sums)
        builder.store(builder.load(sums), builder.bitcast(o_pointer, exact.as_pointer()), align=8)

    return signature, generate


def _address(_context: Any, array: Any, _index: Any) -> Any:
    signature = types.CPointer(array.dtype)(array, types.intp)  # type: ignore[no-untyped-call]  # numba has no types

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return signature, generate


def _count_trailing_zeros(_context: Any, _bits: Any) -> Any:
    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.intp(types.uint64), generate


least: Callable[[Any, Any], Any] = intrinsic(_select("<"))
greatest: Callable[[Any, Any], Any] = intrinsic(_select(">"))

trailing_zeros: Callable[..., Any] = intrinsic(_count_trailing_zeros)
"""Place of the lowest bit of a uint64 that is set; 64 where none is."""

address: Callable[..., Any] = intrinsic(_address)
"""Pointer to an element of a contiguous array, counted flat."""

add_tile_product: Callable[..., None] = intrinsic(_tile_product)
"""`TILE_ROWS` x (`TILE_PANELS` · `LANES`) dot products: ``(a, a_row, b, b_stride, n_steps, is_first, out, o_stride)``.

``a``, ``b`` point at packed panels ``[step][row][2]`` of int16, ``a_row`` is the first row in a's panel; ``b_stride``
counts int16 between panels, ``o_stride`` int32 between rows of ``out``, to which the products are added, or which
they begin. Widen, multiply and add the two neighbours:
this matches ``vpmaddwd`` (or ``vpdpwssd``) where the processor has it, and is correct elsewhere.
"""

add_squared_differences: Callable[..., None] = intrinsic(_squared_tile)
"""Squared distances of `TILE_ROWS` points to `TILE_PANELS` registers of others, all float32 or all float64:
``(a, a_stride, b, b_stride, n_features, is_first, out, o_stride)``.

``a`` holds points in rows, ``b`` in columns; strides count numbers between rows of ``a``, ``b`` and ``out``, to which
the distances are added, or from which they begin. A register holds `LANES` float32 or half as many float64.
"""

fill_lane_sums: Callable[..., None] = intrinsic(_lane_sums)
"""Fill `LANES` float64 sums with ``Σ (x[k] - y[k])²`` over every 16th k: ``(x, y, n_steps, out)``, 16 a step."""
