"""Tests that know the class pairs share classes and points: subsample t and leave-one-class-out jackknife.

Each answers a question of its own. The subsample test is about *these classes*: the expected statistic for new images
of the same classes at this n. The jackknife is about *classes like these*: the mean over a population of classes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from hpcore._result import Alternative, TestResult, check_alternative
from hpcore.errors import InvalidInput

Floats = NDArray[np.float64]

CONFIDENCE_LEVEL = 0.95
_MAX_DEGREES_OF_FREEDOM = 10
"""The estimate has 27-44 effective degrees of freedom; 10 also absorbs a variance estimate up to 15 % too small."""

_ROUNDING = 1e-12
"""Contrasts of HP values this small are sums of roundings."""


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
        (n_repeats, n_folds): the same contrast within each fold, from `hpcore.fold_means` of the layers involved.
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
