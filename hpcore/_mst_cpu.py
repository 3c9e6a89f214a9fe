"""Candidate edges of minimum spanning trees on the CPU: trees of the classes, then edges between slabs of classes.

Every function returns a superset of the edges of all minimum trees, with exact lengths; see docs/algorithm.md. Where
the filter lets too much pass, a dearer one follows: bounds from direct differences in float64, and Prim's algorithm
over the trees of both sides instead of paths through their cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from hpcore.ties import sorted_edges

CANDIDATES_PER_POINT = 40
"""More candidates than this: the bounds are too wide for these data, or their clusters too far apart."""

Ends = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Tree:
    """Edges of all minimum trees of one set of nodes, sorted by (weight, u, v); `in_tree` marks one of the trees.

    ``core`` is the longest edge (squared) from each node of the set to the core of that tree, see
    `hpcore._forest_cpu.core_lengths`.
    """

    nodes: slice
    u: NDArray[np.intp]
    v: NDArray[np.intp]
    weight: NDArray[np.float64]
    in_tree: NDArray[np.bool_]
    core: NDArray[np.float64]


@dataclass(frozen=True)
class Cross:
    """Candidates between the two classes of each pair: pair p has the edges ``start[p]:start[p + 1]``, in any order."""

    pairs: NDArray[np.intp]
    start: NDArray[np.intp]
    u: NDArray[np.intp]
    v: NDArray[np.intp]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class Context:
    """What all tasks share; `scratch` returns a block's worth of memory that belongs to the calling thread."""

    points: Points
    nodes: Nodes
    approximation: Approximation
    exact: Direct
    scale: float
    scratch: Callable[[], NDArray[np.int32]]

    def pack(self, part: slice, centre: NDArray[np.float64], by: Approximation | None = None) -> Packed:
        """Bring the nodes of a part into the form of an approximation."""
        return (by or self.approximation).pack(self.points.rows, self.nodes.row[part], centre)

    def lengths(self, u: NDArray[np.intp], v: NDArray[np.intp]) -> NDArray[np.float64]:
        """Exact squared distances between nodes."""
        squared = np.empty(u.shape[0])
        _exact_cpu.edge_lengths(self.points.rows, self.nodes.row[u], self.nodes.row[v], squared)
        return squared

    def upper(self, squared: NDArray[np.float64], dtype: type[np.floating[Any]]) -> NDArray[Any]:
        """Exact squared distances in the units of a block, rounded up."""
        scaled = (squared * self.scale).astype(dtype)
        return np.nextafter(scaled, dtype(np.inf))


def centre_of(points: Points, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean of some rows: of all, or of a few thousand spread evenly, for it only has to be near."""
    centre = np.empty(points.rows.shape[1])
    _exact_cpu.mean_row(points.rows, rows[:: 1 + rows.shape[0] // 4096], centre)
    return centre


def class_tree(context: Context, parts: Sequence[slice]) -> Tree:
    """Tree of one class: trees of its parts, then the edges between parts."""
    nodes = slice(parts[0].start, parts[-1].stop)
    centre = centre_of(context.points, context.nodes.row[nodes])
    trees = [_part_tree(context, part, centre) for part in parts]
    if len(parts) == 1:
        return trees[0]
    found = [(tree.u, tree.v, tree.weight) for tree in trees]
    for i, j in combinations(range(len(parts)), 2):
        left, right = context.pack(parts[i], centre), context.pack(parts[j], centre)
        spans = np.array([[0, left.n_points, 0, right.n_points]])
        state = _Reaches.open(spans[:, 1] - spans[:, 0], spans[:, 3] - spans[:, 2], context.approximation.dtype)
        cores = (trees[i].core, trees[j].core)
        u, v, n_found = _filter(context, (left, right), cores, spans, state, state.at)
        if n_found[0] < 0:
            u, v = _between_trees(context, (trees[i], trees[j]))
        else:
            u, v = u + parts[i].start, v + parts[j].start
        found.append((u, v, context.lengths(u, v)))
    u, v, weight = (np.concatenate(each) for each in zip(*found, strict=True))
    return _contract(context, nodes, u, v, weight)


def cross_edges_between(
    context: Context,
    left: Slab,
    right: Slab,
    packed: Callable[[slice], Packed],
    trees: Sequence[Tree],
    core: NDArray[np.float64],
) -> Cross:
    """Candidates between every class of one slab and every later class of another.

    `packed` brings parts into the form of the approximation, all around one centre; ``core (M,)`` holds the core
    lengths of the nodes in the trees of their classes.
    """
    pairs = np.array([(a, b) for a in range(left.first, left.stop) for b in range(max(a + 1, right.first), right.stop)])
    start = context.nodes.start
    state = _Reaches.open(
        start[pairs[:, 0] + 1] - start[pairs[:, 0]],
        start[pairs[:, 1] + 1] - start[pairs[:, 1]],
        context.approximation.dtype,
    )
    found_u, found_v, found_pair = [], [], []
    for row_part in left.parts:
        rows = packed(row_part)
        row_first, row_stop = _clipped(start, pairs[:, 0], row_part)
        for column_part in right.parts:
            columns = packed(column_part)
            column_first, column_stop = _clipped(start, pairs[:, 1], column_part)
            first = np.stack((row_first, row_stop), axis=1) - row_part.start
            last = np.stack((column_first, column_stop), axis=1) - column_part.start
            spans = np.concatenate((first, last), axis=1)
            at = state.at + np.stack((row_first - start[pairs[:, 0]], column_first - start[pairs[:, 1]]), axis=1)
            cores = (core[row_part], core[column_part])
            u, v, n_found = _filter(context, (rows, columns), cores, spans, state, at)
            found_u.append(u + row_part.start)
            found_v.append(v + column_part.start)
            found_pair.append(np.repeat(np.arange(pairs.shape[0]), np.maximum(n_found, 0)))
            for p in np.flatnonzero(n_found < 0):
                ends = (slice(row_first[p], row_stop[p]), slice(column_first[p], column_stop[p]))
                of_parts = tuple(
                    _tree_of(context, part, trees[label]) for part, label in zip(ends, pairs[p], strict=True)
                )
                u, v = _between_trees(context, (of_parts[0], of_parts[1]))
                found_u.append(u)
                found_v.append(v)
                found_pair.append(np.full(u.shape[0], p))
    u, v, pair = np.concatenate(found_u), np.concatenate(found_v), np.concatenate(found_pair)
    if len(found_pair) > 1:
        order = np.argsort(pair, kind="stable")
        u, v, pair = u[order], v[order], pair[order]
    begin = np.searchsorted(pair, np.arange(pairs.shape[0] + 1)).astype(np.intp)
    return Cross(pairs, begin, u, v, context.lengths(u, v))


@dataclass(frozen=True)
class _Reaches:
    """What `hpcore._block_cpu.cross_candidates` has learned of each pair; ``at (P, 2)`` is where a pair begins."""

    at: NDArray[np.intp]
    rows: NDArray[Any]
    columns: NDArray[Any]
    bridge: NDArray[Any]

    @classmethod
    def open(cls, n_rows: NDArray[np.intp], n_columns: NDArray[np.intp], dtype: type[np.floating[Any]]) -> _Reaches:
        at = np.stack((np.cumsum(n_rows) - n_rows, np.cumsum(n_columns) - n_columns), axis=1)
        arrays = (np.full(int(n), np.inf, dtype) for n in (n_rows.sum(), n_columns.sum(), n_rows.shape[0]))
        return cls(at, *arrays)


def _clipped(
    start: NDArray[np.intp], labels: NDArray[np.intp], part: slice
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Nodes of the classes within a part."""
    return np.maximum(start[labels], part.start), np.minimum(start[labels + 1], part.stop)


def _filter(
    context: Context,
    packed: tuple[Packed, Packed],
    cores: tuple[NDArray[np.float64], NDArray[np.float64]],
    spans: NDArray[np.intp],
    state: _Reaches,
    at: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Candidates of one block, as places in it, pair after pair, and their numbers (-1: too many)."""
    approximation = context.approximation
    block = approximation.block(*packed, context.scratch())
    rows, columns = approximation.bounds(*packed)
    row_core, column_core = (context.upper(core, approximation.dtype) for core in cores)
    most = CANDIDATES_PER_POINT * (spans[:, 1] - spans[:, 0] + spans[:, 3] - spans[:, 2])
    capacity = int(max(most.max(), min(most.sum(), 4 * (packed[0].n_points + packed[1].n_points))))
    u, v = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
    n_found = np.zeros(spans.shape[0], np.intp)
    pair = 0
    while True:
        pair = _block_cpu.cross_candidates(
            block,
            rows,
            columns,
            row_core,
            column_core,
            spans,
            at,
            state.rows,
            state.columns,
            state.bridge,
            most,
            u,
            v,
            n_found,
            pair,
        )
        if pair == spans.shape[0]:
            break
        u, v = (np.concatenate((each, np.empty_like(each))) for each in (u, v))
    total = int(np.maximum(n_found, 0).sum())
    return u[:total].astype(np.intp), v[:total].astype(np.intp), n_found


def _part_tree(context: Context, part: slice, centre: NDArray[np.float64]) -> Tree:
    """Tree of a part by Prim's algorithm on bounds; on exact lengths where too many edges stay in doubt."""
    n_points = part.stop - part.start
    for approximation, most in ((context.approximation, CANDIDATES_PER_POINT * n_points), (context.exact, None)):
        packed = context.pack(part, centre, approximation)
        block = approximation.block(packed, packed, context.scratch())
        bounds, _ = approximation.bounds(packed, packed)
        found = _all_or_none(lambda u, v: _block_cpu.tree_candidates(block, bounds, u, v), 4 * n_points, most)  # noqa: B023 (called at once)
        if found is not None:
            break
    assert found is not None  # exact lengths have no limit
    u, v = found[0] + part.start, found[1] + part.start
    return _contract(context, part, u, v, context.lengths(u, v))


def _tree_of(context: Context, part: slice, tree: Tree) -> Tree:
    """Tree of a part of a class, given the tree of the class."""
    if tree.nodes == part:
        return tree
    return _part_tree(context, part, centre_of(context.points, context.nodes.row[part]))


def _between_trees(context: Context, trees: tuple[Tree, Tree]) -> Ends:
    """Candidates between two sets by Prim's algorithm over both trees; on exact lengths where too many are in doubt."""
    sizes = tuple(tree.nodes.stop - tree.nodes.start for tree in trees)
    centre = centre_of(context.points, np.concatenate([context.nodes.row[tree.nodes] for tree in trees]))
    starts, neighbours, weight = _adjacency(trees)
    for approximation, most in ((context.approximation, CANDIDATES_PER_POINT * sum(sizes)), (context.exact, None)):
        own = [context.pack(tree.nodes, centre, approximation) for tree in trees]
        block = approximation.block(own[0], own[1], context.scratch())[: sizes[0], : sizes[1]]
        rows, columns = approximation.bounds(own[0], own[1])
        lengths = context.upper(weight, approximation.dtype)
        plain, turned = np.ascontiguousarray(block), np.ascontiguousarray(block.T)
        found = _all_or_none(
            lambda u, v: cross_tree_candidates(plain, turned, rows, columns, starts, neighbours, lengths, u, v),  # noqa: B023 (called at once)
            4 * sum(sizes),
            most,
        )
        if found is not None:
            break
    assert found is not None  # exact lengths have no limit
    return found[0] + trees[0].nodes.start, found[1] + trees[1].nodes.start


def _all_or_none(
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


def _contract(
    context: Context, nodes: slice, u: NDArray[np.intp], v: NDArray[np.intp], weight: NDArray[np.float64]
) -> Tree:
    """Keep the candidates that lie in some minimum tree."""
    n_nodes = nodes.stop - nodes.start
    edges = sorted_edges(u - nodes.start, v - nodes.start, weight)
    n_edges = edges.u.shape[0]
    left, right, component = (np.empty(n_edges, np.intp) for _ in range(3))
    in_tree = np.empty(n_edges, np.bool_)
    nowhere = np.zeros(n_edges, np.bool_)
    tolerance = context.points.tie_tolerance
    _forest_cpu.level_forest(
        n_nodes, edges.u, edges.v, edges.weight, tolerance, nowhere, nowhere, left, right, component, in_tree
    )
    core = np.empty(n_nodes)
    _forest_cpu.core_lengths(edges.u[in_tree], edges.v[in_tree], edges.weight[in_tree], core)
    keep = left >= 0
    return Tree(
        nodes, edges.u[keep] + nodes.start, edges.v[keep] + nodes.start, edges.weight[keep], in_tree[keep], core
    )


def _adjacency(trees: tuple[Tree, Tree]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Neighbours in one tree of either set as lists in a row; the nodes of the second set follow those of the first."""
    shift = (-trees[0].nodes.start, trees[0].nodes.stop - trees[0].nodes.start - trees[1].nodes.start)
    u = np.concatenate([tree.u[tree.in_tree] + by for tree, by in zip(trees, shift, strict=True)])
    v = np.concatenate([tree.v[tree.in_tree] + by for tree, by in zip(trees, shift, strict=True)])
    weight = np.concatenate([tree.weight[tree.in_tree] for tree in trees])
    ends = np.concatenate((u, v))
    order = np.argsort(ends, kind="stable")
    starts = np.searchsorted(ends[order], np.arange(trees[0].core.shape[0] + trees[1].core.shape[0] + 1))
    return starts.astype(np.intp), np.concatenate((v, u))[order], np.concatenate((weight, weight))[order]
