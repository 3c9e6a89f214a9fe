"""Blocks on a CUDA device, in plain torch operations: the same bounds and paths as on the CPU, found in bulk.

Only the choice of candidates happens here; exact lengths decide on the CPU, so the results are those of the CPU. The
module works on any torch device, which is how it is tested without a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from hpcore._approximation import U32, Packed, product_bounds
from hpcore._forest_cpu import linkage_order, unite_edges
from hpcore._mst_cpu import CANDIDATES_PER_POINT, Ends, Found, Reaches
from hpcore.errors import OutOfMemory

_INFINITY = float("inf")


@dataclass(frozen=True)
class PackedOnDevice(Packed):
    """Centred float32 rows that already lie on the device."""

    rows: torch.Tensor


class CudaBlocks:
    """Inner products in float32 (never TF32, for which the bound would not hold) and element-wise passes over them."""

    dtype: type[np.floating[Any]] = np.float32

    def __init__(self, exponent: int, device: str = "cuda") -> None:
        """Coordinates are multiplied by ``2**exponent``."""
        self._factor = math.ldexp(1.0, exponent)
        self._device = torch.device(device)

    def pack(self, rows: NDArray[Any], chosen: NDArray[np.intp], centre: NDArray[np.float64], /) -> Packed:
        """Centre and scale in float64, round to float32."""
        with _out_of_memory_is_ours():
            exact = (self._tensor(rows[chosen]).double() - self._tensor(centre)) * self._factor
            squared_norm = (exact * exact).sum(dim=1).cpu().numpy()
            nothing = np.empty((0, rows.shape[1]), np.float32)
            return PackedOnDevice(nothing, chosen.shape[0], np.ones(chosen.shape[0]), squared_norm, 0.0, exact.float())

    def within(self, packed: Packed, most: int | None) -> Ends | None:
        """Borůvka's algorithm on upper bounds; then all edges no longer than the path between their ends in that tree.

        In the order of single linkage the longest edge between two points is the largest gap between their places, so
        a running maximum along the rows gives all bottlenecks.
        """
        with _out_of_memory_is_ours():
            upper, lower = self._bounds(packed, packed)
            order, gap = _linkage(upper)
            del upper
            places = self._tensor(order)
            n_points = packed.n_points
            later = torch.arange(n_points, device=self._device)
            bottleneck = self._tensor(gap).expand(n_points, n_points)
            bottleneck = torch.where(later > later[:, None], bottleneck, -_INFINITY).cummax(dim=1).values
            found = torch.nonzero(lower[places][:, places] <= bottleneck)
            if most is not None and found.shape[0] > most:
                return None
            ends = order[found.cpu().numpy()]
            return ends[:, 0], ends[:, 1]

    def between(
        self,
        packed: tuple[Packed, Packed],
        cores: tuple[NDArray[Any], NDArray[Any]],
        spans: NDArray[np.intp],
        state: Reaches,
        at: NDArray[np.intp],
    ) -> Found:
        """The three paths of `hpcore._block_cpu.cross_candidates`, pair after pair."""
        found_u, found_v = [], []
        n_found = np.zeros(spans.shape[0], np.intp)
        with _out_of_memory_is_ours():
            upper, lower = self._bounds(*packed)
            row_cores, column_cores = (self._tensor(core) for core in cores)
            for p, (row, row_stop, column, column_stop) in enumerate(spans):
                part = (slice(row, row_stop), slice(column, column_stop))
                learned = (
                    state.rows[at[p, 0] : at[p, 0] + row_stop - row],
                    state.columns[at[p, 1] : at[p, 1] + column_stop - column],
                    state.bridge[p : p + 1],
                )
                core_a, core_b = row_cores[part[0]][:, None], column_cores[part[1]]
                bottleneck = self._bottlenecks(upper[part], core_a, core_b, learned)
                ends = torch.nonzero(lower[part] <= bottleneck).cpu().numpy()
                if len(ends) > CANDIDATES_PER_POINT * sum(lower[part].shape):
                    n_found[p] = -1
                    continue
                n_found[p] = len(ends)
                found_u.append(ends[:, 0] + row)
                found_v.append(ends[:, 1] + column)
        nothing = np.empty(0, np.intp)
        return np.concatenate([nothing, *found_u]), np.concatenate([nothing, *found_v]), n_found

    def _bottlenecks(
        self,
        upper: torch.Tensor,
        core_a: torch.Tensor,
        core_b: torch.Tensor,
        learned: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    ) -> torch.Tensor:
        """The longest edge of the shortest of three paths between all pairs; `learned` is improved in place."""
        row_reach, column_reach, bridge = (self._tensor(each) for each in learned)
        row_reach = torch.minimum(row_reach, torch.maximum(upper, core_b).amin(dim=1))
        column_reach = torch.minimum(column_reach, torch.maximum(upper, core_a).amin(dim=0))
        bridge = torch.minimum(bridge, torch.maximum(row_reach[:, None], core_a).amin())
        for old, new in zip(learned, (row_reach, column_reach, bridge), strict=True):
            old[:] = new.cpu().numpy()
        inner = torch.minimum(torch.maximum(core_a, bridge), row_reach[:, None])
        return torch.minimum(torch.maximum(inner, core_b), torch.maximum(column_reach, core_a))

    def _bounds(self, left: Packed, right: Packed) -> tuple[torch.Tensor, torch.Tensor]:
        """Upper and lower bounds of all squared distances of a block; the bound is that of `FloatProducts`."""
        rows, columns = cast("PackedOnDevice", left).rows, cast("PackedOnDevice", right).rows
        with _full_precision():
            products = rows @ columns.T
        error = 2 * (rows.shape[1] + 4) * U32
        of_rows, of_columns = (self._tensor(product_bounds(each, error)) for each in (left, right))
        products *= -2.0
        upper = (of_rows[0][:, None] + of_columns[0]) + products
        lower = (of_rows[1][:, None] + of_columns[1]) + products
        return upper, lower

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _linkage(upper: torch.Tensor) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Minimum tree of a full matrix by Borůvka; the order of its points under single linkage, and the gaps there."""
    n_points = upper.shape[0]
    parent = np.arange(n_points)
    edges: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]] = []
    while (parent != parent[0]).any():
        component = torch.from_numpy(parent).to(upper.device)
        outside = torch.where(component == component[:, None], _INFINITY, upper)
        length, nearest = outside.min(dim=1)
        weight, other = length.cpu().numpy(), nearest.cpu().numpy()
        ascending = np.argsort(weight, kind="stable")
        shortest = ascending[np.unique(parent[ascending], return_index=True)[1]]
        shortest = shortest[np.argsort(weight[shortest], kind="stable")]
        taken = np.empty(shortest.shape[0], np.bool_)
        unite_edges(parent, shortest, other[shortest], taken)
        kept = shortest[taken]
        edges.append((kept, other[kept], weight[kept]))
    u, v, weight = (np.concatenate(each) for each in zip(*edges, strict=True)) if edges else (np.empty(0, np.intp),) * 3
    ascending = np.argsort(weight, kind="stable")
    order, gap = np.empty(n_points, np.intp), np.zeros(n_points, np.float32)
    linkage_order(u[ascending], v[ascending], weight[ascending].astype(np.float32), order, gap)
    return order, gap


@contextmanager
def _full_precision() -> Iterator[None]:
    """Matrix products in true float32, whatever the process has asked for."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def _out_of_memory_is_ours() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory("`device`: the block does not fit the memory of the device.") from error
