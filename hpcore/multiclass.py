"""Bounds of the Bayes error of many classes, from one tree over all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from hpcore import _validate
from hpcore._global_edges import GlobalEdges
from hpcore.distances import Points, distinct_points
from hpcore.errors import InvalidInput
from hpcore.spanning_tree import Forests, on_device, resolve_device
from hpcore.threads import available_threads
from hpcore.ties import Edges, contract_levels


def multiclass_bayes_error_bounds(
    activations: ArrayLike, labels: ArrayLike, *, metric: str = "euclidean", device: str = "auto", n_trees: int = 1
) -> tuple[float, float]:
    """Bounds of the Bayes error of K classes whose priors are their shares of the points.

    With R the number of edges between different classes in the minimum spanning tree over all N points, averaged over
    all minimum trees where it is not unique, and ``δ = R / (2 N)``:
    ``(K-1)/K (1 - √max(0, 1 - 2 K/(K-1) δ)) ≤ error ≤ 2 δ`` (Sekeh, Oselio & Hero, arXiv 1811.06419).

    Parameters
    ----------
    activations, labels, metric, device
        As in `hpcore.pairwise_henze_penrose`.
    n_trees : int
        More than one: R is the mean over so many orthogonal trees, each the minimum spanning tree of the edges that the
        trees before it leave; this lowers the variance. Then equal lengths are decided by an order of the points that
        depends on their content and class alone, the time is O(n_trees N² d), and it is spent on the CPU.

    Returns
    -------
    lower, upper : float
        The upper bound is cut at ``(K-1)/K``, the error of guessing among equally likely classes.

    Raises
    ------
    InvalidInput
        As `hpcore.pairwise_henze_penrose`; or there are fewer than `n_trees` orthogonal trees: the trees before have
        used up what joined some points to the rest. The message says how many there are.
    DeviceUnavailable, TooManyTies
        As `hpcore.pairwise_henze_penrose`.
    """
    rows = _validate.activation_matrix(activations)
    groups = _validate.class_labels(labels, rows.shape[0])
    metric = _validate.choice(metric, "metric", _validate.METRICS)
    device = resolve_device(_validate.choice(device, "device", _validate.DEVICES))
    n_trees = _validate.positive_integer(n_trees, "n_trees")
    points = distinct_points(rows, metric)
    n_classes = groups.classes.shape[0]
    if n_trees > 1:
        count = _orthogonal_cross_edges(points, groups.codes, n_trees)
    else:
        count = _mean_cross_edges(points, groups.codes, n_classes, device)
    delta = count / (2 * rows.shape[0])
    share = (n_classes - 1) / n_classes
    lower = share * (1.0 - np.sqrt(max(0.0, 1.0 - 2.0 * delta / share)))
    return float(lower), min(2.0 * delta, share)


def _mean_cross_edges(points: Points, codes: NDArray[np.intp], n_classes: int, device: str) -> float:
    """Expected number of edges between different classes in a uniformly drawn minimum tree."""

    def found(part_size: int) -> Edges:
        forests = Forests(
            points,
            codes,
            n_classes,
            n_threads=available_threads(),
            memory_budget=None,
            report=lambda *_: None,
            device=device,
            part_size=part_size,
        )
        edges = GlobalEdges(forests)
        for cross in forests.run(lambda cross: cross):
            edges.add(cross)
        return edges.contracted()

    edges = on_device(device, found)
    shape = (points.representative.shape[0], n_classes)
    copies = csr_array((np.ones(codes.shape[0]), (points.index, codes)), shape=shape)
    same = _row_products(copies[edges.u], copies[edges.v])
    sizes = np.asarray(copies.sum(axis=1), np.int64)
    cross = sizes[edges.u] * sizes[edges.v] - same
    levels = contract_levels(edges, sizes, same > 0, cross > 0, points.tie_tolerance)
    within = (sizes.astype(np.float64) ** 2 - _row_products(copies, copies)) / sizes
    return float((levels.resistance * cross).sum() + within.sum())


def _orthogonal_cross_edges(points: Points, codes: NDArray[np.intp], n_trees: int) -> float:
    """Mean number of edges between different classes in orthogonal trees."""
    from hpcore._orthogonal_cpu import orthogonal_trees

    nodes = np.lexsort((codes, points.index)).astype(np.intp)
    trees = orthogonal_trees(points.rows, nodes, n_trees)
    if len(trees) < n_trees:
        raise InvalidInput(f"`n_trees` must be at most {len(trees)} for these {len(nodes)} points; got {n_trees}.")
    label = codes[nodes]
    return float(np.mean([(label[tree[0]] != label[tree[1]]).sum() for tree in trees]))


def _row_products(left: csr_array, right: csr_array) -> NDArray[np.float64]:
    return np.asarray(left.multiply(right).sum(axis=1), np.float64)
