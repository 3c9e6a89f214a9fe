"""Which approximation of distances, at which scale, and which blocks serve a layer best; no result depends on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpcore._approximation import (
    FEWEST_OF_BYTES,
    LARGEST_DIRECT,
    Approximation,
    Direct,
    FixedPoint,
    bytes_suffice,
)
from hpcore._layout import Nodes
from hpcore._validate import row_chunks
from hpcore.distances import Points
from hpcore.threads import in_threads, row_ranges

if TYPE_CHECKING:
    from hpcore._mst_cpu import Blocks

_SAMPLE = 256


def scale_exponent(points: Points, n_threads: int) -> int:
    """The power of two that brings the largest coordinate to about 1, as far as the type of the rows holds it."""
    rows = points.rows
    ranges = row_ranges(rows.shape[0], rows.shape[1] * rows.itemsize, n_threads)
    largest = max(in_threads(lambda part: _largest(rows[part]), ranges, n_threads))
    limit = int(np.finfo(rows.dtype).maxexp) - 2
    return max(-limit, min(limit, -int(np.frexp(largest)[1])))


def _largest(rows: NDArray[Any]) -> float:
    return max(float(max(rows[chunk].max(), -rows[chunk].min())) for chunk in row_chunks(rows))


def rough_approximation(points: Points) -> Callable[[int], Approximation]:
    """The cheapest way on the CPU, given the exponent of the scale."""
    if points.rows.shape[1] > LARGEST_DIRECT:
        return FixedPoint
    return partial(Direct, np.float32 if points.rows.dtype == np.float32 else np.float64)


def bytes_come_first(points: Points, nodes: Nodes) -> bool:
    """Whether rows should be rounded to 8 bits first, by a sample of them."""
    from hpcore._context import centre_of
    from hpcore._exact_cpu import edge_lengths
    from hpcore._simd import HAS_BYTE_PRODUCTS

    if not HAS_BYTE_PRODUCTS or points.rows.shape[1] < FEWEST_OF_BYTES:
        return False
    ends = np.delete(np.arange(nodes.row.shape[0]), nodes.start[1:] - 1)  # with a neighbour of the same class
    if ends.shape[0] == 0:
        return False
    ends = ends[:: 1 + ends.shape[0] // _SAMPLE]
    squared = np.empty(ends.shape[0])
    edge_lengths(points.rows, nodes.row[ends], nodes.row[ends + 1], squared)  # twice the squared distance from a centre
    sample = nodes.row[ends]
    return bytes_suffice(points.rows, sample, centre_of(points, sample), float(squared.mean()) / 2)


def blocks_on(device: str, points: Points, exponent: int) -> Blocks:
    """Blocks of a torch device."""
    from hpcore._mst_cuda import CudaBlocks

    return CudaBlocks(points.rows, exponent, device)
