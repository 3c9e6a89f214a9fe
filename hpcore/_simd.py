"""The few instructions that matter: vectorisable minima, and a register tile of 16-bit dot products."""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
"""Rows of a packed panel; one 512-bit or two 256-bit registers of 32-bit sums."""

_HAS_WIDE_REGISTERS = bool(llvmlite.binding.get_host_cpu_features().get("avx512bw", False))
# Rows and panels of a register tile: 16 of 32 wide, or 8 of 16 narrow registers hold sums; the rest feed them.
TILE_ROWS, TILE_PANELS = (8, 2) if _HAS_WIDE_REGISTERS else (4, 1)


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


least = intrinsic(_select("<"))
greatest = intrinsic(_select(">"))


@intrinsic
def add_tile_product(_context: Any, a: Any, a_row: Any, b: Any, b_stride: Any, n_steps: Any, out: Any, o_stride: Any) -> Any:
    """Add `TILE_ROWS` x (`TILE_PANELS` · `LANES`) dot products to `out`.

    ``a``, ``b`` point at packed panels ``[step][row][2]`` of int16, ``a_row`` is the first row in a's panel;
    ``b_stride`` counts int16 between panels, ``o_stride`` int32 between output rows. Multiply, widen and add the two
    neighbours: this is matched to ``vpmaddwd`` (or ``vpdpwssd``) where the processor has it, and is correct elsewhere.
    """
    signature = types.void(a, types.intp, b, types.intp, types.intp, out, types.intp)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        a_pointer, a_first, b_pointer, b_step, steps, o_pointer, o_step = arguments
        i16, i32, i64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
        words, sums = ir.VectorType(i16, 2 * LANES), ir.VectorType(i32, LANES)
        wide = ir.VectorType(i32, 2 * LANES)
        zero = ir.Constant(i32, 0)
        even = ir.Constant(sums, list(range(0, 2 * LANES, 2)))
        odd = ir.Constant(sums, list(range(1, 2 * LANES, 2)))
        same = ir.Constant(sums, [0] * LANES)

        def tile_pointer(i: int, j: int) -> Any:
            place = builder.add(builder.mul(o_step, ir.Constant(i64, i)), ir.Constant(i64, j * LANES))
            return builder.bitcast(builder.gep(o_pointer, [place]), sums.as_pointer())

        tile = [(i, j) for i in range(TILE_ROWS) for j in range(TILE_PANELS)]
        cells = {key: cgutils.alloca_once_value(builder, builder.load(tile_pointer(*key), align=4)) for key in tile}
        with cgutils.for_range(builder, steps) as loop:
            offset = builder.mul(loop.index, ir.Constant(i64, 2 * LANES))
            columns = []
            for j in range(TILE_PANELS):
                place = builder.add(offset, builder.mul(b_step, ir.Constant(i64, j)))
                packed = builder.load(builder.bitcast(builder.gep(b_pointer, [place]), words.as_pointer()), align=2)
                columns.append(builder.sext(packed, wide))
            for i in range(TILE_ROWS):
                row = builder.add(a_first, ir.Constant(i64, i))
                place = builder.add(offset, builder.shl(row, ir.Constant(i64, 1)))
                pair = builder.load(builder.bitcast(builder.gep(a_pointer, [place]), i32.as_pointer()), align=2)
                spread = builder.insert_element(ir.Constant(sums, ir.Undefined), pair, zero)
                spread = builder.shuffle_vector(spread, ir.Constant(sums, ir.Undefined), same)
                factors = builder.sext(builder.bitcast(spread, words), wide)
                for j in range(TILE_PANELS):
                    products = builder.mul(factors, columns[j])
                    halves = [builder.shuffle_vector(products, ir.Constant(wide, ir.Undefined), half) for half in (even, odd)]
                    cell = cells[i, j]
                    builder.store(builder.add(builder.load(cell), builder.add(*halves)), cell)
        for key in tile:
            builder.store(builder.load(cells[key]), tile_pointer(*key), align=4)
        return None

    return signature, generate
