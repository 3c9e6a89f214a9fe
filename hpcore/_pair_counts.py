"""Cross edges of every pair of classes from candidate edges: Kruskal in bulk, tied pairs one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcore.spanning_tree import Forests, Progress
from hpcore.ties import CrossEdges, check_number, cross_edges, sorted_edges

if TYPE_CHECKING:
    from hpcore._candidates import Cross


@dataclass(frozen=True)
class PairCounts:
    """`hpcore.ties.CrossEdges` of every pair of a range as arrays, in the order (0, 1), (0, 2), …, (1, 2), …."""

    count: NDArray[np.float64]
    least: NDArray[np.int64]
    most: NDArray[np.int64]
    squared_weights: NDArray[np.float64]
    squared_strengths: NDArray[np.float64]


def count_pairs(
    forests: Forests, ties: str, report: Progress, on_cross: Callable[[Cross], None] = lambda _: None
) -> PairCounts:
    """Count the cross edges of the pairs; ``report("class_pairs", done, P)`` is called as they are done.

    `on_cross` gets the candidates that were counted, task by task in order, in the calling thread.
    """
    n_pairs = len(forests.pairs)
    columns = np.empty((5, n_pairs))
    counter = _Counter(forests, ties)
    done = 0
    report("class_pairs", 0, n_pairs)
    for cross, found in forests.run(counter):
        columns[:, forests.pairs.place(cross.pairs)] = found
        on_cross(cross)
        done += cross.pairs.shape[0]
        report("class_pairs", done, n_pairs)
    return PairCounts(columns[0], *columns[1:3].astype(np.int64), *columns[3:])


class _Counter:
    """Counts the cross edges of the pairs of one task."""

    def __init__(self, forests: Forests, ties: str) -> None:
        self._points, self._nodes, self._trees = forests.points, forests.nodes, forests.trees
        self._ties = ties
        sizes = [tree.u.shape[0] for tree in self._trees]
        self._edge_start = np.concatenate(([0], np.cumsum(sizes))).astype(np.intp)
        self._u = np.concatenate([tree.u for tree in self._trees])
        self._v = np.concatenate([tree.v for tree in self._trees])
        self._weight = np.concatenate([tree.weight for tree in self._trees])
        self._has_copies = np.maximum.reduceat(self._nodes.copies, self._nodes.start[:-1]) > 1

    def __call__(self, cross: Cross) -> tuple[Cross, NDArray[np.float64]]:
        """Return the candidates and, pair by pair, the values (5, P) of `CrossEdges`."""
        from hpcore._pair_forests_cpu import pair_forests

        columns = np.empty((5, cross.pairs.shape[0]))
        is_tied = np.asarray(self._has_copies[cross.pairs].any(axis=1))
        pair_forests(
            cross.pairs,
            self._nodes.start,
            self._edge_start,
            self._u,
            self._v,
            self._weight,
            cross.start,
            cross.u,
            cross.v,
            cross.weight,
            self._points.tie_tolerance,
            columns[2:],
            is_tied,
        )
        columns[:2] = columns[2]
        for p in np.flatnonzero(is_tied):
            found = self._tied(cross, int(p))
            columns[:, p] = found.count, found.least, found.most, found.squared_weights, found.squared_strengths
        return cross, columns

    def _tied(self, cross: Cross, p: int) -> CrossEdges:
        """One pair with repeated points or edges of equal length: points that both classes share are one node."""
        nodes = self._nodes
        labels = cross.pairs[p]
        own = [slice(nodes.start[label], nodes.start[label + 1]) for label in labels]
        points, place = np.unique(np.concatenate([nodes.point[each] for each in own]), return_inverse=True)
        copies = np.zeros((points.shape[0], 2), np.int64)
        n_first = own[0].stop - own[0].start
        copies[place[:n_first], 0] = nodes.copies[own[0]]
        copies[place[n_first:], 1] = nodes.copies[own[1]]
        between = slice(cross.start[p], cross.start[p + 1])
        within = [slice(self._edge_start[label], self._edge_start[label + 1]) for label in labels]
        if self._ties == "average":
            check_number(int(between.stop - between.start + sum(each.stop - each.start for each in within)))
        u = np.concatenate([self._u[each] for each in within] + [cross.u[between]])
        v = np.concatenate([self._v[each] for each in within] + [cross.v[between]])
        weight = np.concatenate([self._weight[each] for each in within] + [cross.weight[between]])
        i, j = np.searchsorted(points, nodes.point[u]), np.searchsorted(points, nodes.point[v])
        is_edge = i != j
        edges = sorted_edges(i[is_edge], j[is_edge], weight[is_edge])
        return cross_edges(edges, copies, self._points.tie_tolerance, self._ties)
