"""Blocks on a CUDA device, in plain torch operations: the same bounds and paths as on the CPU, found in bulk.

Products, filter, class trees and exact lengths are computed on the device; candidate edges come back. They are
a superset of the same edges as on the CPU, and their lengths are the same numbers, so the results are those of the CPU.
The module works on any torch device, which is how it is tested without a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from hpcore._approximation import Packed, product_bounds
from hpcore._boruvka_cuda import bottlenecks
from hpcore._mst_cpu import CANDIDATES_PER_POINT, Ends, Found, Reaches
from hpcore._products_cuda import Precision, product, product_error, rounded, rounding_error
from hpcore._simd import LANES
from hpcore.errors import OutOfMemory

_INFINITY = float("inf")
_LENGTHS_AT_A_TIME = 1 << 23  # numbers of edge vectors: 64 MiB in float64
_BYTES_AT_A_TIME = 1 << 26  # of rows on their way to the device
_LACK_OF_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED")


@dataclass(frozen=True)
class PackedOnDevice(Packed):
    """Centred float32 rows that already lie on the device."""

    rows: torch.Tensor


class CudaBlocks:
    """Blocks by matrix products, of TF32 factors as long as these leave few enough edges in doubt, else of float32.

    The input is copied to the device once if it fits there; otherwise its rows are sent as they are needed.
    """

    dtype: type[np.floating[Any]] = np.float32
    searches_sets_at_once = True

    def __init__(
        self,
        rows: NDArray[Any],
        exponent: int,
        device: str = "cuda",
        precisions: Sequence[Precision] = ("tf32", "float32"),
    ) -> None:
        """Coordinates are multiplied by ``2**exponent``; `precisions` are tried in turn."""
        self._factor = math.ldexp(1.0, exponent)
        with _out_of_memory_is_ours():
            self._device = torch.empty(0, device=device).device  # with its number: each thread has a current one
        self._precisions = tuple(precisions)
        try:
            self._resident: torch.Tensor | None = self._copy_of(rows)
        except RuntimeError as error:
            if not _is_lack_of_memory(error):
                raise
            self._resident = None

    def pack(self, rows: NDArray[Any], chosen: NDArray[np.intp], centre: NDArray[np.float64], /) -> Packed:
        """Centre and scale in float64, round to float32."""
        with _out_of_memory_is_ours():
            exact = (self._rows(rows, chosen).double() - self._tensor(centre)) * self._factor
            squared_norm = (exact * exact).sum(dim=1).cpu().numpy()
            nothing = np.empty((0, rows.shape[1]), np.float32)
            step = np.ones(chosen.shape[0])
            return PackedOnDevice(nothing, chosen.shape[0], step, squared_norm, 0.0, None, exact.float())

    def lengths(self, rows: NDArray[Any], u: NDArray[np.intp], v: NDArray[np.intp]) -> NDArray[np.float64]:
        """Exact lengths, in the order of summation of `hpcore._exact_cpu.edge_lengths`: bit for bit the same."""
        squared = np.empty(u.shape[0])
        step = max(1, _LENGTHS_AT_A_TIME // rows.shape[1])
        first = 0
        while first < u.shape[0]:
            part = slice(first, first + step)
            try:
                squared[part] = self._edge_lengths(rows, u[part], v[part]).cpu().numpy()
            except RuntimeError as error:
                if not _is_lack_of_memory(error):
                    raise
                if step == 1:
                    raise OutOfMemory("`device`: not even one edge fits the memory of the device.") from error
                step = -(-step // 2)
            else:
                first += step
        return squared

    def _edge_lengths(self, rows: NDArray[Any], u: NDArray[np.intp], v: NDArray[np.intp]) -> torch.Tensor:
        difference = self._rows(rows, u).double() - self._rows(rows, v).double()
        difference = torch.nn.functional.pad(difference, (0, -difference.shape[1] % LANES))
        squares = (difference * difference).view(difference.shape[0], -1, LANES)
        sums = torch.zeros_like(squares[:, 0])
        for k in range(squares.shape[1]):
            sums = sums + squares[:, k]
        while sums.shape[1] > 1:
            half = sums.shape[1] // 2
            sums = sums[:, :half] + sums[:, half:]
        return sums[:, 0]

    def within(self, packed: Packed, sets: Sequence[tuple[int, int]]) -> list[Ends | None]:
        """Borůvka's algorithm on upper bounds; then all edges no longer than the path between their ends in that tree.

        All `sets`, consecutive ranges of points, share the block and are searched at once.
        """
        found: list[Ends | None] = [None] * len(sets)
        with _out_of_memory_is_ours():
            for precision in self._precisions:
                open_sets = [number for number, ends in enumerate(found) if ends is None]
                if not open_sets:
                    break
                ends = self._within(packed, sets, precision)
                for number in open_sets:
                    start, stop = sets[number]
                    own = ends[(ends[:, 0] >= start) & (ends[:, 0] < stop)]
                    if len(own) <= CANDIDATES_PER_POINT * (stop - start):
                        found[number] = own[:, 0], own[:, 1]
        return found

    def _within(self, packed: Packed, sets: Sequence[tuple[int, int]], precision: Precision) -> NDArray[np.intp]:
        upper, lower = self._bounds(packed, packed, precision)
        upper = torch.maximum(upper, upper.T)  # a product of a matrix with itself need not come out symmetric
        if len(sets) > 1:
            label = self._tensor(np.repeat(np.arange(len(sets)), [stop - start for start, stop in sets]))
            upper.masked_fill_(label != label[:, None], _INFINITY)
        order, longest = bottlenecks(upper, sets)
        del upper
        ends = torch.nonzero(lower[order][:, order] <= longest)
        return np.asarray(order[ends].cpu().numpy())

    def between(
        self,
        packed: tuple[Packed, Packed],
        cores: tuple[NDArray[Any], NDArray[Any]],
        spans: NDArray[np.intp],
        state: Reaches,
        at: NDArray[np.intp],
    ) -> Found:
        """The three paths of `hpcore._strips_cpu`, for all pairs of the block at once."""
        grid = _Grid(spans, at, packed[0].n_points, packed[1].n_points)
        n_found = np.full(spans.shape[0], -1, np.intp)
        most = CANDIDATES_PER_POINT * (spans[:, 1] - spans[:, 0] + spans[:, 3] - spans[:, 2])
        ends, pairs = np.empty((0, 2), np.intp), np.empty(0, np.intp)
        with _out_of_memory_is_ours():
            for precision in self._precisions:
                if (n_found >= 0).all():
                    break
                new_ends, new_pairs = self._between(packed, cores, grid, state, precision)
                counted = np.bincount(new_pairs, minlength=spans.shape[0])
                settled = (n_found < 0) & (counted <= most)
                n_found[settled] = counted[settled]
                ends = np.concatenate((ends, new_ends[settled[new_pairs]]))
                pairs = np.concatenate((pairs, new_pairs[settled[new_pairs]]))
        order = np.argsort(pairs, kind="stable")
        return ends[order, 0], ends[order, 1], n_found

    def _between(
        self,
        packed: tuple[Packed, Packed],
        cores: tuple[NDArray[Any], NDArray[Any]],
        grid: _Grid,
        state: Reaches,
        precision: Precision,
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        upper, lower = self._bounds(*packed, precision)
        core_a, core_b = self._tensor(cores[0])[:, None], self._tensor(cores[1])
        of_row, of_column, pair_of = (self._tensor(each) for each in (grid.of_row, grid.of_column, grid.pair))
        row_reach = _least_of_ranges(torch.maximum(upper, core_b), grid.columns, 1)
        column_reach = _least_of_ranges(torch.maximum(upper, core_a), grid.rows, 0)
        del upper
        row_reach = torch.minimum(row_reach, self._tensor(grid.known_rows(state)))
        column_reach = torch.minimum(column_reach, self._tensor(grid.known_columns(state)))
        bridge = _least_of_ranges(torch.maximum(row_reach, core_a), grid.rows, 0)
        bridge = torch.minimum(bridge, self._tensor(grid.known_bridges(state)))
        grid.learn(state, *(each.cpu().numpy() for each in (row_reach, column_reach, bridge)))
        inner = torch.minimum(torch.maximum(core_a, bridge[of_row]), row_reach)[:, of_column]
        longest = torch.maximum(inner, core_b)
        del inner
        longest = torch.minimum(longest, torch.maximum(column_reach[of_row], core_a))
        pair = pair_of[of_row][:, of_column]
        ends = torch.nonzero((lower <= longest) & (pair >= 0))
        found_pair = pair[ends[:, 0], ends[:, 1]]
        return np.asarray(ends.cpu().numpy()), np.asarray(found_pair.cpu().numpy())

    def _bounds(self, left: Packed, right: Packed, precision: Precision) -> tuple[torch.Tensor, torch.Tensor]:
        """Upper and lower bounds of all squared distances of a block, as those of `hpcore._approximation`."""
        rows = [cast("PackedOnDevice", each).rows for each in (left, right)]
        factors = [rounded(each, precision) for each in rows]
        of_left, of_right = (rounding_error(*each) for each in zip(rows, factors, strict=True))
        error = of_left + of_right + of_left * of_right + product_error(rows[0].shape[1], precision)
        of_rows, of_columns = (self._tensor(product_bounds(each, error)) for each in (left, right))
        products = product(factors[0], factors[1], precision)
        products *= -2.0
        upper = (of_rows[0][:, None] + of_columns[0]) + products
        lower = (of_rows[1][:, None] + of_columns[1]) + products
        return upper, lower

    def _rows(self, rows: NDArray[Any], chosen: NDArray[np.intp]) -> torch.Tensor:
        if self._resident is None:
            return self._tensor(rows[chosen])
        return self._resident[self._tensor(chosen)]

    def _copy_of(self, rows: NDArray[Any]) -> torch.Tensor:
        """All rows, sent in pieces: a memory map is never loaded whole."""
        copy = torch.empty(rows.shape, dtype=self._tensor(rows[:1]).dtype, device=self._device)
        step = max(1, _BYTES_AT_A_TIME // (rows.shape[1] * rows.itemsize))
        for first in range(0, rows.shape[0], step):
            copy[first : first + step] = self._tensor(rows[first : first + step])
        return copy

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        own = np.ascontiguousarray(array)
        return torch.from_numpy(own if own.flags.writeable else own.copy()).to(self._device)


class _Grid:
    """The pairs of a block as a table over the ranges of its rows and of its columns.

    ``pair (R, C)`` numbers the pair of a range of rows and a range of columns (-1: not wanted); ``of_row (n,)`` and
    ``of_column (m,)`` tell the range of every point, the last one being that of points in none.
    """

    def __init__(self, spans: NDArray[np.intp], at: NDArray[np.intp], n_rows: int, n_columns: int) -> None:
        self.rows, row_of_pair = np.unique(spans[:, :2], axis=0, return_inverse=True)
        self.columns, column_of_pair = np.unique(spans[:, 2:], axis=0, return_inverse=True)
        self.pair = np.full((len(self.rows) + 1, len(self.columns) + 1), -1)
        self.pair[row_of_pair.ravel(), column_of_pair.ravel()] = np.arange(len(spans))
        self.of_row, self.of_column = _range_of(self.rows, n_rows), _range_of(self.columns, n_columns)
        self._at = at
        self._first = np.append(self.rows[:, 0], 0), np.append(self.columns[:, 0], 0)

    def known_rows(self, state: Reaches) -> NDArray[np.float32]:
        """What is known of (n, C + 1): +inf where nothing is."""
        return _taken(state.rows, *self._row_places())

    def known_columns(self, state: Reaches) -> NDArray[np.float32]:
        """What is known of (R + 1, m)."""
        return _taken(state.columns, *self._column_places())

    def known_bridges(self, state: Reaches) -> NDArray[np.float32]:
        """What is known of (R + 1, C + 1)."""
        return _taken(state.bridge, self.pair >= 0, self.pair)

    def learn(
        self,
        state: Reaches,
        row_reach: NDArray[np.float32],
        column_reach: NDArray[np.float32],
        bridge: NDArray[np.float32],
    ) -> None:
        """Keep the new reaches."""
        wanted, places = self._row_places()
        state.rows[places[wanted]] = row_reach[wanted]
        wanted, places = self._column_places()
        state.columns[places[wanted]] = column_reach[wanted]
        state.bridge[self.pair[self.pair >= 0]] = bridge[self.pair >= 0]

    def _row_places(self) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        pair = self.pair[self.of_row]
        skip = np.arange(self.of_row.shape[0]) - self._first[0][self.of_row]
        return pair >= 0, self._at[pair, 0] + skip[:, None]

    def _column_places(self) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        pair = self.pair[:, self.of_column]
        skip = np.arange(self.of_column.shape[0]) - self._first[1][self.of_column]
        return pair >= 0, self._at[pair, 1] + skip


def _range_of(ranges: NDArray[np.intp], n_points: int) -> NDArray[np.intp]:
    of_point = np.full(n_points, len(ranges))
    for number, (start, stop) in enumerate(ranges):
        of_point[start:stop] = number
    return of_point


def _taken(values: NDArray[Any], wanted: NDArray[np.bool_], places: NDArray[np.intp]) -> NDArray[np.float32]:
    known = np.full(wanted.shape, np.inf, np.float32)
    known[wanted] = values[places[wanted]]
    return known


def _least_of_ranges(values: torch.Tensor, ranges: NDArray[np.intp], dim: int) -> torch.Tensor:
    """The least value in each range along `dim`, and +inf for the range of points in none."""
    least = [values.narrow(dim, start, stop - start).amin(dim=dim) for start, stop in ranges.tolist()]
    return torch.stack([*least, torch.full_like(least[0], _INFINITY)], dim=dim)


@contextmanager
def _out_of_memory_is_ours() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not _is_lack_of_memory(error):
            raise
        raise OutOfMemory("`device`: the block does not fit the memory of the device.") from error


def _is_lack_of_memory(error: RuntimeError) -> bool:
    """Whether torch says so, or the libraries below it, which need some memory of their own when they begin."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _LACK_OF_MEMORY)
