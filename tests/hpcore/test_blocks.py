"""Candidates of one block, of every kind: no edge of any minimum tree is missing, however sets lie in the block.

Points have small whole coordinates, so that lengths are exact, many are equal, and bounds by direct differences are so
narrow that an edge one longer than its bottleneck is dropped: nothing is kept by luck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _mst_cpu, _mst_cuda
from hpcore._approximation import Direct, FixedPoint
from hpcore._block_cpu import CHUNK
from hpcore._mst_cpu import Blocks, CpuBlocks, Reaches
from hpcore._mst_cuda import CudaBlocks
from hpcore._strips_cpu import cross_candidates
from tests import oracle
from tests.hpcore.known_pairs import known_of_pairs
from tests.hpcore.single_linkage import longest_on_path, minimal

Rows = NDArray[np.float64]
EVEN_AND_ODD = [1, 2, 3, 40, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 1]
N_FEATURES, EXPONENT = 3, -6


def scratch() -> AbstractContextManager[NDArray[np.int32]]:
    return nullcontext(np.empty(1024 * 1024, np.int32))


BLOCKS: dict[str, Callable[[Rows], Blocks]] = {
    "direct32": lambda _: CpuBlocks(Direct(np.float32, EXPONENT), scratch),
    "direct64": lambda _: CpuBlocks(Direct(np.float64, EXPONENT), scratch),
    "fixed_point": lambda _: CpuBlocks(FixedPoint(EXPONENT), scratch),
    "bytes": lambda _: CpuBlocks(FixedPoint(EXPONENT, np.int8), scratch),
    "device": lambda rows: CudaBlocks(rows, EXPONENT, "cpu:0"),
}
kinds = pytest.mark.parametrize("kind", list(BLOCKS))


def lattice(rng: np.random.Generator, n: int) -> Rows:
    """A few clusters or none, repeated points among them."""
    places = rng.integers(-20, 20, (int(rng.integers(1, 4)), N_FEATURES))
    width = int(rng.choice([2, 6, 30]))
    return (places[rng.integers(0, len(places), n)] + rng.integers(-width, width + 1, (n, N_FEATURES))).astype(float)


def cores(rows: Rows, rng: np.random.Generator) -> Rows:
    """The longest edges on the paths to one point: any one serves as the core of a set."""
    return np.asarray(longest_on_path(rows)[int(rng.integers(0, len(rows)))])


def between(
    blocks: Blocks,
    rows: Rows,
    of_cores: Sequence[Rows],
    starts: Sequence[NDArray[np.intp]],
    pairs: NDArray[np.intp],
    tiles: Sequence[Sequence[int]],
) -> list[NDArray[np.intp] | None]:
    """Edges (n, 2) of pairs of sets of rows and columns, block by block: places among all rows and all columns.

    ``starts[side]`` are the borders of the sets, ``tiles[side]`` those of the blocks. None: too many in some block.
    """
    n_rows = starts[0][-1]
    n_points = np.stack([np.diff(each)[pairs[:, side]] for side, each in enumerate(starts)], axis=1)
    state = Reaches.open(n_points, blocks.dtype)
    found: list[list[NDArray[np.intp]] | None] = [[] for _ in pairs]
    centre = rows.mean(axis=0)
    upper = [_mst_cpu.rounded_up(each * 4.0**EXPONENT, blocks.dtype) for each in of_cores]
    for top, bottom in zip(tiles[0][:-1], tiles[0][1:], strict=True):
        for left, right in zip(tiles[1][:-1], tiles[1][1:], strict=True):
            packed = [
                blocks.pack(rows, np.arange(a, b), centre) for a, b in ((top, bottom), (n_rows + left, n_rows + right))
            ]
            spans, at = np.empty((len(pairs), 4), np.intp), state.at.copy()
            for side, (a, b) in enumerate(((top, bottom), (left, right))):
                begin, end = starts[side][pairs[:, side]], starts[side][pairs[:, side] + 1]
                spans[:, 2 * side] = np.maximum(begin, a) - a
                spans[:, 2 * side + 1] = np.minimum(end, b) - a
                at[:, side] += np.maximum(begin, a) - begin
            own = upper[0][top:bottom], upper[1][left:right]
            u, v, n_found = blocks.between((packed[0], packed[1]), own, spans, state, at)
            assert len(u) == len(v) == np.maximum(n_found, 0).sum()
            ends = np.split(np.stack((u + top, v + left), axis=1), np.cumsum(np.maximum(n_found, 0))[:-1])
            for p, some in enumerate(ends):
                so_far = found[p]
                found[p] = None if so_far is None or n_found[p] < 0 else [*so_far, some]
    return [None if each is None else np.concatenate(each) for each in found]


def check_pair(rows: Rows, first: slice, second: slice, edges: NDArray[np.intp]) -> None:
    """Every edge between two sets of rows that is in a minimum tree over both is listed, and none twice."""
    n = first.stop - first.start
    wanted = minimal(np.concatenate((rows[first], rows[second])))[:n, n:]
    listed = np.zeros_like(wanted)
    assert len(np.unique(edges, axis=0)) == len(edges)
    listed[edges[:, 0] - first.start, edges[:, 1] - second.start] = True
    assert not (wanted & ~listed).any()


@kinds
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_several_sets_in_one_block(kind: str, seed: int) -> None:
    """Each pair has its own rows, columns, reaches and bridge; others lie between them."""
    rng = np.random.default_rng(seed)
    sizes = [rng.choice(EVEN_AND_ODD[1:6], 3) for _ in range(2)]
    starts = [np.concatenate(([0], np.cumsum(each))) for each in sizes]
    sets = [[lattice(rng, n) for n in each] for each in sizes]
    rows = np.concatenate([*sets[0], *sets[1]])
    of_cores = [np.concatenate([cores(each, rng) for each in side]) for side in sets]
    pairs = np.array([(i, j) for i in range(3) for j in range(3)])[rng.permutation(9)[: int(rng.integers(1, 10))]]
    borders = [(0, int(each[-1])) for each in starts]
    with pytest.MonkeyPatch.context() as patched:
        for module in (_mst_cpu, _mst_cuda):
            patched.setattr(module, "CANDIDATES_PER_POINT", 10_000)
        found = between(BLOCKS[kind](rows), rows, of_cores, starts, pairs, borders)
        for (i, j), edges in zip(pairs, found, strict=True):
            assert edges is not None
            first = slice(starts[0][i], starts[0][i + 1])
            second = slice(starts[1][j], starts[1][j + 1])
            n_rows = starts[0][-1]
            check_pair(rows, first, slice(n_rows + second.start, n_rows + second.stop), edges + np.array([0, n_rows]))
        if kind == "device":  # a second precision may find fewer
            return
        per_point = int(rng.integers(0, 6))
        patched.setattr(_mst_cpu, "CANDIDATES_PER_POINT", per_point)
        for (i, j), edges, again in zip(
            pairs, found, between(BLOCKS[kind](rows), rows, of_cores, starts, pairs, borders), strict=True
        ):
            assert edges is not None
            if len(edges) > per_point * (sizes[0][i] + sizes[1][j]):
                assert again is None
            else:
                np.testing.assert_array_equal(again, edges)


@kinds
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_one_pair_in_several_blocks(kind: str, seed: int) -> None:
    """What one block has learned serves the next; a reach belongs to a point, wherever its block begins."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice(EVEN_AND_ODD, 2)
    sets = [lattice(rng, n) for n in sizes]
    rows = np.concatenate(sets)
    starts = [np.array([0, n]) for n in sizes]
    tiles = [(0, *sorted({int(rng.integers(1, n))} if n > 1 else ()), int(n)) for n in sizes]
    with pytest.MonkeyPatch.context() as patched:
        for module in (_mst_cpu, _mst_cuda):
            patched.setattr(module, "CANDIDATES_PER_POINT", 10_000)
        of_cores = [cores(each, rng) for each in sets]
        (edges,) = between(BLOCKS[kind](rows), rows, of_cores, starts, np.array([[0, 0]]), tiles)
    assert edges is not None
    check_pair(rows, slice(0, int(sizes[0])), slice(int(sizes[0]), len(rows)), edges + np.array([0, sizes[0]]))


@kinds
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n=st.sampled_from(EVEN_AND_ODD))
def test_one_set(kind: str, seed: int, n: int) -> None:
    rows = lattice(np.random.default_rng(seed), n)
    blocks = BLOCKS[kind](rows)
    with pytest.MonkeyPatch.context() as patched:
        for module in (_mst_cpu, _mst_cuda):
            patched.setattr(module, "CANDIDATES_PER_POINT", 10_000)
        (found,) = blocks.within(blocks.pack(rows, np.arange(n), rows.mean(axis=0)), [(0, n)])
    assert found is not None
    listed = np.eye(n, dtype=np.bool_)
    listed[found] = True
    assert not (minimal(rows) & ~(listed | listed.T)).any()


@pytest.mark.parametrize("kind", ["direct32", "direct64", "fixed_point", "bytes"])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), sizes=st.tuples(st.sampled_from(EVEN_AND_ODD), st.sampled_from(EVEN_AND_ODD)))
def test_two_sets_with_their_trees(kind: str, seed: int, sizes: tuple[int, int]) -> None:
    """Prim's algorithm over both trees and the block."""
    rng = np.random.default_rng(seed)
    n = sizes[0]
    sets = [lattice(rng, each) for each in sizes]
    rows = np.concatenate(sets)
    blocks = BLOCKS[kind](rows)
    assert isinstance(blocks, CpuBlocks)
    edges = np.array(
        [
            (i + shift, j + shift)
            for each, shift in zip(sets, (0, n), strict=True)
            for i, j in oracle.prim(oracle.squared_distances(each))
        ],
        np.intp,
    ).reshape(-1, 2)
    both = np.concatenate((edges, edges[:, ::-1]))
    both = both[np.argsort(both[:, 0], kind="stable")]
    weights = oracle.squared_distances(rows)
    begin = np.searchsorted(both[:, 0], np.arange(len(rows) + 1)).astype(np.intp)
    adjacency = begin, np.ascontiguousarray(both[:, 1]), weights[both[:, 0], both[:, 1]]
    packed = [blocks.pack(rows, each, rows.mean(axis=0)) for each in (np.arange(n), np.arange(n, len(rows)))]
    found = blocks.between_trees((packed[0], packed[1]), adjacency, 4.0**EXPONENT, None)
    assert found is not None
    check_pair(rows, slice(0, n), slice(n, len(rows)), np.stack(found, axis=1) + np.array([0, n]))


def test_a_search_goes_on_where_there_was_no_room() -> None:
    """Pairs with too many candidates take no room, also when it is counted again."""
    rng = np.random.default_rng(0)
    rows, sets = rng.standard_normal((40, N_FEATURES)), (np.arange(20), np.arange(20, 40))
    approximation = Direct(np.float32, 0)
    packed = [approximation.pack(rows, each, np.zeros(N_FEATURES)) for each in sets]
    known = known_of_pairs(approximation, packed[0], packed[1], has_all_columns=True)
    path = _mst_cpu.rounded_up(oracle.squared_distances(rows)[:20, 20:].reshape(-1), np.float32)
    known.row_reach[:], known.column_reach[:], known.bridge[:] = path, np.repeat(path, 20), path
    most = np.full(400, 5)
    u, v = np.empty((2, 2000), np.int32)
    n_found = np.zeros(400, np.intp)
    assert cross_candidates(known, most, u, v, n_found, 0) == 400
    assert set(n_found) == {-1, 1, 2, 3, 4, 5}
    some_u, some_v = np.empty((2, 5), np.int32)
    so_far, pair = np.zeros(400, np.intp), 0
    while pair < 400:
        some_u, some_v = (np.concatenate((each, np.empty_like(each[:7]))) for each in (some_u, some_v))
        pair = cross_candidates(known, most, some_u, some_v, so_far, pair)
    np.testing.assert_array_equal(so_far, n_found)
    total = n_found[n_found > 0].sum()
    np.testing.assert_array_equal(some_u[:total], u[:total])
    np.testing.assert_array_equal(some_v[:total], v[:total])
