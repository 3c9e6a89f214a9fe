"""One test of "any separation" for all classes together."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr

from hpcore._blas import one_blas_thread
from hpcore._result import TestResult
from hpcore.ties import LARGEST_TIE_COMPONENT, Edges, contract_levels

Floats = NDArray[np.float64]

_ONE_TREE = f"one minimum tree stands for all where equal lengths join over {LARGEST_TIE_COMPONENT} groups of points"


def separation_test(
    activations: ArrayLike, labels: ArrayLike, *, metric: str = "euclidean", device: str = "auto"
) -> TestResult:
    """Test whether the classes are separated at all, by the edges between classes in one tree over all points.

    `hpcore.layer.measure_pairs` gives it along with the statistic of every pair, from the same distances.

    Parameters
    ----------
    activations, labels, metric, device
        As in `hpcore.pairwise_henze_penrose`.

    Returns
    -------
    TestResult
        `statistic` is ``1 - T / E T`` with T the number of edges between different classes, averaged over all minimum
        trees: 0 without separation, and for two equal classes their Henze-Penrose statistic. Its alternative is
        ``"greater"``; the p-value is that of a normal approximation given the tree. Where more than
        `hpcore.ties.LARGEST_TIE_COMPONENT` groups of points are joined by equal lengths, one tree, which does not
        depend on labels, stands for all, and `reason` says so.

    Raises
    ------
    InvalidInput, DeviceUnavailable
        As `hpcore.pairwise_henze_penrose`.

    Notes
    -----
    With labels shuffled over a tree with edge weights w (1, or the chance that an edge belongs to a random minimum
    tree), ``E T = p2 W`` and ``E T² = p2 W2 + p3 (S2 - 2 W2) + p4 (W² - S2 + W2)``, where p2, p3, p4 are the chances
    that one edge crosses, that both of two edges with a common end do, and that both of two disjoint edges do; W, W2
    are the sums of w and w², S2 that of the squared sums of w at each point. For two classes these are the moments of
    Friedman and Rafsky (1979).
    """
    from hpcore.layer import measure_pairs

    return measure_pairs(activations, labels, ties="first", metric=metric, device=device)[1]  # pairs have no say


def any_separation(
    edges: Edges, index: NDArray[np.intp], codes: NDArray[np.intp], sizes: NDArray[np.int64], tolerance: float
) -> TestResult:
    """`separation_test`, given the edges of all minimum trees over the points.

    ``index (N,)`` and ``codes (N,)`` are point and class of every row, ``sizes (K,)`` the rows of each class.
    """
    n_points, n_classes = int(index.max()) + 1, sizes.shape[0]
    copies = csr_array((np.ones(codes.shape[0]), (index, codes)), shape=(n_points, n_classes))
    n_copies = np.asarray(copies.sum(axis=1), np.int64)
    same = np.asarray(copies[edges.u].multiply(copies[edges.v]).sum(axis=1), np.float64)
    conductance = (n_copies[edges.u] * n_copies[edges.v]).astype(np.float64)
    cross = conductance - same
    with one_blas_thread:  # how an inverse is rounded must not depend on the number of threads
        levels = contract_levels(edges, n_copies, same > 0, cross > 0, tolerance, or_one_tree=True)
    use = levels.resistance
    used = use > 0  # what else was a candidate has no influence, not even on the rounding of a sum
    u, v, use, cross, conductance = edges.u[used], edges.v[used], use[used], cross[used], conductance[used]
    # A uniform tree on the s copies of one point uses each of their s(s-1)/2 edges with probability 2/s.
    within_use = 2.0 / n_copies
    alike = np.asarray(copies.multiply(copies).sum(axis=1), np.float64)
    count = float((use * cross).sum() + (within_use * (n_copies**2 - alike) / 2).sum())
    strength = within_use * (n_copies - 1)
    for here, there in ((u, v), (v, u)):
        np.add.at(strength, here, use * n_copies[there])
    squared_weights = float((use**2 * conductance).sum() + (within_use**2 * n_copies * (n_copies - 1) / 2).sum())
    mean, variance = cross_edge_moments(sizes, squared_weights, float((n_copies * strength**2).sum()))
    z = (count - mean) / np.sqrt(variance) if variance > 0 else 0.0
    return TestResult(
        statistic=1 - count / mean,
        p_value=float(ndtr(z)) if variance > 0 else 1.0,
        method="friedman_rafsky",
        exact=False,
        n_resamples=None,
        alternative="greater",
        reason=_ONE_TREE if levels.n_single else None,
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
