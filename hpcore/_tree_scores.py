"""How much of a point's neighbourhood, in the trees over class pairs, belongs to other classes."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore import _validate
from hpcore.distances import distinct_points
from hpcore.spanning_tree import minimal_edges
from hpcore.ties import contract_levels

Floats = NDArray[np.float64]


def foreign_edge_shares(
    rows: NDArray[Any],
    codes: NDArray[np.intp],
    n_classes: int,
    metric: str,
    report: Callable[[str, int, int], None],
) -> Floats:
    """Sum, over the class pairs of each point, of its cross-class tree edges divided by its degree.

    Where the tree is not unique both are expectations over a uniformly drawn tree. Dividing by the degree keeps hubs
    from dominating, whose raw counts hide a contraction of the classes.

    Returns
    -------
    ndarray of float64 (N,)

    Notes
    -----
    Memory: that of one tree over two classes, see `hpcore.spanning_tree.minimal_edges`.
    """
    points = distinct_points(rows, _validate.choice(metric, "metric", _validate.METRICS))
    scores = np.zeros(len(rows))
    pairs = list(combinations(range(n_classes), 2))
    for done, (first, second) in enumerate(pairs, start=1):
        members = np.flatnonzero((codes == first) | (codes == second))
        nodes, place = np.unique(points.index[members], return_inverse=True)
        is_second = codes[members] == second
        copies = np.stack([np.bincount(place, ~is_second), np.bincount(place, is_second)], axis=1).astype(np.int64)
        coordinates = np.asarray(points.rows[points.representative[nodes]], np.float64)
        cross, degree = _expected_degrees(coordinates, copies, points.tie_tolerance)
        scores[members] += cross[place, is_second.astype(np.intp)] / degree[place]
        report("class_pairs", done, len(pairs))
    return scores


def _expected_degrees(coordinates: Floats, copies: NDArray[np.int64], tolerance: float) -> tuple[Floats, Floats]:
    """Expected cross-class degree (G, 2) of a copy of either class at each node, and degree (G,) of any copy."""
    edges = minimal_edges(coordinates, tolerance)
    sizes = copies.sum(axis=1)
    same = (copies[edges.u] * copies[edges.v]).sum(axis=1)
    total = sizes[edges.u] * sizes[edges.v]
    use = contract_levels(edges, sizes, same > 0, total > same, tolerance).resistance
    # A uniform tree on the s copies of one point uses each of their edges with probability 2/s.
    other = copies[:, ::-1]
    cross = 2.0 * other / sizes[:, None]
    degree = 2.0 * (sizes - 1) / sizes
    for here, there in ((edges.u, edges.v), (edges.v, edges.u)):
        np.add.at(cross, here, use[:, None] * other[there])
        np.add.at(degree, here, use * sizes[there])
    return cross, degree
