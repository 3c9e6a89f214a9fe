"""Edges of the minimum trees over the points of all classes, gathered while the pairs of classes are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcore.ties import Edges, sorted_edges

if TYPE_CHECKING:
    from hpcore._candidates import Cross
    from hpcore.spanning_tree import Forests

_WAITING_PER_POINT = 4
_FEWEST_WAITING = 2**16


class GlobalEdges:
    """A superset of the edges of all minimum trees over all points, as far as the candidates it was given go.

    An edge of such a tree lies in a minimum tree of any subset that holds both its ends: of its class, or of the two
    classes that it joins. So class trees and the candidates of all pairs suffice, and so do the edges that are left of
    parts of them. Memory: O(points), however many pairs there are.
    """

    def __init__(self, forests: Forests) -> None:
        self._point = forests.nodes.point
        self._n_points = forests.points.representative.shape[0]
        self._tolerance = forests.points.tie_tolerance
        self._core: NDArray[np.float64] | None = None  # of a tree over all points, once there is one
        self._waiting: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]] = []
        self._n_waiting = 0
        for tree in forests.trees:
            self._append(tree.u, tree.v, tree.weight)

    def add(self, cross: Cross) -> None:
        """Take in the candidates of some pairs of classes."""
        self._append(cross.u, cross.v, cross.weight)
        if self._n_waiting > max(_FEWEST_WAITING, _WAITING_PER_POINT * self._n_points):
            self._contract()

    def contracted(self) -> Edges:
        """Return the edges that are left."""
        return self._contract()

    def _append(self, u: NDArray[np.intp], v: NDArray[np.intp], weight: NDArray[np.float64]) -> None:
        i, j = self._point[u], self._point[v]
        keep = i != j
        if self._core is not None:  # no longer than the path through the core, or in no minimum tree
            keep &= weight <= np.maximum(self._core[i], self._core[j]) * (1.0 + self._tolerance)
        self._waiting.append((i[keep], j[keep], weight[keep]))
        self._n_waiting += int(keep.sum())

    def _contract(self) -> Edges:
        edges, in_tree = minimal(self._waiting, self._n_points, self._tolerance)
        tree = (edges.u[in_tree], edges.v[in_tree], edges.weight[in_tree])
        if tree[0].shape[0] == self._n_points - 1:
            from hpcore._forest_cpu import core_lengths

            self._core = np.empty(self._n_points)
            core_lengths(*tree, self._core)
        self._waiting, self._n_waiting = [(edges.u, edges.v, edges.weight)], 0
        return edges


def minimal(
    parts: list[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]], n_points: int, tolerance: float
) -> tuple[Edges, NDArray[np.bool_]]:
    """Keep the edges that lie in some minimum forest, or are tied with one that does; tell which make up one forest."""
    from hpcore._forest_cpu import minimal_edges

    edges = sorted_edges(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    keep, in_tree = (np.empty(edges.u.shape[0], np.bool_) for _ in range(2))
    minimal_edges(n_points, edges.u, edges.v, edges.weight, tolerance, keep, in_tree)
    return Edges(edges.u[keep], edges.v[keep], edges.weight[keep]), in_tree[keep]
