"""A block a strip of rows at a time: distances go through the filter's first pass while they are in the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from hpcore._block_cpu import CHUNK, direct_distances, improve_bottlenecks, list_candidates
from hpcore._fixed_point_cpu import PANEL, inner_products
from hpcore._jit import kernel

_STRIP = 128  # rows; half a megabyte of distances
Operand = NDArray[Any] | None


def _fill_rows(left: Operand, right: Operand, block: NDArray[Any], first: int, last: int) -> None:
    """Compute some rows of a block from packed panels, or from points in rows and columns; None: they are there."""
    raise NotImplementedError  # compiled code only


@overload(_fill_rows)
def _fill_rows_of(left: Any, right: Any, block: Any, first: Any, last: Any) -> Callable[..., None]:  # noqa: ARG001  # numba wants the same names
    def products(left: Any, right: Any, block: Any, first: Any, last: Any) -> None:
        inner_products(left[first // PANEL : last // PANEL], right, block[first:last])

    def differences(left: Any, right: Any, block: Any, first: Any, last: Any) -> None:
        direct_distances(left[first:last], right, block[first:last], True)

    def nothing(left: Any, right: Any, block: Any, first: Any, last: Any) -> None:
        pass

    if isinstance(left, types.NoneType):
        return nothing
    return products if left.ndim == 4 else differences


@kernel()
def improve_reaches(
    left: Operand,
    right: Operand,
    block: NDArray[Any],
    rows: NDArray[Any],
    columns: NDArray[Any],
    row_core: NDArray[Any],
    column_core: NDArray[Any],
    spans: NDArray[np.intp],
    reach_at: NDArray[np.intp],
    row_reach: NDArray[Any],
    column_reach: NDArray[Any],
    bridge: NDArray[Any],
    lowest: NDArray[Any],
    lowest_at: NDArray[np.intp],
) -> None:
    """Fill the block from `left` and `right` and take it into account in the reaches of all pairs.

    Between two sets of points, given a tree in either: ``core`` is the longest edge on the path from a point to the
    core of its own tree. ``row_reach[a]``: the least, over the column points b' seen so far, of the longest edge of
    a → b' → core of b's tree; `column_reach` likewise; ``bridge``: the least such value from core to core.

    Many pairs of sets share the block: pair p has the rows ``spans[p, 0]:spans[p, 1]`` and the columns
    ``spans[p, 2]:spans[p, 3]``; its reaches begin at ``reach_at[p]``. They start at infinity and are improved in place,
    block by block. ``lowest[lowest_at[p]:lowest_at[p + 1]]`` becomes, row by row, the least lower bound of each chunk.
    """
    for first in range(0, block.shape[0], _STRIP):
        last = min(block.shape[0], first + _STRIP)
        _fill_rows(left, right, block, first, last)
        for p in range(spans.shape[0]):
            span = spans[p]
            begin, end = max(first, span[0]), min(last, span[1])
            if begin >= end:
                continue
            skip, stop = begin - span[0], end - span[0]
            n_columns = span[3] - span[2]
            n_chunks = (n_columns + CHUNK - 1) // CHUNK
            of_pair = lowest[lowest_at[p] + skip * n_chunks : lowest_at[p] + stop * n_chunks]
            bridge[p] = improve_bottlenecks(
                block,
                rows,
                columns,
                (begin, end, span[2], span[3]),
                row_core,
                column_core,
                row_reach[reach_at[p, 0] + skip : reach_at[p, 0] + stop],
                column_reach[reach_at[p, 1] : reach_at[p, 1] + n_columns],
                bridge[p],
                of_pair.reshape((end - begin, n_chunks)),
            )


@kernel()
def cross_candidates(
    block: NDArray[Any],
    rows: NDArray[Any],
    columns: NDArray[Any],
    row_core: NDArray[Any],
    column_core: NDArray[Any],
    spans: NDArray[np.intp],
    reach_at: NDArray[np.intp],
    row_reach: NDArray[Any],
    column_reach: NDArray[Any],
    bridge: NDArray[Any],
    lowest: NDArray[Any],
    lowest_at: NDArray[np.intp],
    most: NDArray[np.intp],
    u: NDArray[np.int32],
    v: NDArray[np.int32],
    found: NDArray[np.intp],
    pair: int,
) -> int:
    """Edges between two sets of points that may lie in a minimum tree over both, after `improve_reaches`.

    Between a and b there are the paths

        a → core → bridge → core → b         longest edge at most  max(core_a, bridge, core_b)
        a → b' → core → b                    longest edge at most  max(row_reach_a, core_b)
        b → a' → core → a                    longest edge at most  max(column_reach_b, core_a)

    and an edge with a lower bound above the least of the three lies in no minimum tree.

    ``found[p]`` becomes the number of candidates, or -1 where they exceed ``most[p]``. Begins with `pair`; returns the
    first pair for which `u`, `v` have no room, else the number of pairs.
    """
    used = 0
    for p in range(pair):
        used += max(found[p], 0)
    for p in range(pair, spans.shape[0]):
        if u.shape[0] - used < most[p]:
            return p
        span = spans[p]
        n_rows, n_columns = span[1] - span[0], span[3] - span[2]
        here = slice(used, used + most[p])
        found[p] = list_candidates(
            block,
            rows,
            columns,
            (span[0], span[1], span[2], span[3]),
            row_core,
            column_core,
            row_reach[reach_at[p, 0] : reach_at[p, 0] + n_rows],
            column_reach[reach_at[p, 1] : reach_at[p, 1] + n_columns],
            bridge[p],
            lowest[lowest_at[p] : lowest_at[p + 1]].reshape((n_rows, (n_columns + CHUNK - 1) // CHUNK)),
            u[here],
            v[here],
        )
        if found[p] > most[p]:
            found[p] = -1
        used += max(found[p], 0)
    return len(spans)
