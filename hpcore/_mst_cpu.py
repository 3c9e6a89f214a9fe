"""Candidate edges of minimum spanning trees on the CPU: trees of the classes first, then edges between slabs.

Every function returns a superset of the edges of all minimum trees, with exact lengths; see docs/algorithm.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore import _block_cpu, _exact_cpu, _forest_cpu
from hpcore._approximation import Approximation, Direct, Packed
from hpcore._layout import Nodes, Slab
from hpcore._prim_cross_cpu import cross_tree_candidates
from hpcore.distances import Points

CANDIDATES_PER_POINT = 40
"""More candidates than this mean that the filter has not worked: bounds too wide, or clusters too far apart."""


@dataclass(frozen=True)
class Tree:
    """Edges of all minimum trees of one set of nodes, sorted by (weight, u, v); `in_tree` marks one of the trees.

    ``core`` is the longest edge (squared) from each node of the set to the core of that tree, see
    `hpcore._forest_cpu.core_lengths`.
    """

    first: int
    u: NDArray[np.intp]
    v: NDArray[np.intp]
    weight: NDArray[np.float64]
    in_tree: NDArray[np.bool_]
    core: NDArray[np.float64]


@dataclass(frozen=True)
class Cross:
    """Candidates between two classes of each pair: pair p has the edges ``start[p]:start[p + 1]``, in no order."""

    pairs: NDArray[np.intp]
    start: NDArray[np.intp]
    u: NDArray[np.intp]
    v: NDArray[np.intp]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class Context:
    """What all tasks share."""

    points: Points
    nodes: Nodes
    approximation: Approximation
    exact: Direct
    scale: float

    def pack(self, part: slice, centre: NDArray[np.float64]) -> Packed:
        """Bring the nodes of a part into the form of the approximation."""
        return self.approximation.pack(self.points.rows, self.nodes.row[part], centre)

    def lengths(self, u: NDArray[np.intp], v: NDArray[np.intp]) -> NDArray[np.float64]:
        """Exact squared distances between nodes."""
        squared = np.empty(u.shape[0])
        _exact_cpu.edge_lengths(self.points.rows, self.nodes.row[u], self.nodes.row[v], squared)
        return squared

    def upper(self, squared: NDArray[np.float64], dtype: type[np.floating[Any]]) -> NDArray[Any]:
        """Exact squared distances in the units of a block, rounded up."""
        scaled = squared * self.scale
        return np.nextafter(scaled.astype(dtype), dtype(np.inf))


def class_tree(context: Context, label: int, parts: Sequence[slice], scratch: NDArray[np.int32]) -> Tree:
    """Tree of one class: trees of its parts, then the edges between them."""
    begin, end = parts[0].start, parts[-1].stop
    centre = _mean(context.points.rows, context.nodes.row[begin:end])
    packed = [context.pack(part, centre) for part in parts]
    trees = [_part_tree(context, part, own, scratch) for part, own in zip(parts, packed, strict=True)]
    if len(parts) == 1:
        return trees[0]
    found = [(tree.u, tree.v, tree.weight) for tree in trees]
    for i, j in combinations(range(len(parts)), 2):
        u, v = _between_parts(context, (parts[i], parts[j]), (packed[i], packed[j]), (trees[i], trees[j]), scratch)
        found.append((u, v, context.lengths(u, v)))
    u, v, weight = (np.concatenate(each) for each in zip(*found, strict=True))
    return _contract(context, begin, end - begin, u, v, weight)


def _part_tree(context: Context, part: slice, packed: Packed, scratch: NDArray[np.int32]) -> Tree:
    n = part.stop - part.start
    u, v = _within(context, packed, scratch, CANDIDATES_PER_POINT * n)
    if u is None or v is None:
        rows = context.exact.pack(context.points.rows, context.nodes.row[part], np.empty(0))
        u, v = _within(context, rows, scratch, None)
        assert u is not None and v is not None
    u, v = u + part.start, v + part.start
    return _contract(context, part.start, n, u, v, context.lengths(u, v))
