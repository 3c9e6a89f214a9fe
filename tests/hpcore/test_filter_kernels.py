"""The kernels that look through a block, against loops over all edges in numbers exact in float32; all vectorised."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from hpcore import _block_cpu, _strips_cpu

Array = NDArray[Any]
INFINITY: Any = np.float32(np.inf)
IMPROVE: Any = _block_cpu.improve_bottlenecks  # called with arguments in bunches, which no type describes
LIST: Any = _block_cpu.list_candidates
KNOWN: Any = _strips_cpu.Known


def bounds_of(rng: np.random.Generator, n: int, share: float) -> Array:
    """Whole numbers; `fall` is `share` times `rise`, as it is everywhere in one block."""
    bounds = np.empty((5, n), np.float32)
    bounds[0] = rng.integers(2000, 4000, n)
    bounds[1] = bounds[0] * np.float32(share) - rng.integers(0, 60, n)
    bounds[2] = rng.choice([-2, -4], n)
    bounds[3] = bounds[2] * np.float32(share)
    bounds[4] = rng.choice([1, 2], n)
    return bounds


def both(rows: Array, columns: Array, block: Array) -> tuple[Array, Array]:
    """Upper and lower bounds of all edges."""
    g = columns[4] * block.astype(np.float32)
    upper = rows[0][:, None] + columns[0] + rows[2][:, None] * g
    return upper, rows[1][:, None] + columns[1] + rows[3][:, None] * g


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("n_rows", [1, 2, 7, 40])
@pytest.mark.parametrize("n_columns", [1, 15, 16, 17, 127, 128, 129, 300])
def test_exactly_the_edges_that_no_path_excludes_are_listed(n_rows: int, n_columns: int, share: float) -> None:
    """In every place of a chunk, for pairs that begin anywhere in a block."""
    rng = np.random.default_rng(n_rows * 1000 + n_columns)
    top, left = 3, 5
    rows, columns = bounds_of(rng, n_rows + 6, share), bounds_of(rng, n_columns + 9, share)
    block = rng.integers(-60, 60, (n_rows + 6, n_columns + 9)).astype(np.int32)
    row_core, column_core = (np.sort(rng.integers(3000, 5600, n)).astype(np.float32) for n in block.shape)
    span = (top, top + n_rows, left, left + n_columns)
    row_reach, column_reach = np.full(n_rows, INFINITY), np.full(n_columns, INFINITY)
    nearest = np.empty((n_rows, -(-n_columns // _block_cpu.CHUNK)), np.float32)
    between: tuple[Any, ...] = (block, rows, columns, span, row_core, column_core, row_reach, column_reach)
    bridge = np.float32(IMPROVE(*between, INFINITY, nearest))

    upper, lower = (each[top : span[1], left : span[3]] for each in both(rows, columns, block))
    core_a, core_b = row_core[top : span[1]], column_core[left : span[3]]
    np.testing.assert_array_equal(row_reach, np.maximum(upper, core_b).min(axis=1))
    assert bridge == np.maximum(core_a, row_reach).min()
    assert (column_reach >= np.maximum(upper, core_a[:, None]).min(axis=0)).all()
    paired = np.maximum(core_a, np.append(core_a[1:], core_a[-1]))  # no more than that of the next row
    assert (column_reach <= np.maximum(upper, paired[:, None]).min(axis=0)).all()

    longest = np.maximum(np.maximum(core_a, bridge)[:, None], core_b)
    longest = np.minimum(longest, np.maximum(row_reach[:, None], core_b))
    longest = np.minimum(longest, np.maximum(column_reach, core_a[:, None]))
    expected = set(zip(*np.nonzero(lower <= longest), strict=True))
    for room in (block.size, 1):
        u, v = np.empty(room, np.int32), np.empty(room, np.int32)
        n_found = LIST(*between, bridge, nearest, u, v)
        assert n_found == len(expected)
        listed = set(zip((u - top)[:n_found].tolist(), (v - left)[:n_found].tolist(), strict=True))
        assert listed == expected if room > 1 else listed <= expected


@pytest.mark.parametrize("n", [2, 15, 16, 17, 127, 128, 129, 300])
def test_the_certificate_lists_exactly_the_edges_in_doubt(n: int) -> None:
    """Against Prim's algorithm with the path between all points: an edge is in doubt if `lower` is within the path."""
    rng = np.random.default_rng(n)
    bounds = bounds_of(rng, n, 1.0)
    bounds[0] += 3000.0  # all upper bounds are positive
    bounds[1] += 2900.0
    block = np.triu(rng.integers(-400, 400, (n, n)), 1)
    block = (block + block.T).astype(np.int32)
    bounds[2:4], bounds[4] = -2.0, 1.0
    upper, lower = both(bounds, bounds, block)
    expected = set()
    order, joins = [0], [0.0]
    near = upper[0].copy()
    while len(order) < n:
        near[order] = INFINITY
        vertex = int(near.argmin())
        joins.append(float(near[vertex]))
        for place, j in enumerate(order):
            if lower[vertex, j] <= max(joins[place + 1 :]):
                expected.add((j, vertex))
        order.append(vertex)
        near = np.minimum(near, upper[vertex])
    u, v = np.empty(n * n, np.int32), np.empty(n * n, np.int32)
    n_found = _block_cpu.tree_candidates(block, bounds, u, v)
    assert set(zip(u[:n_found].tolist(), v[:n_found].tolist(), strict=True)) == expected
    assert n_found == len(expected)


def test_strips_and_pairs_do_not_mix() -> None:
    """Four pairs in a block of several strips (which no two rows that go together straddle): as if each were alone."""
    rng = np.random.default_rng(0)
    n_rows, n_columns = 300, 200
    rows, columns = bounds_of(rng, n_rows, 1.0), bounds_of(rng, n_columns, 1.0)
    block = rng.integers(-60, 60, (n_rows, n_columns)).astype(np.int32)
    row_core, column_core = (rng.integers(3000, 5600, n).astype(np.float32) for n in block.shape)
    spans = np.array([[a, b, c, d] for (a, b), (c, d) in product(((0, 130), (130, 300)), ((0, 50), (50, 200)))])
    sizes = spans[:, 1::2] - spans[:, ::2]
    at = np.cumsum(sizes, axis=0) - sizes
    reaches = [np.full(int(total), INFINITY) for total in sizes.sum(axis=0)]
    chunks = sizes[:, 0] * -(-sizes[:, 1] // _block_cpu.CHUNK)
    nearest_at = np.concatenate(([0], np.cumsum(chunks)))
    known = KNOWN(
        block,
        rows,
        columns,
        row_core,
        column_core,
        spans,
        at,
        *reaches,
        np.full(4, INFINITY),
        np.empty(int(chunks.sum()), np.float32),
        nearest_at,
    )
    _strips_cpu.improve_reaches(None, None, known)
    u, v, n_found = np.empty(block.size, np.int32), np.empty(block.size, np.int32), np.zeros(4, np.intp)
    assert _strips_cpu.cross_candidates(known, sizes.prod(axis=1), u, v, n_found, 0) == 4
    begin = 0
    for p, span in enumerate(spans.tolist()):
        alone = [np.full(size, INFINITY) for size in sizes[p]]
        own = np.empty((sizes[p, 0], -(-sizes[p, 1] // _block_cpu.CHUNK)), np.float32)
        between: tuple[Any, ...] = (block, rows, columns, tuple(span), row_core, column_core, *alone)
        bridge = np.float32(IMPROVE(*between, INFINITY, own))
        x, y = np.empty(block.size, np.int32), np.empty(block.size, np.int32)
        n_alone = LIST(*between, bridge, own, x, y)
        assert known.bridge[p] == bridge
        found = set(zip(u[begin : begin + n_found[p]].tolist(), v[begin : begin + n_found[p]].tolist(), strict=True))
        assert found == set(zip(x[:n_alone].tolist(), y[:n_alone].tolist(), strict=True))
        begin += int(n_found[p])


def test_kernels_are_vectorised() -> None:
    """A lost vectorisation costs a factor of five and is otherwise silent: look for packed minima in machine code."""
    block, bounds, ends = np.zeros((8, 8), np.int32), np.zeros((5, 8), np.float32), np.empty(8, np.int32)
    lengths, span, bridge = np.zeros(8, np.float32), (0, 8, 0, 8), np.float32(0)
    lowest = np.zeros((8, 1), np.float32)
    between = (block, bounds, bounds, span, lengths, lengths, lengths, lengths, bridge)
    functions: list[tuple[Any, tuple[Any, ...]]] = [
        (_block_cpu.tree_candidates, (block, bounds, ends, ends)),
        (_block_cpu.improve_bottlenecks, (*between, lowest)),
        (_block_cpu.list_candidates, (*between, lowest, ends, ends)),
    ]
    for function, arguments in functions:
        fresh = numba.njit(fastmath=set(_block_cpu.ORDERED))(function.py_func)  # cached code cannot be looked into
        fresh(*arguments)
        code = next(iter(fresh.inspect_asm().values()))
        assert re.search(r"v?minps|fminnm|fcmgt", code)
