"""The few instructions that matter: vectorisable minima, register tiles of products and of squared differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
"""Rows of a packed panel; one 512-bit or two 256-bit registers of 32-bit sums."""


def _has(feature: str) -> bool:
    """Whether code is made for processors that have it: this one, unless numba was told otherwise."""
    told = numba.config.CPU_FEATURES  # type: ignore[attr-defined]  # it is read from the environment
    if told is None:
        return bool(llvmlite.binding.get_host_cpu_features().get(feature, False))
    return f"+{feature}" in told.split(",")


HAS_WIDE_REGISTERS = _has("avx512bw")
HAS_BYTE_PRODUCTS = (
    HAS_WIDE_REGISTERS
    and _has("avx512vnni")
    and llvmlite.binding.llvm_version_info[0] >= 22  # before, the operands were declared as 32-bit numbers
)
"""Whether an instruction adds four products of 8-bit numbers at a time: twice as fast as products of 16 bits."""
# Rows and panels of a register tile: 16 of 32 wide, or 8 of 16 narrow registers hold sums; the rest feed them.
TILE_ROWS, TILE_PANELS = (8, 2) if HAS_WIDE_REGISTERS else (4, 1)
GROUP = TILE_PANELS * LANES
"""Rows and columns of a block of differences are padded to a multiple of this, which `TILE_ROWS` divides."""


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


def _tile_product(n_panels: int) -> Any:
    def tile(_: Any, a: Any, _a_row: Any, b: Any, _b_stride: Any, _n_steps: Any, _start: Any, out: Any, _o: Any) -> Any:
        signature = types.void(a, types.intp, b, types.intp, types.intp, types.intp, out, types.intp)

        def generate(_: Any, builder: Any, __: Any, arguments: Any) -> None:
            a_pointer, a_first, b_pointer, b_step, steps, start, o_pointer, o_step = arguments
            number, i32, i64 = a_pointer.type.pointee, ir.IntType(32), ir.IntType(64)
            is_whole = isinstance(number, ir.IntType)
            word_type, per_word = (i32, 32 // number.width) if is_whole else (number, 1)
            lanes = LANES // 2 if isinstance(number, ir.DoubleType) else LANES
            words, sums = ir.VectorType(number, per_word * lanes), ir.VectorType(word_type, lanes)
            same, nothing = ir.Constant(ir.VectorType(i32, lanes), [0] * lanes), ir.Constant(sums, ir.Undefined)

            def load(pointer: Any, place: Any, kind: Any, align: int) -> Any:
                return builder.load(builder.bitcast(builder.gep(pointer, [place]), kind.as_pointer()), align=align)

            def output(i: int, j: int) -> Any:
                place = builder.add(builder.mul(o_step, ir.Constant(i64, i)), ir.Constant(i64, j * lanes))
                return builder.bitcast(builder.gep(o_pointer, [place]), sums.as_pointer())

            def panel(j: int, offset: Any) -> Any:
                return builder.add(offset, builder.mul(b_step, ir.Constant(i64, j)))

            cells = {(i, j): cgutils.alloca_once(builder, sums) for i in range(TILE_ROWS) for j in range(n_panels)}  # type: ignore[no-untyped-call]  # numba has no types
            for key, cell in cells.items():
                builder.store(ir.Constant(sums, None), cell)
                _will_be_written(builder, output(*key))
            with cgutils.for_range(builder, steps) as loop:
                offset = builder.mul(loop.index, ir.Constant(i64, per_word * lanes))
                columns = [load(b_pointer, panel(j, offset), words, 2) for j in range(n_panels)]
                for i in range(TILE_ROWS):
                    row = builder.mul(builder.add(a_first, ir.Constant(i64, i)), ir.Constant(i64, per_word))
                    word = load(a_pointer, builder.add(offset, row), word_type, 2)
                    if is_whole and number.width == 8:
                        word = builder.xor(word, ir.Constant(i32, 0x80808080))  # q + 128, without a sign
                    spread = builder.insert_element(nothing, word, ir.Constant(i32, 0))
                    factors = builder.bitcast(builder.shuffle_vector(spread, nothing, same), words)
                    for j in range(n_panels):
                        total = _add_products(builder, builder.load(cells[i, j]), factors, columns[j])
                        builder.store(total, cells[i, j])
            add = builder.add if is_whole else builder.fadd
            begins = builder.icmp_signed(">=", start, ir.Constant(i64, 0))
            start = builder.select(begins, start, ir.Constant(i64, 0))
            for (i, j), cell in cells.items():
                first = builder.bitcast(builder.gep(b_pointer, [panel(j, start)]), sums.as_pointer())
                before = builder.load(builder.select(begins, first, output(i, j)), align=2)
                builder.store(add(builder.load(cell), before), output(i, j), align=4)

        return signature, generate

    return tile


def _will_be_written(builder: Any, pointer: Any) -> None:
    """Have the processor fetch what is written some thousand cycles later."""
    i8p, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    signature = ir.FunctionType(ir.VoidType(), [i8p, i32, i32, i32])
    options = (ir.Constant(i32, number) for number in (1, 3, 1))  # to write, into the nearest cache, data
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", (i8p,), signature)
    builder.call(prefetch, [builder.bitcast(pointer, i8p), *options])


def _add_products(builder: Any, total: Any, left: Any, right: Any) -> Any:
    """Add the products of neighbouring numbers, two of 16 bits or four of 8, to each 32-bit sum; of floats, one to one.

    Numbers of 16 bits are widened, multiplied and added, which LLVM matches to ``vpmaddwd`` or ``vpdpwssd``. Of 8 bits,
    the left ones have no sign; their instruction has to be named, and is where there is `HAS_BYTE_PRODUCTS`.
    """
    sums = total.type
    if sums == left.type:
        return builder.fadd(total, builder.fmul(left, right, flags=("contract",)), flags=("contract",))
    narrow = left.type.element.width == 8
    if narrow and HAS_BYTE_PRODUCTS:
        bytes_ = ir.VectorType(ir.IntType(8), 4 * LANES)
        name, kind = "llvm.x86.avx512.vpdpbusd.512", ir.FunctionType(sums, [sums, bytes_, bytes_])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [total, left, right])  # type: ignore[no-untyped-call]  # numba has no types
    n = left.type.count
    wide = ir.VectorType(ir.IntType(32), n)
    products = builder.mul((builder.zext if narrow else builder.sext)(left, wide), builder.sext(right, wide))
    per_word = n // LANES
    parts = [ir.Constant(sums, list(range(first, n, per_word))) for first in range(per_word)]
    of_parts = [builder.shuffle_vector(products, ir.Constant(wide, ir.Undefined), part) for part in parts]
    while len(of_parts) > 1:
        of_parts = [builder.add(*pair) for pair in zip(of_parts[::2], of_parts[1::2], strict=True)]
    return builder.add(total, of_parts[0])


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


def _transposed(_context: Any, source: Any, _s_stride: Any, out: Any, _o_stride: Any) -> Any:
    signature = types.void(source, types.intp, out, types.intp)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> None:
        s_pointer, s_step, o_pointer, o_step = arguments
        number, i32, i64 = s_pointer.type.pointee, ir.IntType(32), ir.IntType(64)
        lanes = LANES // 2 if isinstance(number, ir.DoubleType) else LANES
        vector = ir.VectorType(number, lanes)

        def row(pointer: Any, step: Any, i: int) -> Any:
            return builder.bitcast(builder.gep(pointer, [builder.mul(step, ir.Constant(i64, i))]), vector.as_pointer())

        rows = [builder.load(row(s_pointer, s_step, i), align=4) for i in range(lanes)]
        for bit in (1 << power for power in range(lanes.bit_length() - 1)):  # exchange two quarters of every square
            upper = [k + lanes - bit if k & bit else k for k in range(lanes)]
            lower = [k + lanes if k & bit else k + bit for k in range(lanes)]
            for i in (i for i in range(lanes) if not i & bit):
                pair = rows[i], rows[i + bit]
                for place, chosen in ((i, upper), (i + bit, lower)):
                    rows[place] = builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(i32, lanes), chosen))
        for i, values in enumerate(rows):
            builder.store(values, row(o_pointer, o_step, i), align=4)

    return signature, generate


def _address(_context: Any, array: Any, _index: Any) -> Any:
    signature = types.CPointer(array.dtype)(array, types.intp)  # type: ignore[no-untyped-call]  # numba has no types

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return signature, generate


def _lanes_not_negative(_context: Any, x: Any) -> Any:
    signature = types.uint64(x)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        number = arguments[0].type.pointee
        vector, align = ir.VectorType(number, LANES), 4 if isinstance(number, ir.FloatType) else 8
        values = builder.load(builder.bitcast(arguments[0], vector.as_pointer()), align=align)
        bits = builder.fcmp_ordered(">=", values, ir.Constant(vector, [0.0] * LANES))
        return builder.zext(builder.bitcast(bits, ir.IntType(LANES)), ir.IntType(64))

    return signature, generate


def _count_trailing_zeros(_context: Any, _bits: Any) -> Any:
    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.intp(types.uint64), generate


least: Callable[[Any, Any], Any] = intrinsic(_select("<"))
greatest: Callable[[Any, Any], Any] = intrinsic(_select(">"))

trailing_zeros: Callable[..., Any] = intrinsic(_count_trailing_zeros)
"""Place of the lowest bit of a uint64 that is set; 64 where none is."""

lanes_not_negative: Callable[..., Any] = intrinsic(_lanes_not_negative)
"""A uint64 with a bit for each of the `LANES` numbers from a pointer on: whether it is 0 or more."""

address: Callable[..., Any] = intrinsic(_address)
"""Pointer to an element of a contiguous array, counted flat."""

add_tile_product: Callable[..., None] = intrinsic(_tile_product(TILE_PANELS))
"""`TILE_ROWS` rows by `TILE_PANELS` panels of dot products: ``(a, a_row, b, b_stride, n_steps, start, out, o_stride)``.

``a``, ``b`` point at packed panels ``[step][row][word]``, see `hpcore._products_cpu`; ``a_row`` is the first row in a's
panel; ``b_stride`` counts numbers between panels, ``o_stride`` sums between rows of ``out``. The products are added to
``out`` if `start` is negative; otherwise they are all there is, and `start` is the place in b's panels of what the sums
of each column begin with.
"""

add_last_tile_product: Callable[..., None] = intrinsic(_tile_product(1))
"""The same for one panel, where the number of panels is odd."""

add_squared_differences: Callable[..., None] = intrinsic(_squared_tile)
"""Squared distances of `TILE_ROWS` points to `TILE_PANELS` registers of others, all float32 or all float64:
``(a, a_stride, b, b_stride, n_features, is_first, out, o_stride)``.

``a`` holds points in rows, ``b`` in columns; strides count numbers between rows of ``a``, ``b`` and ``out``, to which
the distances are added, or from which they begin. A register holds `LANES` float32 or half as many float64.
"""

transpose: Callable[..., None] = intrinsic(_transposed)
"""Write a square of `LANES` rows and columns, or half as many of 64 bits, turned: ``(a, a_stride, out, o_stride)``."""

fill_lane_sums: Callable[..., None] = intrinsic(_lane_sums)
"""Fill `LANES` float64 sums with ``Σ (x[k] - y[k])²`` over every 16th k: ``(x, y, n_steps, out)``, 16 a step."""
