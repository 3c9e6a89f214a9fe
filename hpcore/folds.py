"""Folds of every class, the same at every layer: what the variance of the subsample test is estimated from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcore import _validate
from hpcore._layer_points import Options
from hpcore.errors import InvalidInput
from hpcore.permutation import RandomSource
from hpcore.threads import available_threads, in_threads

Floats = NDArray[np.float64]

SMALLEST_CLASS_FOR_FIVE_FOLDS = 80
SMALLEST_CLASS_FOR_FOLDS = 32
POINTS_PER_FOLD = 16
"""Folds below 16 points of a class make the variance estimate too small (.8 of the truth)."""


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
    return fold_cells(
        activations,
        labels,
        0,
        n_repeats * n_folds,
        n_repeats=n_repeats,
        n_folds=n_folds,
        rng=rng,
        metric=metric,
        device=device,
        ties=ties,
        n_threads=n_threads,
        memory_budget=memory_budget,
        on_progress=on_progress,
    ).reshape(n_repeats, n_folds)


def fold_cells(
    activations: ArrayLike,
    labels: ArrayLike,
    first: int,
    stop: int,
    *,
    n_repeats: int,
    n_folds: int,
    rng: RandomSource = 0,
    **options: Unpack[Options],
) -> Floats:
    """Some of the numbers of `fold_means`: (stop - first,), division by division; options and errors are its own."""
    from hpcore import pairwise_henze_penrose

    rows = _validate.activation_matrix(activations)
    codes = np.asarray(labels)
    _validate.class_labels(codes, len(rows))
    folds = fold_assignment(codes, n_repeats=n_repeats, n_folds=n_folds, rng=rng)
    if not 0 <= first < stop <= n_repeats * n_folds:
        raise InvalidInput(f"`first`, `stop` must be a range within the {n_repeats * n_folds} folds")
    tasks = list(np.ndindex(n_repeats, n_folds))[first:stop]
    given, budget = options.get("n_threads"), options.get("memory_budget")
    threads = available_threads() if given is None else _validate.positive_integer(given, "n_threads")
    threads = min(threads, len(tasks))
    of_one: Options = {
        **options,
        "n_threads": 1,
        "memory_budget": None if budget is None else budget // threads,
        "on_progress": None,
    }

    def fold_mean(task: tuple[int, ...]) -> float:
        repeat, fold = task
        chosen = folds[repeat] == fold
        return float(pairwise_henze_penrose(rows[chosen], codes[chosen], **of_one).statistic.mean())

    means, report = np.empty(len(tasks)), options.get("on_progress")
    # Folds side by side rather than threads within a fold: the problems are small and many.
    for done, mean in enumerate(in_threads(fold_mean, tasks, threads), start=1):
        means[done - 1] = mean
        if report is not None:
            report("folds", done, len(tasks))
    return means
