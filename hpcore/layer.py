"""One layer at once, or in pieces that may be computed anywhere in any order.

    class_trees ──▶ pair_block, pair_block, … ──▶ joined

The pieces are small arrays. Together they give, bit for bit, what `measure_pairs` gives in one go: the statistic of
every pair of classes, and the test of any separation, whose tree over all points comes from the same distances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcore._global_edges import GlobalEdges, minimal
from hpcore._layer_points import LayerPoints, Options
from hpcore._layout import PairRange
from hpcore._pair_counts import count_pairs
from hpcore._result import TestResult
from hpcore.errors import InvalidInput
from hpcore.overall import any_separation
from hpcore.separation import PairwiseSeparation, pairwise_separation
from hpcore.spanning_tree import Forests, on_device

if TYPE_CHECKING:
    from hpcore._context import Tree


@dataclass(frozen=True)
class ClassTrees:
    """Edges of all minimum spanning trees of each of K classes, and where the rows went.

    Attributes
    ----------
    classes : (K,)
        The labels, sorted.
    codes, index : (N,) int64
        Class and point of every row; rows that coincide are one point.
    start : (K + 1,) int64
        Class c has the nodes ``start[c]:start[c + 1]``, one for each of its points.
    edge_start : (K + 1,) int64
        Class c has the edges ``edge_start[c]:edge_start[c + 1]``.
    u, v, weight, in_tree : (E,)
        Ends (nodes) and squared lengths of the edges, and which of them make up one tree.
    core : (M,) float64
        Longest edge (squared) on the way from each node to the core of its class.
    n_zero_rows, tie_tolerance, metric
        As in `PairwiseSeparation`, and the relative difference of squared lengths below which they are tied.
    """

    classes: NDArray[Any]
    codes: NDArray[np.int64]
    index: NDArray[np.int64]
    start: NDArray[np.int64]
    edge_start: NDArray[np.int64]
    u: NDArray[np.int64]
    v: NDArray[np.int64]
    weight: NDArray[np.float64]
    in_tree: NDArray[np.bool_]
    core: NDArray[np.float64]
    n_zero_rows: int
    tie_tolerance: float
    metric: str


@dataclass(frozen=True)
class PairBlock:
    """Cross edges of the pairs ``first:first + n`` in the order (0, 1), (0, 2), …, (1, 2), ….

    Attributes
    ----------
    first : int
        Number of the first pair.
    cross_edges : (n,) float64
        R.
    cross_edges_min, cross_edges_max : (n,) int64
        Range of R over all minimum trees.
    squared_weights, squared_strengths : (n,) float64
        What the null distribution of R depends on, see `hpcore.ties.CrossEdges`.
    u, v, weight
        Ends (points) and squared lengths of the edges that may lie in a minimum tree over the points of all classes.
    ties, device : str
        As in `PairwiseSeparation`.
    """

    first: int
    cross_edges: NDArray[np.float64]
    cross_edges_min: NDArray[np.int64]
    cross_edges_max: NDArray[np.int64]
    squared_weights: NDArray[np.float64]
    squared_strengths: NDArray[np.float64]
    u: NDArray[np.int64]
    v: NDArray[np.int64]
    weight: NDArray[np.float64]
    ties: str
    device: str


def measure_pairs(
    activations: ArrayLike, labels: ArrayLike, **options: Unpack[Options]
) -> tuple[PairwiseSeparation, TestResult]:
    """Return `hpcore.pairwise_henze_penrose` and `hpcore.overall.separation_test` of a layer, for the cost of one.

    Options and errors as in `hpcore.pairwise_henze_penrose`.
    """
    layer = LayerPoints.of(activations, labels, **options)

    def measure(part_size: int) -> tuple[ClassTrees, PairBlock]:
        forests = layer.forests(part_size)
        return _trees_of(layer, forests), _block_of(layer, forests)

    trees, block = on_device(layer.device, measure)
    return joined(trees, [block])


def class_trees(activations: ArrayLike, labels: ArrayLike, **options: Unpack[Options]) -> ClassTrees:
    """Build the trees of all classes; options and errors as in `hpcore.pairwise_henze_penrose`."""
    layer = LayerPoints.of(activations, labels, **options)
    return on_device(layer.device, lambda part_size: _trees_of(layer, layer.forests(part_size)))


def pair_block(
    activations: ArrayLike,
    labels: ArrayLike,
    trees: ClassTrees,
    first: int,
    stop: int,
    **options: Unpack[Options],
) -> PairBlock:
    """Count the cross edges of the pairs ``first:stop``; the rows are those that `trees` were built from.

    Options and errors as in `hpcore.pairwise_henze_penrose`, the metric being that of the trees; and `InvalidInput`
    where the trees are of other rows, or the pairs are not there.
    """
    given: Options = {**options, "metric": trees.metric}
    layer = LayerPoints.of(activations, labels, **given)
    every = PairRange.every(layer.n_classes)
    if not 0 <= first < stop <= len(every):
        raise InvalidInput(f"`first`, `stop` must be a range within the {len(every)} pairs; got {first}, {stop}.")
    known = (trees.classes, trees.codes, trees.index)
    here = (layer.groups.classes, layer.groups.codes, layer.points.index)
    if not all(np.array_equal(a, b) for a, b in zip(known, here, strict=True)):
        raise InvalidInput("`trees` must have been built from these very activations and labels.")
    pairs = PairRange(first, stop, layer.n_classes)

    def count(part_size: int) -> PairBlock:
        return _block_of(layer, layer.forests(part_size, trees=list(_kept(trees)), pairs=pairs))

    return on_device(layer.device, count)


def joined(trees: ClassTrees, blocks: Sequence[PairBlock]) -> tuple[PairwiseSeparation, TestResult]:
    """Put blocks that hold every pair once together, in any order.

    Raises
    ------
    InvalidInput
        A pair is missing or comes twice.
    """
    blocks = sorted(blocks, key=lambda block: block.first)
    n_pairs = len(PairRange.every(trees.classes.shape[0]))
    ends = [block.first + block.cross_edges.shape[0] for block in blocks]
    if [block.first for block in blocks] != [0, *ends][: len(blocks)] or ends[-1:] != [n_pairs]:
        raise InvalidInput(f"`blocks` must hold each of the {n_pairs} pairs once.")
    sizes = np.bincount(trees.codes, minlength=trees.classes.shape[0]).astype(np.int64)
    n_points = int(trees.index.max()) + 1
    separation = pairwise_separation(
        trees.classes,
        sizes,
        *(
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("cross_edges", "cross_edges_min", "cross_edges_max", "squared_weights", "squared_strengths")
        ),
        n_duplicates=trees.index.shape[0] - n_points,
        n_zero_rows=trees.n_zero_rows,
        device="+".join(sorted({block.device for block in blocks})),
        metric=trees.metric,
        ties=blocks[0].ties,
    )
    edges, _ = minimal([(block.u, block.v, block.weight) for block in blocks], n_points, trees.tie_tolerance)
    return separation, any_separation(edges, trees.index, trees.codes, sizes, trees.tie_tolerance)


def _trees_of(layer: LayerPoints, forests: Forests) -> ClassTrees:
    trees, counts = forests.trees, [0, *(tree.u.shape[0] for tree in forests.trees)]
    return ClassTrees(
        classes=layer.groups.classes,
        codes=layer.groups.codes,
        index=layer.points.index,
        start=forests.nodes.start,
        edge_start=np.cumsum(counts),
        u=np.concatenate([tree.u for tree in trees]),
        v=np.concatenate([tree.v for tree in trees]),
        weight=np.concatenate([tree.weight for tree in trees]),
        in_tree=np.concatenate([tree.in_tree for tree in trees]),
        core=np.concatenate([tree.core for tree in trees]),
        n_zero_rows=layer.points.n_zero_rows,
        tie_tolerance=layer.points.tie_tolerance,
        metric=layer.metric,
    )


def _kept(trees: ClassTrees) -> Iterator[Tree]:
    from hpcore._context import Tree

    for nodes, edges in zip(pairwise(trees.start.tolist()), pairwise(trees.edge_start.tolist()), strict=True):
        own, at = slice(*nodes), slice(*edges)
        yield Tree(own, trees.u[at], trees.v[at], trees.weight[at], trees.in_tree[at], trees.core[own])


def _block_of(layer: LayerPoints, forests: Forests) -> PairBlock:
    edges = GlobalEdges(forests)
    found = count_pairs(forests, layer.ties, layer.report, edges.add)
    left = edges.contracted()
    return PairBlock(
        first=forests.pairs.first,
        cross_edges=found.count,
        cross_edges_min=found.least,
        cross_edges_max=found.most,
        squared_weights=found.squared_weights,
        squared_strengths=found.squared_strengths,
        u=left.u,
        v=left.v,
        weight=left.weight,
        ties=layer.ties,
        device=layer.device,
    )
