"""How points are laid out for the kernels: nodes sorted by class, parts that fit a block, slabs of whole classes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hpcore.distances import Points


@dataclass(frozen=True)
class Nodes:
    """Distinct points of each class, class after class, in the order of the points.

    ``row (M,)`` is a row of the matrix, ``point (M,)`` the point, ``copies (M,)`` how many rows of the class coincide
    there; class c has the nodes ``start[c]:start[c + 1]``.
    """

    row: NDArray[np.intp]
    point: NDArray[np.intp]
    copies: NDArray[np.int64]
    start: NDArray[np.intp]


@dataclass(frozen=True)
class Slab:
    """Classes ``first:stop`` and their nodes in parts: several whole classes in one part, or one class in several."""

    first: int
    stop: int
    parts: tuple[slice, ...]


def lay_out(points: Points, codes: NDArray[np.intp], n_classes: int) -> Nodes:
    """Collapse the rows of each class (``codes (N,)``) that coincide."""
    n_points = points.representative.shape[0]
    key, copies = np.unique(codes * n_points + points.index, return_counts=True)
    label, point = np.divmod(key, n_points)
    start = np.searchsorted(label, np.arange(n_classes + 1)).astype(np.intp)
    return Nodes(points.representative[point], point.astype(np.intp), copies.astype(np.int64), start)


def slabs(nodes: Nodes, part_size: int) -> list[Slab]:
    """Group consecutive small classes into parts of at most `part_size` nodes; divide larger classes evenly."""
    result: list[Slab] = []
    n_classes = nodes.start.shape[0] - 1
    first = 0
    while first < n_classes:
        begin = int(nodes.start[first])
        stop = max(first + 1, int(np.searchsorted(nodes.start, begin + part_size, side="right")) - 1)
        end = int(nodes.start[stop])
        n_parts = -(-(end - begin) // part_size)
        cuts = np.linspace(begin, end, n_parts + 1).astype(int)
        parts = tuple(slice(int(a), int(b)) for a, b in pairwise(cuts))
        result.append(Slab(first, stop, parts))
        first = stop
    return result
