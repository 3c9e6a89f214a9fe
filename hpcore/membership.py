"""Train against validation at the level of single images: was a network fitted to the very images it was shown?

Under the null that it was not, the membership of an image in the training or the validation set is exchangeable within
its class. That gives exact tests of the gap in separation, and tells it from a mere shift between the two sets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import fsum
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from hpcore import _validate
from hpcore._resample import selection_sums
from hpcore._result import Alternative, TestResult, check_alternative
from hpcore.errors import InvalidInput
from hpcore.permutation import RandomSource

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Progress = Callable[[str, int, int], None]
MembershipMethod = Literal["rebuild", "score"]

_ROUNDING = 1e-12
"""Means of HP values of the same cross-edge counts, summed in another order, differ by less than this."""


def membership_test(
    train: ArrayLike,
    validation: ArrayLike,
    labels_train: ArrayLike,
    labels_validation: ArrayLike,
    *,
    method: MembershipMethod = "rebuild",
    alternative: Alternative = "greater",
    n_resamples: int = 999,
    n_exceedances: int | None = 20,
    rng: RandomSource = None,
    metric: str = "euclidean",
    ties: str = "average",
    device: str = "auto",
    n_threads: int | None = None,
    memory_budget: int | None = None,
    on_progress: Progress | None = None,
) -> TestResult:
    """Test whether training images are better separated than validation images because the network has seen them.

    Parameters
    ----------
    train, validation : (N_t, ...) and (N_v, ...)
        Activations of one layer on the two sets.
    labels_train, labels_validation
        Of the rows; both hold the same classes.
    method
        ``"rebuild"``: membership is reshuffled within every class and all trees are built anew; the statistic is the
        gap in mean HP. ``"score"``: one tree per class pair over both sets together; each point is scored by the share
        of its tree edges that lead to another class, and memberships are reshuffled over the fixed scores. Cheap, and
        as exact, but its statistic is not the gap in HP.
    alternative
        ``"greater"``: the training set is better separated. ``"two-sided"`` compares absolute values.
    n_resamples
        Largest number of reshuffles.
    n_exceedances
        ``"rebuild"`` stops once this many reshuffles reach the observed gap (Besag and Clifford 1991); None never
        stops early.
    rng
        Seed or generator, as in SciPy.
    metric, ties, device, n_threads, memory_budget
        As in `pairwise_henze_penrose`; ``"score"`` always averages over ties.
    on_progress
        Called as ``on_progress("membership", done, n_resamples)``; what it raises is let through.

    Returns
    -------
    TestResult
        `n_resamples` is the number of reshuffles made.

    Raises
    ------
    InvalidInput
        For arrays that `pairwise_henze_penrose` refuses, different widths or classes, or counts below 1.

    Notes
    -----
    ``p = h / l`` if the h-th exceedance comes at reshuffle l, else ``(g + 1) / (n_resamples + 1)`` with g exceedances.
    Cost of ``"rebuild"``: two passes over all pairs per reshuffle, about 100 under the null with the defaults and
    all 999 where the effect is clear. ``"score"``: one pass over pairs of twice the size.
    Unequal numbers of training and validation points leave the test exact but give the gap a bias of its own.
    """
    check_alternative(alternative)
    if method not in get_args(MembershipMethod):
        raise InvalidInput(f"`method` is {method!r}; allowed are {', '.join(get_args(MembershipMethod))}")
    for name, count in (("n_resamples", n_resamples), ("n_exceedances", n_exceedances)):
        if count is not None:
            _validate.positive_integer(count, name)
    pool = _pooled(train, validation, labels_train, labels_validation)
    generator = np.random.default_rng(rng)
    report = on_progress or _silent
    if method == "score":
        return _score_test(pool, metric, alternative, n_resamples, generator, report)

    def gap(membership: NDArray[np.bool_]) -> float:
        from hpcore import pairwise_henze_penrose

        means = []
        for chosen in (membership, ~membership):
            separation = pairwise_henze_penrose(
                pool.rows[chosen],
                pool.codes[chosen],
                metric=metric,
                ties=ties,
                device=device,
                n_threads=n_threads,
                memory_budget=memory_budget,
            )
            means.append(fsum(separation.statistic) / separation.statistic.size)
        return means[0] - means[1]

    observed = gap(pool.is_train)
    exceedances, draws = 0, 0
    while draws < n_resamples and (n_exceedances is None or exceedances < n_exceedances):
        exceedances += _reaches(gap(_reshuffled(pool, generator)), observed, alternative)
        draws += 1
        report("membership", draws, n_resamples)
    stopped = n_exceedances is not None and exceedances >= n_exceedances
    return TestResult(
        statistic=observed,
        p_value=exceedances / draws if stopped else (exceedances + 1) / (draws + 1),
        method="membership",
        exact=False,
        n_resamples=draws,
        alternative=alternative,
    )


def shift_test(
    train: ArrayLike,
    validation: ArrayLike,
    labels_train: ArrayLike,
    labels_validation: ArrayLike,
    *,
    metric: str = "euclidean",
    device: str = "auto",
) -> TestResult:
    """Diagnose whether the two sets differ at all, class by class; this is not a test of memorization.

    Friedman-Rafsky's z between the training and the validation points of one class, for every class; the classes share
    no point, so Stouffer's ``sum z_k / sqrt(K)`` is standard normal under the null. A shift without a gap in separation
    means that the sets differ, but not in how far the classes are apart.

    Returns
    -------
    TestResult
        `statistic` is Stouffer's z with its sign turned: large where the sets differ.
    """
    from hpcore import henze_penrose

    pool = _pooled(train, validation, labels_train, labels_validation)
    z = []
    for code in range(pool.n_classes):
        rows = [pool.rows[(pool.codes == code) & (pool.is_train == side)] for side in (True, False)]
        z.append(henze_penrose(rows[0], rows[1], metric=metric, device=device).z)
    combined = fsum(z) / np.sqrt(len(z))
    return TestResult(
        statistic=-float(combined),
        p_value=float(ndtr(combined)),
        method="same_class_friedman_rafsky",
        exact=False,
        n_resamples=None,
        alternative="greater",
    )


@dataclass(frozen=True)
class _Pool:
    """Both sets together: who belongs to which class, and to the training set."""

    rows: NDArray[Any]
    codes: Integers
    is_train: NDArray[np.bool_]
    n_classes: int


def _pooled(train: ArrayLike, validation: ArrayLike, labels_train: ArrayLike, labels_validation: ArrayLike) -> _Pool:
    first = _validate.activation_matrix(train, "train")
    second = _validate.activation_matrix(validation, "validation")
    if first.shape[1] != second.shape[1]:
        raise InvalidInput(f"`validation` has {second.shape[1]} features per row; `train` has {first.shape[1]}")
    groups = [
        _validate.class_labels(labels_train, len(first), "labels_train", against="train"),
        _validate.class_labels(labels_validation, len(second), "labels_validation", against="validation"),
    ]
    if not np.array_equal(groups[0].classes, groups[1].classes):
        raise InvalidInput("`labels_validation` must name the classes of `labels_train`, all of them and no other")
    return _Pool(
        rows=np.concatenate([first, second]),
        codes=np.concatenate([group.codes for group in groups]),
        is_train=np.repeat([True, False], [len(first), len(second)]),
        n_classes=groups[0].classes.size,
    )


def _reshuffled(pool: _Pool, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Membership shuffled within every class."""
    membership = np.empty_like(pool.is_train)
    for code in range(pool.n_classes):
        members = np.flatnonzero(pool.codes == code)
        membership[members] = generator.permutation(pool.is_train[members])
    return membership


def _reaches(drawn: float, observed: float, alternative: Alternative) -> bool:
    if alternative == "greater":
        return drawn >= observed - _ROUNDING
    if alternative == "less":
        return drawn <= observed + _ROUNDING
    return abs(drawn) >= abs(observed) - _ROUNDING


def _score_test(
    pool: _Pool,
    metric: str,
    alternative: Alternative,
    n_resamples: int,
    generator: np.random.Generator,
    report: Progress,
) -> TestResult:
    """Fixed scores u_x; ``T = - sum_k sum_{x in train_k} (u_x - mean_k u)`` has null mean 0."""
    from hpcore._tree_scores import foreign_edge_shares

    scores = foreign_edge_shares(pool.rows, pool.codes, pool.n_classes, metric, report)
    observed, null = 0.0, np.zeros(n_resamples)
    for code in range(pool.n_classes):
        members = np.flatnonzero(pool.codes == code)
        centred = scores[members].mean() - scores[members]
        chosen = pool.is_train[members]
        observed += float(centred[chosen].sum())
        null += selection_sums(centred[None], int(chosen.sum()), n_resamples, generator)[:, 0]
    exceedances = sum(_reaches(float(drawn), observed, alternative) for drawn in null)
    return TestResult(
        statistic=observed,
        p_value=(exceedances + 1) / (n_resamples + 1),
        method="membership_score",
        exact=False,
        n_resamples=n_resamples,
        alternative=alternative,
    )


def _silent(stage: str, done: int, total: int) -> None:
    """Report to nobody."""
