"""Tests that know the class pairs share classes and points: subsample t and leave-one-class-out jackknife.

Each answers a question of its own. The subsample test is about *these classes*: the expected statistic for new images
of the same classes at this n. The jackknife is about *classes like these*: the mean over a population of classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from hpcore import _validate
from hpcore._result import Alternative, TestResult, check_alternative
from hpcore.errors import InvalidInput
from hpcore.permutation import RandomSource
from hpcore.spanning_tree import available_threads, in_threads

Floats = NDArray[np.float64]

CONFIDENCE_LEVEL = 0.95
SMALLEST_CLASS_FOR_FIVE_FOLDS = 80
SMALLEST_CLASS_FOR_FOLDS = 32
POINTS_PER_FOLD = 16
"""Folds below 16 points of a class make the variance estimate too small (.8 of the truth)."""

_MAX_DEGREES_OF_FREEDOM = 10
"""The estimate has 27-44 effective degrees of freedom; 10 also absorbs a variance estimate up to 15 % too small."""

_ROUNDING = 1e-12
"""Contrasts of HP values this small are sums of roundings."""


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """How often every class is divided, and into how many folds."""

    n_repeats: int
    n_folds: int


def fold_plan(n_min: int) -> FoldPlan | None:
    """The folds that the smallest class of `n_min` points allows, or None.

    Ten random divisions into 5 folds from 80 points on; ``floor(n / 16)`` folds from 32 to 79; none below, where folds
    of two would hold fewer than 16 points.
    """
    if n_min >= SMALLEST_CLASS_FOR_FIVE_FOLDS:
        return FoldPlan(n_repeats=10, n_folds=5)
    if n_min >= SMALLEST_CLASS_FOR_FOLDS:
        return FoldPlan(n_repeats=10, n_folds=n_min // POINTS_PER_FOLD)
    return None


def fold_assignment(labels: ArrayLike, *, n_repeats: int, n_folds: int, rng: RandomSource = 0) -> NDArray[np.int64]:
    """Fold of every row in each of `n_repeats` random divisions, classes divided separately.

    Returns
    -------
    ndarray of int64 (n_repeats, N)
        Each class has the same number of rows in every fold up to one. Depends on the labels, in the order of the rows,
        and on `rng` alone: layers recorded on the same images get the same folds.

    Raises
    ------
    InvalidInput
        If a class has fewer than two points per fold, or a count is below 1 (below 2 for `n_folds`).
    """
    labels = np.asarray(labels)
    if n_repeats < 1:
        raise InvalidInput(f"`n_repeats` is {n_repeats}; at least 1 is needed")
    if n_folds < 2:
        raise InvalidInput(f"`n_folds` is {n_folds}; at least 2 are needed")
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min(initial=2 * n_folds) < 2 * n_folds:
        scarce = int(counts.argmin())
        raise InvalidInput(
            f"`n_folds` is {n_folds}, but class {classes[scarce].item()!r} has {counts[scarce]} points; "
            "every fold needs two points of every class"
        )
    generator = np.random.default_rng(rng)
    folds = np.empty((n_repeats, labels.size), dtype=np.int64)
    for repeat in range(n_repeats):
        for code, count in enumerate(counts):
            folds[repeat, np.flatnonzero(codes == code)] = generator.permutation(int(count)) % n_folds
    return folds


def fold_means(
    activations: ArrayLike,
    labels: ArrayLike,
    *,
    n_repeats: int = 10,
    n_folds: int = 5,
    rng: RandomSource = 0,
    metric: str = "euclidean",
    device: str = "auto",
    ties: str = "average",
    n_threads: int | None = None,
    memory_budget: int | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Floats:
    """Mean Henze-Penrose statistic over all class pairs, in every fold of every random division.

    Parameters
    ----------
    activations, labels
        As in `pairwise_henze_penrose`; rows in the same order at every layer.
    n_repeats, n_folds
        Random divisions, and folds of each.
    rng
        Seed: the same labels and seed give the same folds at every layer, so that differences of layers can be formed
        fold by fold. A generator is advanced, and gives other folds at the next call.
    metric, device, ties, n_threads, memory_budget
        As in `pairwise_henze_penrose`.
    on_progress
        Called as ``on_progress("folds", done, total)`` after each fold; what it raises is let through.

    Returns
    -------
    ndarray of float64 (n_repeats, n_folds)

    Raises
    ------
    InvalidInput
        For arrays that `pairwise_henze_penrose` refuses, and where a class is too small for the folds.

    Notes
    -----
    Cost: ``n_repeats / n_folds`` times that of `pairwise_henze_penrose` on all rows (twice, by default).
    Memory: for each thread a copy of one fold of the rows, and what the kernel needs for it.
    """
    from hpcore import pairwise_henze_penrose

    rows = _validate.activation_matrix(activations)
    codes = np.asarray(labels)
    _validate.class_labels(codes, len(rows))
    folds = fold_assignment(codes, n_repeats=n_repeats, n_folds=n_folds, rng=rng)
    tasks = list(np.ndindex(n_repeats, n_folds))
    threads = available_threads() if n_threads is None else _validate.positive_integer(n_threads, "n_threads")
    threads = min(threads, len(tasks))

    def fold_mean(task: tuple[int, ...]) -> float:
        repeat, fold = task
        chosen = folds[repeat] == fold
        separation = pairwise_henze_penrose(
            rows[chosen],
            codes[chosen],
            metric=metric,
            ties=ties,
            device=device,
            n_threads=1,
            memory_budget=None if memory_budget is None else memory_budget // threads,
        )
        return float(separation.statistic.mean())

    means = np.empty((n_repeats, n_folds))
    # Folds side by side rather than threads within a fold: the problems are small and many.
    for done, (task, mean) in enumerate(zip(tasks, in_threads(fold_mean, tasks, threads), strict=True), start=1):
        means[task] = mean
        if on_progress is not None:
            on_progress("folds", done, len(tasks))
    return means


def subsample_test(
    statistic: float,
    fold_statistics: ArrayLike,
    *,
    alternative: Alternative = "two-sided",
    independent_fold_statistics: ArrayLike | None = None,
) -> TestResult:
    """Test whether a contrast of mean HP values is zero, for these classes and new images at this n.

    Parameters
    ----------
    statistic
        The contrast on all n points: one layer's mean, a layer step, a block, trained minus untrained, a gap.
    fold_statistics
        (n_repeats, n_folds): the same contrast within each fold, from `fold_means` of the layers involved.
    alternative
        ``"greater"`` means a contrast above zero.
    independent_fold_statistics
        Of a second, independent set of images (train against validation): its part of the contrast, per fold. The
        variances of the two parts add.

    Returns
    -------
    TestResult
        With the 95 % interval of the contrast; the p-value is None, with a reason, where the folds do not vary.

    Raises
    ------
    InvalidInput
        If a fold matrix is not two-dimensional, has fewer than 2 folds, or anything is NaN or infinite.

    Notes
    -----
    ``s_r² = sum_f (T_rf - mean_f T_rf)² / (F - 1)``, ``V = mean_r s_r² / F``, ``t = T / sqrt(V)`` with
    ``min(10, r (F - 1))`` degrees of freedom. The average over repeated divisions is what makes V precise (27-44
    effective degrees of freedom for 10 x 5); 10 leaves room for its small downward bias at low dimension.
    V is the variance at n of a mean of U-statistic type: fold variances at n/F are divided by F.
    """
    check_alternative(alternative)
    if not np.isfinite(statistic):
        raise InvalidInput(f"`statistic` is {statistic}; expected a finite number")
    variance, degrees = _subsample_variance(fold_statistics, "fold_statistics")
    if independent_fold_statistics is not None:
        second, second_degrees = _subsample_variance(independent_fold_statistics, "independent_fold_statistics")
        variance, degrees = variance + second, min(degrees, second_degrees)
    return _t_result(float(statistic), variance, min(_MAX_DEGREES_OF_FREEDOM, degrees), "subsample", alternative)


def class_jackknife_test(
    a: ArrayLike, b: ArrayLike, pairs: ArrayLike, *, alternative: Alternative = "two-sided"
) -> TestResult:
    """Test whether mean(a) = mean(b) in a population of classes, by leaving out one class at a time.

    Parameters
    ----------
    a, b
        (P,) statistics of the class pairs in two layers, states or splits; ``b`` may be 0 for the interval of `a`.
    pairs
        (P, 2) class indices, as in `PairwiseSeparation`.
    alternative
        ``"greater"`` means mean(a) > mean(b).

    Returns
    -------
    TestResult
        The p-value is None, with a reason, for fewer than 3 classes. From 3 on the test keeps its level; its power
        reaches that of the subsample test only from about 10 classes on.

    Raises
    ------
    InvalidInput
        For shapes that do not fit or values that are not finite.

    Notes
    -----
    ``theta_k`` = mean of a - b over the pairs without class k; ``V = (K-1)/K sum_k (theta_k - mean theta)²``; t with
    K - 1 degrees of freedom. For exchangeable classes V overestimates the variance by a factor 2.4 (K = 3) to 1.1
    (K = 20), so the test is conservative, never liberal.
    """
    check_alternative(alternative)
    indices = np.asarray(pairs)
    first = np.asarray(a, dtype=np.float64)
    second = np.broadcast_to(np.asarray(b, dtype=np.float64), first.shape)
    if first.ndim != 1 or first.size == 0 or indices.shape != (first.size, 2):
        raise InvalidInput(f"`pairs` has shape {indices.shape} and `a` {first.shape}; expected (P, 2) and (P,)")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InvalidInput("`a` and `b` must be finite")
    classes = np.unique(indices)
    difference = first - second
    statistic = float(first.mean() - second.mean())
    if classes.size < 3:
        return TestResult(
            statistic=statistic,
            p_value=None,
            method="class_jackknife",
            exact=False,
            n_resamples=None,
            alternative=alternative,
            reason="leaving out a class needs at least 3 classes",
        )
    left_out = np.array([difference[(indices != k).all(axis=1)].mean() for k in classes])
    k = classes.size
    variance = (k - 1) / k * float(np.square(left_out - left_out.mean()).sum())
    return _t_result(statistic, variance, k - 1, "class_jackknife", alternative)


def _subsample_variance(fold_statistics: ArrayLike, name: str) -> tuple[float, int]:
    """V and r (F - 1)."""
    folds = np.asarray(fold_statistics, dtype=np.float64)
    if folds.ndim != 2 or folds.shape[0] < 1 or folds.shape[1] < 2:
        raise InvalidInput(f"`{name}` has shape {folds.shape}; expected (n_repeats, n_folds) with at least 2 folds")
    if not np.isfinite(folds).all():
        raise InvalidInput(f"`{name}` holds NaN or infinity; all values must be finite")
    n_repeats, n_folds = folds.shape
    return float(folds.var(axis=1, ddof=1).mean()) / n_folds, n_repeats * (n_folds - 1)


def _t_result(statistic: float, variance: float, degrees: int, method: str, alternative: Alternative) -> TestResult:
    standard_error = float(np.sqrt(variance))
    p_value: float | None
    reason, low, high = None, None, None
    if standard_error <= _ROUNDING:
        same = abs(statistic) <= _ROUNDING
        p_value = 1.0 if same else None
        reason = (
            "identical" if same else "the difference is the same in every subsample: no variance to compare it with"
        )
    else:
        t = statistic / standard_error
        upper, lower = stdtr(degrees, -t), stdtr(degrees, t)  # both tails from the left: accurate however small
        tails = {"greater": upper, "less": lower, "two-sided": 2 * min(upper, lower)}
        p_value = min(1.0, float(tails[alternative]))
        half_width = float(stdtrit(degrees, 0.5 + CONFIDENCE_LEVEL / 2)) * standard_error
        low, high = statistic - half_width, statistic + half_width
    return TestResult(
        statistic=statistic,
        p_value=p_value,
        method=method,
        exact=False,
        n_resamples=None,
        alternative=alternative,
        standard_error=standard_error,
        degrees_of_freedom=float(degrees),
        low=low,
        high=high,
        reason=reason,
    )
