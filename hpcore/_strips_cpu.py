"""A block a strip of rows at a time: distances go through the filter's first pass while they are in the cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcore._block_cpu import CHUNK, improve_bottlenecks, list_candidates
from hpcore._jit import kernel
from hpcore._products_cpu import STRIP, begin_products, end_products


class Known(NamedTuple):
    """A block with its bounds and cores, the pairs in it, and what is known of each; see `improve_reaches`."""

    block: NDArray[Any]
    rows: NDArray[Any]
    columns: NDArray[Any]
    row_core: NDArray[Any]
    column_core: NDArray[Any]
    spans: NDArray[np.intp]
    reach_at: NDArray[np.intp]
    row_reach: NDArray[Any]
    column_reach: NDArray[Any]
    bridge: NDArray[Any]
    nearest: NDArray[Any]
    nearest_at: NDArray[np.intp]


@kernel()
def improve_reaches(left: NDArray[Any] | None, right: Any, known: Known) -> None:
    """Fill the block from packed panels (None: it is full) and take it into account in the reaches of all pairs.

    Between two sets of points, given a tree in either: ``core`` is the longest edge on the path from a point to the
    core of its own tree. ``row_reach[a]``: the least, over the column points b' seen so far, of the longest edge of
    a → b' → core of b's tree; `column_reach` likewise; ``bridge``: the least such value from core to core.

    Many pairs of sets share the block: pair p has the rows ``spans[p, 0]:spans[p, 1]`` and the columns
    ``spans[p, 2]:spans[p, 3]``; its reaches begin at ``reach_at[p]``. They start at infinity and are improved in place,
    block by block. ``nearest[nearest_at[p]:nearest_at[p + 1]]`` becomes, row by row, the `nearest` of
    `hpcore._block_cpu.improve_bottlenecks`.
    """
    block, spans, reach_at = known.block, known.spans, known.reach_at
    if left is not None:
        begin_products(left, right, block)
    for first in range(0, block.shape[0], STRIP):
        last = min(block.shape[0], first + STRIP)
        if left is not None:
            end_products(left, right, block, first, last)
        for p in range(spans.shape[0]):
            span = spans[p]
            begin, end = max(first, span[0]), min(last, span[1])
            if begin >= end:
                continue
            skip, stop = begin - span[0], end - span[0]
            n_columns = span[3] - span[2]
            n_chunks = (n_columns + CHUNK - 1) // CHUNK
            at = known.nearest_at[p]
            known.bridge[p] = improve_bottlenecks(
                block,
                known.rows,
                known.columns,
                (begin, end, span[2], span[3]),
                known.row_core,
                known.column_core,
                known.row_reach[reach_at[p, 0] + skip : reach_at[p, 0] + stop],
                known.column_reach[reach_at[p, 1] : reach_at[p, 1] + n_columns],
                known.bridge[p],
                known.nearest[at + skip * n_chunks : at + stop * n_chunks].reshape((end - begin, n_chunks)),
            )


@kernel()
def cross_candidates(
    known: Known,
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
    spans, reach_at = known.spans, known.reach_at
    used = 0
    for p in range(pair):
        used += max(found[p], 0)
    for p in range(pair, spans.shape[0]):
        if u.shape[0] - used < most[p]:
            return p
        span = spans[p]
        n_rows, n_columns = span[1] - span[0], span[3] - span[2]
        here = slice(used, used + most[p])
        nearest = known.nearest[known.nearest_at[p] : known.nearest_at[p + 1]]
        found[p] = list_candidates(
            known.block,
            known.rows,
            known.columns,
            (span[0], span[1], span[2], span[3]),
            known.row_core,
            known.column_core,
            known.row_reach[reach_at[p, 0] : reach_at[p, 0] + n_rows],
            known.column_reach[reach_at[p, 1] : reach_at[p, 1] + n_columns],
            known.bridge[p],
            nearest.reshape((n_rows, (n_columns + CHUNK - 1) // CHUNK)),
            u[here],
            v[here],
        )
        if found[p] > most[p]:
            found[p] = -1
        used += max(found[p], 0)
    return len(spans)
