"""Candidates between two sets whose trees fall into far clusters: every two clusters by themselves.

An edge of a minimum tree over A and B between a cluster of A and one of B lies in a minimum tree over these two. There
the paths lead through the cores of the clusters, not through one core of a set; and each cluster has its own centre, so
that bounds are as narrow as the clusters are small, however far apart these are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore import _exact_cpu, _forest_cpu
from hpcore._approximation import Packed
from hpcore._context import Context, Tree, centre_of
from hpcore._mst_cpu import CpuBlocks, Ends, Reaches, rounded_up

SMALLEST_CLUSTER = 64
"""Nodes; a block of fewer costs more to begin than to compute."""
_GAP = 4.0  # between clusters: so many times the median edge, both squared


@dataclass(frozen=True)
class _Cluster:
    """Nodes of a set, their rows around their own centre, and the longest edge from each to the core of the cluster."""

    node: NDArray[np.intp]
    row: NDArray[np.intp]
    centre: NDArray[np.float64]
    packed: Packed
    core: NDArray[Any]


def between_clusters(context: Context, trees: tuple[Tree, Tree]) -> Ends | None:
    """Candidates between two sets that fit a block; None where they are too many between any two clusters."""
    blocks = context.ladder[0]
    first, second = (_clusters(context, tree, blocks) for tree in trees)
    found = []
    for left, right in product(first, second):
        spans = np.array([[0, left.node.shape[0], 0, right.node.shape[0]]])
        state = Reaches.open(spans[:, 1::2], blocks.dtype)
        packed = (_seen_from(context, left, right), _seen_from(context, right, left))
        u, v, n_found = blocks.between(packed, (left.core, right.core), spans, state, state.at)
        if n_found[0] < 0:
            return None
        found.append((left.node[u], right.node[v]))
    u, v = (np.concatenate(ends) for ends in zip(*found, strict=True))
    return u, v


def _clusters(context: Context, tree: Tree, blocks: CpuBlocks) -> list[_Cluster]:
    u, v, weight = tree.u[tree.in_tree], tree.v[tree.in_tree], tree.weight[tree.in_tree]
    start, n_nodes = tree.nodes.start, tree.core.shape[0]
    core, label = np.empty(n_nodes), np.empty(n_nodes, np.intp)
    gap = _GAP * float(np.median(weight)) if weight.size else 0.0
    _forest_cpu.cluster_cores(u - start, v - start, weight, gap, SMALLEST_CLUSTER, core, label)
    lengths = rounded_up(core * context.scale, blocks.dtype)
    found = []
    for each in np.unique(label):
        own = np.flatnonzero(label == each)
        own = own[np.argsort(core[own], kind="stable")]  # runs of columns with much the same thresholds
        row = context.nodes.row[start + own]
        centre = centre_of(context.points, row)
        packed = blocks.pack(context.points.rows, row, centre)
        found.append(_Cluster(start + own, row, centre, packed, lengths[own]))
    return found


def _seen_from(context: Context, here: _Cluster, there: _Cluster) -> Packed:
    """The points of one cluster in the form of a block with those of another."""
    shift = np.empty(here.node.shape[0])
    _exact_cpu.centre_shifts(context.points.rows, here.row, here.centre, there.centre, shift)
    return replace(here.packed, shift=shift * context.scale)
