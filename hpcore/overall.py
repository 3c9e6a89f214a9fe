"""One test of "any separation" for all classes together."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr

from hpcore import _validate
from hpcore._result import TestResult
from hpcore.distances import distinct_points
from hpcore.multiclass import global_candidates
from hpcore.spanning_tree import Forests, available_threads, resolve_device
from hpcore.ties import contract_levels

Floats = NDArray[np.float64]


def separation_test(
    activations: ArrayLike, labels: ArrayLike, *, metric: str = "euclidean", device: str = "auto"
) -> TestResult:
    """Test whether the classes are separated at all, by the edges between classes in one tree over all points.

    Parameters
    ----------
    activations, labels, metric, device
        As in `hpcore.pairwise_henze_penrose`.

    Returns
    -------
    TestResult
        `statistic` is ``1 - T / E T`` with T the number of edges between different classes, averaged over all minimum
        trees: 0 without separation, and for two equal classes their Henze-Penrose statistic. Its alternative is
        ``"greater"``; the p-value is that of a normal approximation given the tree.

    Raises
    ------
    InvalidInput, DeviceUnavailable, TooManyTies
        As `hpcore.pairwise_henze_penrose`.

    Notes
    -----
    With labels shuffled over a tree with edge weights w (1, or the chance that an edge belongs to a random minimum
    tree), ``E T = p2 W`` and ``E T² = p2 W2 + p3 (S2 - 2 W2) + p4 (W² - S2 + W2)``, where p2, p3, p4 are the chances
    that one edge crosses, that both of two edges with a common end do, and that both of two disjoint edges do; W, W2
    are the sums of w and w², S2 that of the squared sums of w at each point. For two classes these are the moments of
    Friedman and Rafsky (1979).
    """
    rows = _validate.activation_matrix(activations)
    groups = _validate.class_labels(labels, rows.shape[0])
    metric = _validate.choice(metric, "metric", _validate.METRICS)
    resolve_device(_validate.choice(device, "device", _validate.DEVICES))
    points = distinct_points(rows, metric)
    n_classes = groups.classes.size
    forests = Forests(
        points, groups.codes, n_classes, n_threads=available_threads(), memory_budget=None, report=lambda *_: None
    )
    edges = global_candidates(forests)
    n_points = int(points.index.max()) + 1
    copies = csr_array((np.ones(rows.shape[0]), (points.index, groups.codes)), shape=(n_points, n_classes))
    sizes = np.asarray(copies.sum(axis=1), np.int64)
    same = np.asarray(copies[edges.u].multiply(copies[edges.v]).sum(axis=1), np.float64)
    conductance = (sizes[edges.u] * sizes[edges.v]).astype(np.float64)
    cross = conductance - same
    use = contract_levels(edges, sizes, same > 0, cross > 0, points.tie_tolerance).resistance
    # A uniform tree on the s copies of one point uses each of their s(s-1)/2 edges with probability 2/s.
    within_use = 2.0 / sizes
    alike = np.asarray(copies.multiply(copies).sum(axis=1), np.float64)
    count = float((use * cross).sum() + (within_use * (sizes**2 - alike) / 2).sum())
    strength = within_use * (sizes - 1)
    for here, there in ((edges.u, edges.v), (edges.v, edges.u)):
        np.add.at(strength, here, use * sizes[there])
    squared_weights = float((use**2 * conductance).sum() + (within_use**2 * sizes * (sizes - 1) / 2).sum())
    mean, variance = cross_edge_moments(groups.sizes, squared_weights, float((sizes * strength**2).sum()))
    z = (count - mean) / np.sqrt(variance) if variance > 0 else 0.0
    return TestResult(
        statistic=1 - count / mean,
        p_value=float(ndtr(z)) if variance > 0 else 1.0,
        method="friedman_rafsky",
        exact=False,
        n_resamples=None,
        alternative="greater",
    )


def cross_edge_moments(
    class_sizes: NDArray[np.int64], squared_weights: float, squared_strengths: float
) -> tuple[float, float]:
    """Mean and variance of the weight of edges between classes when labels are shuffled over a tree of total N - 1."""
    sizes = class_sizes.astype(np.float64)
    n = sizes.sum()
    weight = n - 1
    one = 1 - (sizes * (sizes - 1)).sum() / (n * (n - 1))
    two_joined = (sizes * (n - sizes) * (n - sizes - 1)).sum() / (n * (n - 1) * (n - 2))
    pairs = sizes * (sizes - 1)
    both_same = ((pairs * (sizes - 2) * (sizes - 3)).sum() + pairs.sum() ** 2 - (pairs**2).sum()) / (
        n * (n - 1) * (n - 2) * (n - 3)
    )
    two_apart = 2 * one - 1 + both_same
    second = (
        one * squared_weights
        + two_joined * (squared_strengths - 2 * squared_weights)
        + two_apart * (weight**2 - squared_strengths + squared_weights)
    )
    variance = second - (one * weight) ** 2
    # On a star every labelling can give the same count: what is left is the rounding of the terms above.
    return float(one * weight), 0.0 if variance <= 1e-12 * second else float(variance)
