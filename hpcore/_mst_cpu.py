"""Blocks on the CPU: an approximation of all distances, and the kernels that find candidate edges in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcore import _block_cpu, _exact_cpu, _strips_cpu
from hpcore._approximation import Approximation, Packed
from hpcore._prim_cross_cpu import cross_tree_candidates

CANDIDATES_PER_POINT = 40
"""More candidates than this: the bounds are too wide for these data, or their clusters too far apart."""

Ends = tuple[NDArray[np.intp], NDArray[np.intp]]
Found = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
Adjacency = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]


@dataclass(frozen=True)
class Reaches:
    """What `hpcore._strips_cpu.improve_reaches` has learned of each pair; ``at (P, 2)`` is where a pair begins."""

    at: NDArray[np.intp]
    rows: NDArray[Any]
    columns: NDArray[Any]
    bridge: NDArray[Any]

    @classmethod
    def open(cls, sizes: NDArray[np.intp], dtype: type[np.floating[Any]]) -> Reaches:
        """Nothing is known yet of pairs of ``sizes (P, 2)`` row and column points."""
        at = np.zeros_like(sizes)
        np.cumsum(sizes[:-1], axis=0, out=at[1:])
        n_rows, n_columns = (at[-1] + sizes[-1]).tolist()
        reaches = np.full(n_rows + n_columns + sizes.shape[0], np.inf, dtype)
        return cls(at, reaches[:n_rows], reaches[n_rows : n_rows + n_columns], reaches[n_rows + n_columns :])


class Blocks(Protocol):
    """Where blocks are computed and searched."""

    dtype: type[np.floating[Any]]
    searches_sets_at_once: bool

    def pack(self, rows: NDArray[Any], chosen: NDArray[np.intp], centre: NDArray[np.float64], /) -> Packed:
        """Bring ``rows[chosen]`` into the form of a block."""
        ...

    def within(self, packed: Packed, sets: Sequence[tuple[int, int]]) -> list[Ends | None]:
        """Candidates within each of some consecutive ranges of points; None where there are too many."""
        ...

    def lengths(self, rows: NDArray[Any], u: NDArray[np.intp], v: NDArray[np.intp]) -> NDArray[np.float64]:
        """Exact squared distances ``|rows[u] - rows[v]|²``, the same numbers everywhere."""
        ...

    def between(
        self,
        packed: tuple[Packed, Packed],
        cores: tuple[NDArray[Any], NDArray[Any]],
        spans: NDArray[np.intp],
        state: Reaches,
        at: NDArray[np.intp],
    ) -> Found:
        """Candidates of many pairs, as places in the block, pair after pair, and their numbers (-1: too many)."""
        ...


class CpuBlocks:
    """Blocks in memory that `scratch` lends."""

    searches_sets_at_once = False

    def __init__(
        self, approximation: Approximation, scratch: Callable[[], AbstractContextManager[NDArray[np.int32]]]
    ) -> None:
        """Any approximation serves; it has no influence on what is found to be a minimum tree in the end."""
        self.dtype = approximation.dtype
        self.pack = approximation.pack
        self._approximation = approximation
        self._scratch = scratch

    def lengths(self, rows: NDArray[Any], u: NDArray[np.intp], v: NDArray[np.intp]) -> NDArray[np.float64]:
        """Direct differences in float64."""
        squared = np.empty(u.shape[0])
        _exact_cpu.edge_lengths(rows, u, v, squared)
        return squared

    def within(self, packed: Packed, sets: Sequence[tuple[int, int]]) -> list[Ends | None]:
        """One set, by Prim's algorithm on bounds."""
        assert len(sets) == 1
        return [self.within_at_most(packed, CANDIDATES_PER_POINT * packed.n_points)]

    def within_at_most(self, packed: Packed, most: int | None) -> Ends | None:
        """Candidates within one set of points; None where there are more than `most`."""
        bounds, _ = self._approximation.bounds(packed, packed)
        with self._scratch() as memory:
            block = self._approximation.block(packed, packed, memory)
            return all_or_none(lambda u, v: _block_cpu.tree_candidates(block, bounds, u, v), 4 * packed.n_points, most)

    def between(
        self,
        packed: tuple[Packed, Packed],
        cores: tuple[NDArray[Any], NDArray[Any]],
        spans: NDArray[np.intp],
        state: Reaches,
        at: NDArray[np.intp],
    ) -> Found:
        """Paths through the cores, for all pairs of a block in one call."""
        n_rows, n_columns = spans[:, 1] - spans[:, 0], spans[:, 3] - spans[:, 2]
        nearest_at = np.concatenate(([0], np.cumsum(n_rows * -(-n_columns // _block_cpu.CHUNK))))
        nearest = np.empty(int(nearest_at[-1]), self.dtype)
        of_pairs = (spans, at, state.rows, state.columns, state.bridge, nearest, nearest_at)
        bounds = self._approximation.bounds(*packed)
        with self._scratch() as memory:
            block, left, right = self._approximation.open_block(*packed, memory)
            known = _strips_cpu.Known(block, *bounds, *cores, *of_pairs)
            _strips_cpu.improve_reaches(left, right, known)
            return _listed(known, CANDIDATES_PER_POINT * (n_rows + n_columns))

    def between_trees(
        self, packed: tuple[Packed, Packed], adjacency: Adjacency, scale: float, most: int | None
    ) -> Ends | None:
        """Candidates between two sets by Prim's algorithm over their trees (`adjacency`) and the block."""
        n_rows, n_columns = packed[0].n_points, packed[1].n_points
        with self._scratch() as memory:
            block = self._approximation.block(*packed, memory)[:n_rows, :n_columns]
            plain, turned = block.copy(), np.ascontiguousarray(block.T)
        rows, columns = self._approximation.bounds(*packed)
        starts, neighbours, squared = adjacency
        lengths = rounded_up(squared * scale, self.dtype)
        return all_or_none(
            lambda u, v: cross_tree_candidates(plain, turned, rows, columns, starts, neighbours, lengths, u, v),
            4 * (n_rows + n_columns),
            most,
        )


def _listed(known: _strips_cpu.Known, most: NDArray[np.intp]) -> Found:
    """The candidates that `hpcore._strips_cpu` leaves, in memory that grows where it does not suffice."""
    n_pairs = most.shape[0]
    capacity = int(max(most.max(), min(most.sum(), 4 * (known.rows.shape[1] + known.columns.shape[1]))))
    u, v = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    n_found = np.zeros(n_pairs, np.intp)
    pair = _strips_cpu.cross_candidates(known, most, u, v, n_found, 0)
    while pair < n_pairs:
        u, v = (np.concatenate((each, np.empty_like(each))) for each in (u, v))
        pair = _strips_cpu.cross_candidates(known, most, u, v, n_found, pair)
    total = int(np.maximum(n_found, 0).sum())
    return u[:total].astype(np.intp), v[:total].astype(np.intp), n_found


def rounded_up(values: NDArray[np.float64], dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """The values in another type, and no less."""
    return np.asarray(np.nextafter(values.astype(dtype), dtype(np.inf)))


def all_or_none(
    search: Callable[[NDArray[np.int32], NDArray[np.int32]], int], capacity: int, most: int | None
) -> Ends | None:
    """Run a search that counts what it cannot store, again with enough room; None where there are more than `most`."""
    while True:
        u, v = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
        n_found = search(u, v)
        if most is not None and n_found > most:
            return None
        if n_found <= capacity:
            return u[:n_found].astype(np.intp), v[:n_found].astype(np.intp)
        capacity = n_found
