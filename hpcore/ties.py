"""Cross edges where the minimum spanning tree is not unique: averages over all minimum trees, and their range.

Points that coincide are one node with several copies; edges that are equally long form a level. A uniformly drawn
minimum tree is a product of independent uniform spanning trees, one per level and connected part of the multigraph that
is left when all shorter edges are contracted. There an edge is drawn with probability equal to the effective resistance
between its ends (Kirchhoff), every copy of an edge being a unit resistor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcore.errors import TooManyTies

LARGEST_TIE_COMPONENT = 4096
"""Contracted nodes of one connected set of equally long edges; its dense inverse takes 128 MiB."""
_ADVICE = '`ties="first"` takes one tree; `cross_edges_min` and `cross_edges_max` then tell how far it can be off.'


@dataclass(frozen=True)
class Edges:
    """Edges between distinct nodes, sorted by (weight, u, v), u < v, none twice; weights are squared distances.

    They must contain every edge of every minimum spanning tree; any further edge is harmless.
    """

    u: NDArray[np.intp]
    v: NDArray[np.intp]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class CrossEdges:
    """Cross edges of the minimum trees, and what their null distribution needs.

    ``count`` is the mean over all minimum trees (or the number in one), ``least`` and ``most`` the range over all of
    them; with ``w_e`` the weight of edge e in that mean, ``squared_weights`` is Σ w_e² and ``squared_strengths`` is
    Σ_v (Σ_{e∋v} w_e)² over all points.
    """

    count: float
    least: int
    most: int
    squared_weights: float
    squared_strengths: float


@dataclass(frozen=True)
class Levels:
    """Sorted edges after contraction: expected uses per copy, one tree, and the range of its cross edges.

    ``n_single`` connected parts were too large to be averaged: one tree of each was taken, see `contract_levels`.
    """

    resistance: NDArray[np.float64]
    in_tree: NDArray[np.bool_]
    least: int
    most: int
    n_single: int


def sorted_edges(u: NDArray[np.intp], v: NDArray[np.intp], weight: NDArray[np.float64]) -> Edges:
    """Order edges by (weight, u, v), ends ascending, and drop repeated ones."""
    from hpcore._sort_cpu import order_edges

    low, high = np.minimum(u, v), np.maximum(u, v)
    order = np.empty(low.shape[0], np.intp)
    order = order[: order_edges(low, high, weight, order)]
    return Edges(low[order], high[order], weight[order])


def check_number(n_edges: int) -> None:
    """Refuse more edges than the largest connected sets can have, before they are looked at.

    Raises
    ------
    TooManyTies
        The average takes about 400 bytes an edge.
    """
    largest = LARGEST_TIE_COMPONENT**2
    if n_edges > largest:
        raise TooManyTies(f'`ties="average"` would need {n_edges} edges of two classes (at most {largest}). {_ADVICE}')


def cross_edges(edges: Edges, copies: NDArray[np.int64], tolerance: float, ties: str) -> CrossEdges:
    """Count the edges between two classes.

    Parameters
    ----------
    edges : Edges
        Superset of the edges of all minimum trees over the G nodes.
    copies : (G, 2) int64
        Points of either class at each node.
    tolerance : float
        Relative difference of squared distances below which they are tied.
    ties : {"average", "first"}
        The mean over all minimum trees, or one tree: the first edges in order, equal points joined class by class.

    Raises
    ------
    TooManyTies
        ``"average"`` and more than `LARGEST_TIE_COMPONENT` nodes hang together by edges of one length.

    Notes
    -----
    Time O(E α(E)) plus O(c²), memory 400 E + 16 c² bytes for a set of c nodes that are joined by equally long edges in
    a cycle, not counting what hangs on a single edge; O(c³) where most of these are joined to most. The worst data are
    those with few distinct lengths and few repeated points, such as binary features: 10 classes of 1000 points
    with 12 to 20 of them take six to thirteen times the processor time of as many normal ones.
    """
    a, b = copies[:, 0], copies[:, 1]
    sizes = a + b
    conductance = (sizes[edges.u] * sizes[edges.v]).astype(np.float64)
    same = a[edges.u] * a[edges.v] + b[edges.u] * b[edges.v]
    cross = conductance - same
    levels = contract_levels(edges, sizes, same > 0, cross > 0, tolerance, average=ties == "average")
    is_mixed = (a > 0) & (b > 0)
    least = levels.least + int(is_mixed.sum())
    most = levels.most + int((sizes - 1)[is_mixed].sum())
    if ties == "first":
        return _first_tree(edges, levels, copies, same > 0, least, most)
    within = 2.0 * (sizes - 1) / sizes  # expected degree of a point within its node: K_m has m - 1 tree edges
    used = levels.resistance > 0  # what else was a candidate has no influence, not even on the rounding of a sum
    weighted, cross, conductance = levels.resistance[used], cross[used], conductance[used]
    edges = Edges(edges.u[used], edges.v[used], edges.weight[used])
    count = float((weighted * cross).sum() + (2.0 * a * b / sizes).sum())
    strength = within + _strengths(edges, weighted, sizes)
    squared_weights = float(
        (weighted**2 * conductance).sum() + (within * within * sizes / (2.0 * np.maximum(sizes - 1, 1))).sum()
    )
    return CrossEdges(
        count=float(least) if least == most else count,
        least=least,
        most=most,
        squared_weights=squared_weights,
        squared_strengths=float((sizes * strength**2).sum()),
    )


def contract_levels(
    edges: Edges,
    sizes: NDArray[np.int64],
    has_same: NDArray[np.bool_],
    has_cross: NDArray[np.bool_],
    tolerance: float,
    *,
    average: bool = True,
    or_one_tree: bool = False,
) -> Levels:
    """Contract the levels of sorted edges; `resistance` (per copy of an edge) is 0 for edges in no minimum tree.

    With `or_one_tree` a connected part that is too large for the average counts as one of its trees, any copies of its
    edges being as likely; else `TooManyTies` is raised.
    """
    from hpcore._forest_cpu import level_forest

    n_edges = edges.u.shape[0]
    left, right, component = (np.empty(n_edges, np.intp) for _ in range(3))
    in_tree = np.empty(n_edges, np.bool_)
    least, most = level_forest(
        sizes.shape[0], edges.u, edges.v, edges.weight, tolerance, has_same, has_cross, left, right, component, in_tree
    )
    conductance = (sizes[edges.u] * sizes[edges.v]).astype(np.float64)
    resistance = np.where(left >= 0, 1.0 / conductance, 0.0)
    n_single = 0
    if average:
        tied = np.flatnonzero(component >= 0)
        order = tied[np.argsort(component[tied], kind="stable")]
        bounds = np.flatnonzero(np.diff(component[order])) + 1
        for part in np.split(order, bounds) if order.size else ():
            try:
                resistance[part] = effective_resistances(left[part], right[part], conductance[part])
            except TooManyTies:
                if not or_one_tree:
                    raise
                resistance[part] = in_tree[part] / conductance[part]
                n_single += 1
    return Levels(resistance, in_tree, least, most, n_single)


def effective_resistances(
    left: NDArray[np.intp], right: NDArray[np.intp], conductance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Effective resistance between the ends of each edge of one connected multigraph without loops.

    What hangs on a single edge is taken off first, edge by edge: such an edge is in every tree, R = 1 / conductance.
    From the rest, c nodes and 16 c² bytes, nodes of few neighbours are eliminated (`hpcore._resistances_cpu`). With the
    Laplacian L of what is left, grounded at one node, ``R(i, j) = (L⁻¹)_ii + (L⁻¹)_jj - 2 (L⁻¹)_ij``: c³ operations
    (Cholesky) if nothing could be eliminated.

    Raises
    ------
    TooManyTies
        c is above `LARGEST_TIE_COMPONENT`.
    """
    n_nodes = int(max(left.max(), right.max())) + 1
    key, which = np.unique(np.minimum(left, right) * n_nodes + np.maximum(left, right), return_inverse=True)
    i, j = np.divmod(key, n_nodes)
    parallel = np.asarray(np.bincount(which, conductance), np.float64)
    resistance = 1.0 / parallel
    in_core = np.ones(key.shape[0], np.bool_)
    while True:
        degree = np.bincount(i[in_core], minlength=n_nodes) + np.bincount(j[in_core], minlength=n_nodes)
        hangs = in_core & ((degree[i] == 1) | (degree[j] == 1))
        if not hangs.any():
            break
        in_core &= ~hangs
    if in_core.any():
        resistance[in_core] = _core_resistances(i[in_core], j[in_core], parallel[in_core])
    return np.asarray(resistance[which])


def _core_resistances(
    left: NDArray[np.intp], right: NDArray[np.intp], conductance: NDArray[np.float64]
) -> NDArray[np.float64]:
    from hpcore._resistances_cpu import eliminate, restore

    nodes, ends = np.unique(np.concatenate((left, right)), return_inverse=True)
    n_nodes = nodes.shape[0]
    if n_nodes > LARGEST_TIE_COMPONENT:
        raise TooManyTies(
            f'`ties="average"` would need the inverse of a dense {n_nodes} x {n_nodes} matrix: that many groups of '
            f"points are joined by edges of one length (at most {LARGEST_TIE_COMPONENT}). {_ADVICE}"
        )
    i, j = np.split(ends, 2)
    low, high = np.minimum(i, j), np.maximum(i, j)
    matrix = np.zeros((n_nodes, n_nodes))
    matrix[high, low] = conductance
    order, place = np.empty(n_nodes, np.intp), np.empty(n_nodes, np.intp)
    order = order[: eliminate(matrix, order, place)]
    left = np.flatnonzero(place == n_nodes)
    if left.size > 1:
        matrix[np.ix_(left, left)] = _grounded_resistances(matrix[np.ix_(left, left)])
    restore(matrix, order, place)
    return np.asarray(matrix[low, high])


def _grounded_resistances(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Resistances above the diagonal, given conductances below it; what is below is used up."""
    from scipy.linalg.lapack import dpotrf, dpotri

    strength = matrix.sum(axis=0) + matrix.sum(axis=1)
    laplacian = np.negative(matrix, out=matrix)
    np.fill_diagonal(laplacian, strength)
    laplacian[0], laplacian[:, 0], laplacian[0, 0] = 0.0, 0.0, 1.0  # grounded: the rest stays positive definite
    factor, failed = dpotrf(laplacian.T, lower=0, overwrite_a=1)
    assert not failed  # the graph is connected, and its conductances are positive
    inverse, _ = dpotri(factor, lower=0, overwrite_c=1)  # its upper half
    diagonal = inverse.diagonal().copy()
    diagonal[0] = 0.0
    inverse *= -2.0
    inverse += diagonal
    inverse += diagonal[:, None]
    return np.asarray(inverse, np.float64)


def _strengths(edges: Edges, weight: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weight of the edges at one copy of each node: every copy of the other end contributes."""
    n_nodes = sizes.shape[0]
    return np.asarray(
        np.bincount(edges.u, weight * sizes[edges.v], n_nodes) + np.bincount(edges.v, weight * sizes[edges.u], n_nodes)
    )


def _first_tree(
    edges: Edges, levels: Levels, copies: NDArray[np.int64], has_same: NDArray[np.bool_], least: int, most: int
) -> CrossEdges:
    """One tree: the copies of a node form a path, the first class before the second, and edges meet at its ends.

    An edge between nodes joins copies of one class where both nodes have such copies.
    """
    u, v, same = edges.u[levels.in_tree], edges.v[levels.in_tree], has_same[levels.in_tree]
    has_first = copies[:, 0] > 0
    n_nodes = copies.shape[0]
    both_first = has_first[u] & has_first[v]
    at_start = [np.zeros(n_nodes, np.int64), np.zeros(n_nodes, np.int64)]
    for nodes in (u, v):
        starts = np.where(same, both_first, has_first[nodes])
        at_start[0] += np.bincount(nodes, starts, n_nodes).astype(np.int64)
        at_start[1] += np.bincount(nodes, ~starts, n_nodes).astype(np.int64)
    sizes = copies.sum(axis=1)
    is_path = sizes > 1
    single = (at_start[0] + at_start[1])[~is_path] ** 2
    ends = (at_start[0][is_path] + 1) ** 2 + (at_start[1][is_path] + 1) ** 2 + 4 * (sizes[is_path] - 2)
    count = int((~same).sum()) + int(((copies > 0).all(axis=1)).sum())
    return CrossEdges(
        count=float(count),
        least=least,
        most=most,
        squared_weights=float(sizes.sum() - 1),
        squared_strengths=float(single.sum() + ends.sum()),
    )
