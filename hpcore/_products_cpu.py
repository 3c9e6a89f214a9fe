"""Inner products of packed rows, a register tile at a time.

A packed array holds panels, ``[panel][step][row][word]``. A step of a panel is 64 bytes: `PANEL` words of 32 bits, one
of each row, or half as many of 64. A word is two int16, four int8, a float32 or a float64. The step after the last
holds what the sums of a column begin with.

Products are int32 for integers, exact where none leaves 32 bits. Those of floats have the type of the rows; at most
each of the d products and each of the d sums is rounded.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hpcore._jit import kernel
from hpcore._simd import LANES, TILE_PANELS, TILE_ROWS, add_last_tile_product, add_tile_product, address, transpose

PANEL = LANES
"""Rows of one panel of 32-bit words."""
STRIP = 128
"""Rows of a block that go together: half a megabyte of products."""

_STEPS = 512  # words of a row per pass: 32 KiB of a panel, which the tiles of a strip read from the nearest caches


@kernel()
def inner_products(left: NDArray[Any], right: NDArray[Any], products: NDArray[Any]) -> None:
    """Fill `products` with the inner products of rows of `left`, a multiple of `TILE_ROWS`, and all rows of `right`."""
    begin_products(left, right, products)
    for first in range(0, products.shape[0], STRIP):
        end_products(left, right, products, first, min(products.shape[0], first + STRIP))


@kernel()
def begin_products(left: NDArray[Any], right: NDArray[Any], products: NDArray[Any]) -> None:
    """All passes over the features but the last, each over the whole block: what it takes of `right` stays cached."""
    n_passes = _passes(left)
    for number in range(n_passes - 1):
        for first in range(0, products.shape[0], STRIP):
            last = min(products.shape[0], first + STRIP)
            _add_pass(left, right, products, (first, last, right.shape[0]), (number, n_passes))


@kernel()
def end_products(left: NDArray[Any], right: NDArray[Any], products: NDArray[Any], first: int, last: int) -> None:
    """The last pass for some rows: from a multiple of `PANEL` to one of `TILE_ROWS`."""
    n_passes = _passes(left)
    _add_pass(left, right, products, (first, last, right.shape[0]), (n_passes - 1, n_passes))


@kernel()
def own_products(panels: NDArray[Any], products: NDArray[Any]) -> None:
    """The inner products of all rows with each other: those up to the diagonal, and their mirror image."""
    n, n_passes = products.shape[0], _passes(panels)
    for number in range(n_passes):
        for first in range(0, n, STRIP):
            _add_pass(panels, panels, products, (first, min(n, first + STRIP), 0), (number, n_passes))
    rows = panels.shape[2]
    for i in range(rows, n, rows):
        for j in range(0, i, rows):
            transpose(address(products, i * n + j), n, address(products, j * n + i), n)


@kernel()
def _passes(panels: NDArray[Any]) -> int:
    return int(max(1, (panels.shape[1] - 2 + _STEPS) // _STEPS))


@kernel()
def _add_pass(
    left: NDArray[Any],
    right: NDArray[Any],
    products: NDArray[Any],
    span: tuple[int, int, int],
    passes: tuple[int, int],
) -> None:
    """One of several passes over the features, for the rows ``span[0]:span[1]``, which `TILE_ROWS` divides.

    Only so many panels of columns take part in all of them; others in the rows from their own on.
    """
    n_steps, rows = left.shape[1] - 1, left.shape[2]
    begin, end = n_steps * passes[0] // passes[1], n_steps * (passes[0] + 1) // passes[1]
    step = rows * left.shape[3]
    size, width = (n_steps + 1) * step, products.shape[1]
    start = n_steps * step if begin == 0 else -1
    first_panel, last_panel, everywhere = span[0] // rows, (span[1] + rows - 1) // rows, span[2]
    for column in range(0, right.shape[0], TILE_PANELS):
        from_column = address(right, column * size + begin * step)
        for panel in range(first_panel if column < everywhere else max(first_panel, column), last_panel):
            from_row = address(left, panel * size + begin * step)
            for row in range(0, min(rows, span[1] - panel * rows), TILE_ROWS):
                to = address(products, (panel * rows + row) * width + column * rows)
                if column + TILE_PANELS <= right.shape[0]:
                    add_tile_product(from_row, row, from_column, size, end - begin, start, to, width)
                else:
                    add_last_tile_product(from_row, row, from_column, size, end - begin, start, to, width)
