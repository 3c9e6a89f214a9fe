"""Cross-edge count → Henze-Penrose statistic, Friedman-Rafsky test, Bayes-error bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from hpcore import _validate
from hpcore._layer_points import LayerPoints
from hpcore._pair_counts import count_pairs
from hpcore.errors import InvalidInput
from hpcore.spanning_tree import Progress, on_device


@dataclass(frozen=True)
class PairwiseSeparation:
    """Separation of every pair of K classes, P = K (K - 1) / 2 pairs.

    Attributes
    ----------
    classes : (K,)
        The labels, sorted.
    pairs : (P, 2) int64
        Indices into `classes`, in the order (0, 1), (0, 2), …, (1, 2), ….
    statistic : (P,) float64
        ``1 - R (m + n) / (2 m n)``, never clipped.
    cross_edges : (P,) float64
        R; whole numbers unless ties were averaged.
    cross_edges_min, cross_edges_max : (P,) int64
        Range of R over all minimum spanning trees.
    counts : (P, 2) int64
        Points m and n of the two classes.
    z, p_value : (P,) float64
        Friedman-Rafsky test given the tree, lower tail of R (few cross edges), normal approximation.
    n_duplicates : int
        Rows that repeat another row (for the cosine metric: are parallel to one).
    n_zero_rows : int
        Rows of zeros under the cosine metric, else 0.
    device, metric, ties : str
        How it was computed; the device has no influence on any number.
    """

    classes: NDArray[Any]
    pairs: NDArray[np.int64]
    statistic: NDArray[np.float64]
    cross_edges: NDArray[np.float64]
    cross_edges_min: NDArray[np.int64]
    cross_edges_max: NDArray[np.int64]
    counts: NDArray[np.int64]
    z: NDArray[np.float64]
    p_value: NDArray[np.float64]
    n_duplicates: int
    n_zero_rows: int
    device: str
    metric: str
    ties: str


@dataclass(frozen=True)
class Separation:
    """Separation of two samples; the fields are those of `PairwiseSeparation` for one pair."""

    statistic: float
    cross_edges: float
    cross_edges_min: int
    cross_edges_max: int
    counts: tuple[int, int]
    z: float
    p_value: float
    n_duplicates: int
    n_zero_rows: int
    device: str
    metric: str
    ties: str


def pairwise_henze_penrose(
    activations: ArrayLike,
    labels: ArrayLike,
    *,
    metric: str = "euclidean",
    ties: str = "average",
    device: str = "auto",
    n_threads: int | None = None,
    memory_budget: int | None = None,
    on_progress: Progress | None = None,
) -> PairwiseSeparation:
    """Henze-Penrose statistic of every pair of classes, from exact minimum spanning trees.

    Parameters
    ----------
    activations : (N, ...) array of float16, float32, float64 or integers
        One row per sample, flattened to d features; a memory map is read in pieces.
    labels : (N,) integers or strings
        At least two classes of at least two points.
    metric : {"euclidean", "cosine"}
        ``"cosine"`` is ``1 - x·y / (|x| |y|)``; a row of zeros is at distance 0 from its like and 1 from the rest.
    ties : {"average", "first"}
        Expected R over a uniformly drawn minimum spanning tree, or R of one deterministic tree. Neither depends on the
        order of the rows.
    device : {"auto", "cpu", "cuda"}
        Where to compute; no number depends on it.
    n_threads : int, optional
        Threads on the CPU; all that the process may use by default. No number depends on it.
    memory_budget : int, optional
        Bytes of working memory beyond the input. Where thousands of points hang together by equal lengths, averages
        take up to 128 MiB a thread more, and 400 bytes for each edge that is tied: a gigabyte where 2000 points are
        equally far from each other (see `hpcore.ties.cross_edges`).
    on_progress : callable, optional
        Called as ``on_progress(stage, done, total)`` in the calling thread; an exception it raises ends the work.

    Returns
    -------
    PairwiseSeparation

    Raises
    ------
    InvalidInput
        An argument cannot be used; the message names it.
    DeviceUnavailable
        `device` is missing.
    OutOfMemory
        `memory_budget` is too small for the smallest unit of work.
    TooManyTies
        See `hpcore.ties.cross_edges`.

    Notes
    -----
    ``HP = 1 - R (m + n) / (2 m n)`` with R the number of tree edges between the classes (Friedman & Rafsky 1979, Henze
    & Penrose 1999; arXiv 1412.6534). It is unbiased under the permutation null for every tree, and may be negative.

    Exact: edges are chosen by rigorous bounds from 16-bit inner products and decided by float64 direct differences
    (docs/algorithm.md). Memory beyond the input: 2 N d bytes, less under a `memory_budget`, and per thread 4 MiB and
    4096 d bytes. Copies come on top: float32 of float16 and integers up to 16 bits, float64 of wider integers and for
    the cosine metric, and one of its own type of what does not flatten in place. Never N², but for the edges of points
    that are equally far from each other.
    """
    layer = LayerPoints.of(
        activations,
        labels,
        metric=metric,
        ties=ties,
        device=device,
        n_threads=n_threads,
        memory_budget=memory_budget,
        on_progress=on_progress,
    )
    found = on_device(layer.device, lambda part_size: count_pairs(layer.forests(part_size), layer.ties, layer.report))
    return pairwise_separation(
        layer.groups.classes,
        layer.groups.sizes,
        found.count,
        found.least,
        found.most,
        found.squared_weights,
        found.squared_strengths,
        n_duplicates=layer.points.n_duplicates,
        n_zero_rows=layer.points.n_zero_rows,
        device=layer.device,
        metric=layer.metric,
        ties=layer.ties,
    )


def pairwise_separation(
    classes: NDArray[Any],
    sizes: NDArray[np.int64],
    cross_edges: NDArray[np.float64],
    cross_edges_min: NDArray[np.int64],
    cross_edges_max: NDArray[np.int64],
    squared_weights: NDArray[np.float64],
    squared_strengths: NDArray[np.float64],
    **how: Any,
) -> PairwiseSeparation:
    """Statistic and test of every pair from its cross edges (P,), for classes of ``sizes (K,)``."""
    pairs = np.stack(np.triu_indices(classes.shape[0], 1), axis=1).astype(np.int64)
    counts = sizes[pairs]
    z, p_value = friedman_rafsky_test(cross_edges, counts, squared_weights, squared_strengths)
    return PairwiseSeparation(
        classes=classes,
        pairs=pairs,
        statistic=henze_penrose_statistic(cross_edges, counts),
        cross_edges=cross_edges,
        cross_edges_min=cross_edges_min,
        cross_edges_max=cross_edges_max,
        counts=counts,
        z=z,
        p_value=p_value,
        **how,
    )


def henze_penrose(
    x: ArrayLike, y: ArrayLike, *, metric: str = "euclidean", ties: str = "average", device: str = "auto"
) -> Separation:
    """Henze-Penrose statistic of two samples of at least two points each.

    Parameters and errors as in `pairwise_henze_penrose`; `x` (m, ...) and `y` (n, ...) flatten to the same d.

    Examples
    --------
    >>> henze_penrose([[0.0], [1.0]], [[2.0], [3.0]]).statistic
    0.5
    """
    first, second = _validate.two_samples(x, y)
    labels = np.repeat(np.arange(2), (first.shape[0], second.shape[0]))
    both = pairwise_henze_penrose(
        np.concatenate((first, second)), labels, metric=metric, ties=ties, device=device, n_threads=1
    )
    return Separation(
        statistic=float(both.statistic[0]),
        cross_edges=float(both.cross_edges[0]),
        cross_edges_min=int(both.cross_edges_min[0]),
        cross_edges_max=int(both.cross_edges_max[0]),
        counts=(int(both.counts[0, 0]), int(both.counts[0, 1])),
        z=float(both.z[0]),
        p_value=float(both.p_value[0]),
        n_duplicates=both.n_duplicates,
        n_zero_rows=both.n_zero_rows,
        device=both.device,
        metric=both.metric,
        ties=both.ties,
    )


def henze_penrose_statistic(cross: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """``1 - R (m + n) / (2 m n)`` for R (P,) and counts (P, 2)."""
    m, n = counts[:, 0], counts[:, 1]
    return np.asarray(1.0 - cross * (m + n) / (2.0 * m * n))


def friedman_rafsky_test(
    cross: NDArray[np.float64],
    counts: NDArray[np.int64],
    squared_weights: NDArray[np.float64],
    squared_strengths: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return z and the lower-tail p of R when the labels are drawn at random on a fixed tree.

    For ``T = Σ w_e [e crosses]`` with ``W = Σ w_e = N - 1``, ``W₂ = Σ w_e²``, ``S₂ = Σ_v (Σ_{e∋v} w_e)²``:
    ``E T = p₂ W`` and ``Var T = (p₂/2 - q₄) S₂ + q₄ W₂ + (q₄ - p₂²) W²``, where ``p₂ = 2mn / (N (N-1))`` and
    ``q₄ = 4 m(m-1) n(n-1) / (N (N-1) (N-2) (N-3))`` (Friedman & Rafsky 1979, for weighted edges). Where the variance
    is zero, as on a star with m = n, every labelling gives the same T: z = 0 and p = 1.
    """
    m, n = counts[:, 0].astype(np.float64), counts[:, 1].astype(np.float64)
    total = m + n
    one_cross = 2 * m * n / (total * (total - 1))
    two_cross = 4 * m * (m - 1) * n * (n - 1) / (total * (total - 1) * (total - 2) * (total - 3))
    weight = total - 1
    mean = one_cross * weight
    parts = np.stack(
        (
            (one_cross / 2 - two_cross) * squared_strengths,
            two_cross * squared_weights,
            (two_cross - one_cross**2) * weight**2,
        )
    )
    variance = parts.sum(axis=0)
    is_constant = variance <= 1e-12 * np.abs(parts).sum(axis=0)  # nothing but the rounding of the three terms
    deviation = np.sqrt(np.where(is_constant, 1.0, variance))
    z = np.where(is_constant, 0.0, (cross - mean) / deviation)
    return z, np.where(is_constant, 1.0, ndtr(z))


def bayes_error_bounds(statistic: ArrayLike, prior: float = 0.5) -> tuple[Any, Any]:
    """Bounds of the Bayes error of two classes from their Henze-Penrose divergence.

    ``1/2 - √u/2 ≤ error ≤ 1/2 - u/2`` with ``u = 4 p q D + (p - q)²`` (Berisha et al., arXiv 1412.6534). The statistic
    is clipped to [0, 1] here and nowhere else, for an estimate may leave the range of the divergence.

    Parameters
    ----------
    statistic : float or array
        Estimates of D, as returned by `henze_penrose` and `pairwise_henze_penrose`.
    prior : float
        Probability of the first class, in (0, 1).

    Returns
    -------
    lower, upper : float, or arrays of the shape of `statistic`

    Examples
    --------
    >>> bayes_error_bounds(0.75)
    (0.0669872981077807, 0.125)
    """
    first = _validate.probability(prior, "prior")
    try:
        value = np.asarray(statistic, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"`statistic` must be numbers; got {type(statistic).__name__}.") from error
    if not np.isfinite(value).all():
        raise InvalidInput("`statistic` must be finite; got NaN or infinity.")
    divergence = np.clip(value, 0.0, 1.0)
    u = 4.0 * first * (1.0 - first) * divergence + (2.0 * first - 1.0) ** 2
    lower, upper = 0.5 - np.sqrt(u) / 2.0, 0.5 - u / 2.0
    if value.ndim == 0:
        return float(lower), float(upper)
    return lower, upper
