"""Candidate edges of minimum spanning trees: trees of the classes, then edges between slabs of classes.

Every function returns a superset of the edges of all minimum trees, with exact lengths; see docs/algorithm.md. Where
a filter lets too much pass, a dearer one follows: paths through a core of every cluster instead of one of the class,
Prim's algorithm over the trees of both sides, then bounds from float64 products, then from direct differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore import _forest_cpu
from hpcore._approximation import Packed
from hpcore._clusters import between_clusters
from hpcore._context import Context, Tree, centre_of
from hpcore._layout import Nodes, Slab
from hpcore._mst_cpu import CANDIDATES_PER_POINT, Ends, Found, Reaches
from hpcore.ties import sorted_edges


@dataclass(frozen=True)
class Cross:
    """Candidates between the two classes of each pair: pair p has the edges ``start[p]:start[p + 1]``, in any order."""

    pairs: NDArray[np.intp]
    start: NDArray[np.intp]
    u: NDArray[np.intp]
    v: NDArray[np.intp]
    weight: NDArray[np.float64]


def trees_of_block(context: Context, sets: Sequence[slice]) -> list[Tree]:
    """Trees of consecutive sets of nodes that fit one block together."""
    nodes = slice(sets[0].start, sets[-1].stop)
    centre = centre_of(context.points, context.nodes.row[nodes])
    return trees_of_packed(context, sets, context.pack(nodes, centre), centre)


def edges_between_parts(
    context: Context, trees: tuple[Tree, Tree], packed: tuple[Packed, Packed]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Candidates between two parts of a class and their lengths, given the trees of both."""
    spans = np.array([[0, packed[0].n_points, 0, packed[1].n_points]])
    state = Reaches.open(spans[:, 1::2], context.blocks.dtype)
    cores = (context.upper(trees[0].core), context.upper(trees[1].core))
    u, v, n_found = context.blocks.between(packed, cores, spans, state, state.at)
    if n_found[0] < 0:
        u, v = between_trees(context, trees)
    else:
        u, v = u + trees[0].nodes.start, v + trees[1].nodes.start
    return u, v, context.lengths(u, v)


@dataclass(frozen=True)
class ByCore:
    """Nodes and trees with the nodes of every class by ascending core length; ``order (M,)`` holds old places.

    ``core (M,)`` is in the units of a block. Neighbours have much the same thresholds, and the filter between classes
    drops whole runs of nodes by the largest threshold among them.
    """

    order: NDArray[np.intp]
    nodes: Nodes
    trees: tuple[Tree, ...]
    core: NDArray[Any]


def by_core(context: Context, trees: Sequence[Tree]) -> ByCore:
    """Sort the nodes within each class."""
    nodes = context.nodes
    orders = [np.argsort(tree.core, kind="stable") for tree in trees]
    order = np.concatenate([tree.nodes.start + own for tree, own in zip(trees, orders, strict=True)])
    place = np.empty_like(order)
    place[order] = np.arange(order.shape[0])
    in_order = tuple(
        replace(tree, u=place[tree.u], v=place[tree.v], core=tree.core[own])
        for tree, own in zip(trees, orders, strict=True)
    )
    return ByCore(
        order,
        Nodes(nodes.row[order], nodes.point[order], nodes.copies[order], nodes.start),
        in_order,
        context.upper(np.concatenate([tree.core for tree in in_order])),
    )


def cross_edges_between(
    context: Context,
    left: Slab,
    right: Slab,
    packed: Callable[[slice], Packed],
    sorted_by: ByCore,
) -> Cross:
    """Candidates between every class of one slab and every later class of another.

    The nodes of `context` are those of `sorted_by`; the edges that are returned join nodes at their old places.
    `packed` brings parts into the form of the approximation, all around one centre.
    """
    trees, core = sorted_by.trees, sorted_by.core
    pairs = np.array([(a, b) for a in range(left.first, left.stop) for b in range(max(a + 1, right.first), right.stop)])
    begin, end = context.nodes.start[pairs], context.nodes.start[pairs + 1]
    state = Reaches.open(end - begin, context.blocks.dtype)
    found: list[Found] = []
    for row_part in left.parts:
        rows = packed(row_part)
        for column_part in right.parts:
            columns = packed(column_part)
            origin = (row_part.start, column_part.start)
            first, last = np.maximum(begin, origin), np.minimum(end, (row_part.stop, column_part.stop))
            spans = np.empty((pairs.shape[0], 2, 2), np.intp)
            spans[:, :, 0], spans[:, :, 1] = first - origin, last - origin
            u, v, n_found = context.blocks.between(
                (rows, columns),
                (core[row_part], core[column_part]),
                spans.reshape(-1, 4),
                state,
                state.at + (first - begin),
            )
            found.append((u + row_part.start, v + column_part.start, np.maximum(n_found, 0)))
            for p in np.flatnonzero(n_found < 0):
                of_row, of_column = (
                    tree_of(context, slice(*ends), trees[label])
                    for label, *ends in zip(pairs[p], first[p], last[p], strict=True)
                )
                found.append(_of_pair(between_trees(context, (of_row, of_column)), int(p), pairs.shape[0]))
    order, starts = _pair_after_pair([n_found for _, _, n_found in found])
    u, v = (np.concatenate([each[side] for each in found])[order] for side in (0, 1))
    return Cross(pairs, starts, sorted_by.order[u], sorted_by.order[v], context.lengths(u, v))


def joined(found: Sequence[Cross]) -> Cross:
    """What several searches found of the same pairs."""
    order, starts = _pair_after_pair([np.diff(each.start) for each in found])
    columns = zip(*((each.u, each.v, each.weight) for each in found), strict=True)
    u, v, weight = (np.concatenate(each)[order] for each in columns)
    return Cross(found[0].pairs, starts, u, v, weight)


def _pair_after_pair(n_found: Sequence[NDArray[np.intp]]) -> tuple[NDArray[np.intp] | slice, NDArray[np.intp]]:
    """The order that brings together what several searches found of each pair, and where each pair begins."""
    total = np.sum(n_found, axis=0)
    starts = np.concatenate(([0], np.cumsum(total)))
    if len(n_found) == 1:
        return slice(None), starts
    pair = np.concatenate([np.repeat(np.arange(total.shape[0]), each) for each in n_found])
    return np.argsort(pair, kind="stable"), starts


def _of_pair(ends: Ends, p: int, n_pairs: int) -> Found:
    n_found = np.zeros(n_pairs, np.intp)
    n_found[p] = ends[0].shape[0]
    return *ends, n_found


def trees_of_packed(context: Context, sets: Sequence[slice], packed: Packed, centre: NDArray[np.float64]) -> list[Tree]:
    """Trees of consecutive sets in one block; on exact lengths where too many edges stay in doubt."""
    start = sets[0].start
    found = context.blocks.within(packed, [(each.start - start, each.stop - start) for each in sets])
    trees = []
    for own, ends in zip(sets, found, strict=True):
        u, v = candidates_within(context, own, centre) if ends is None else (ends[0] + start, ends[1] + start)
        trees.append(contract(context, own, u, v, context.lengths(u, v)))
    return trees


def candidates_within(context: Context, part: slice, centre: NDArray[np.float64]) -> Ends:
    """Candidates within a set by the dearer ways of the ladder."""
    for blocks in context.ladder:
        if blocks is context.blocks:
            continue
        most = None if blocks is context.ladder[-1] else CANDIDATES_PER_POINT * (part.stop - part.start)
        found = blocks.within_at_most(blocks.pack(context.points.rows, context.nodes.row[part], centre), most)
        if found is not None:
            break
    assert found is not None  # exact lengths have no limit
    return found[0] + part.start, found[1] + part.start


def tree_of(context: Context, part: slice, tree: Tree) -> Tree:
    """Tree of a part of a class, given the tree of the class."""
    if tree.nodes == part:
        return tree
    return trees_of_block(context, [part])[0]


def between_trees(context: Context, trees: tuple[Tree, Tree]) -> Ends:
    """Candidates between two sets: cluster by cluster, or by Prim's algorithm on both trees, last on exact lengths."""
    apart = between_clusters(context, trees)
    if apart is not None:
        return apart
    rows = [context.nodes.row[tree.nodes] for tree in trees]
    centre = centre_of(context.points, np.concatenate(rows))
    adjacency = _adjacency(trees)
    for blocks in context.ladder:
        most = None if blocks is context.ladder[-1] else CANDIDATES_PER_POINT * (len(rows[0]) + len(rows[1]))
        packed = [blocks.pack(context.points.rows, each, centre) for each in rows]
        found = blocks.between_trees((packed[0], packed[1]), adjacency, context.scale, most)
        if found is not None:
            break
    assert found is not None  # exact lengths have no limit
    return found[0] + trees[0].nodes.start, found[1] + trees[1].nodes.start


def contract(
    context: Context, nodes: slice, u: NDArray[np.intp], v: NDArray[np.intp], weight: NDArray[np.float64]
) -> Tree:
    """Keep the candidates that lie in some minimum tree."""
    n_nodes = nodes.stop - nodes.start
    edges = sorted_edges(u - nodes.start, v - nodes.start, weight)
    keep, in_tree = (np.empty(edges.u.shape[0], np.bool_) for _ in range(2))
    _forest_cpu.minimal_edges(n_nodes, edges.u, edges.v, edges.weight, context.points.tie_tolerance, keep, in_tree)
    core = np.empty(n_nodes)
    _forest_cpu.core_lengths(edges.u[in_tree], edges.v[in_tree], edges.weight[in_tree], core)
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
