"""From the measured layers of a study to every test of the paper's tables.

    layer_step          S-1, S-3, S-6     from each layer to the next
    component_step      S-4, S-5, S-7, S-8  from each entry of a named list of layers to the next
    adaptation          S-2               trained minus untrained, layer by layer
    generalization      S-9               the step on training data minus the step on validation data
    generalization_gap                    the level on training data minus that on validation data

S-10 to S-18 are the same with cosine distance. Whatever states, splits, instances and steps are given, what they allow
is computed. Every mean is correctly rounded, so block differences are the sums of their steps.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Unpack, get_args

import numpy as np
from numpy.typing import ArrayLike

from hpcore import multiplicity
from hpcore._contrast import (
    SATURATED_CROSS_EDGES,
    Contrast,
    LayerMeasurement,
    no_folds,
    permutation_results,
    saturated,
)
from hpcore._layer_points import Options
from hpcore._result import Alternative, TestResult
from hpcore._study_rows import Family, Measurements, Row, StateKey, adaptation, generalization, steps
from hpcore.errors import InvalidInput
from hpcore.folds import fold_means, fold_plan
from hpcore.inference import CONFIDENCE_LEVEL, subsample_test
from hpcore.permutation import Method, max_t_p_values

__all__ = [
    "SATURATED_CROSS_EDGES",
    "LayerInterval",
    "LayerMeasurement",
    "StateKey",
    "StudyResult",
    "StudyTest",
    "layer_interval",
    "layer_tests",
    "measure_layer",
]

Estimand = Literal["these_classes", "population_of_classes", "exchangeable_pairs", "exchangeable_membership"]
Multiplicity = Literal["holm", "benjamini_hochberg"]

FEWEST_CLASSES_FOR_JACKKNIFE = 5
"""With 3 or 4 classes the jackknife is valid but has a quarter of the power: only on request."""

_ESTIMANDS: dict[str, Estimand] = {
    "subsample": "these_classes",
    "class_jackknife": "population_of_classes",
    "permutation": "exchangeable_pairs",
}
_ADJUSTMENTS: dict[str, Callable[[Sequence[float | None]], list[float | None]]] = {
    "holm": multiplicity.holm,
    "benjamini_hochberg": multiplicity.benjamini_hochberg,
}
_LEVEL = 0.05


@dataclass(frozen=True)
class StudyResult:
    """One method's answer to one test; without a p-value there is a reason."""

    method: str
    estimand: Estimand
    p_value: float | None
    p_adjusted: float | None
    adjustment: str
    exact: bool
    n_resamples: int | None
    low: float | None
    high: float | None
    reason: str | None


@dataclass(frozen=True)
class StudyTest:
    """One row of a table: a difference and what each method says about it."""

    family: Family
    instance: str
    state: str | None
    split: str | None
    step: int | None
    component: str | None
    input_layer: str | None
    output_layer: str
    difference: float
    alternative: Alternative
    results: tuple[StudyResult, ...]


@dataclass(frozen=True)
class LayerInterval:
    """Interval of one layer's mean for these classes at this n, or the reason why there is none."""

    low: float | None
    high: float | None
    level: float
    method: str
    estimand: Estimand
    reason: str | None


def measure_layer(
    activations: ArrayLike,
    labels: ArrayLike,
    *,
    seed: int = 0,
    folds: bool = True,
    **options: Unpack[Options],
) -> LayerMeasurement:
    """Measure one layer: every class pair, any separation, and the mean within folds for the subsample test.

    The number of folds follows from the smallest class (`hpcore.folds.fold_plan`); `seed` draws them. All layers
    of all networks seen by the same images must be given the same row order and seed. ``folds=False`` saves two thirds
    of the time and leaves the subsample test unavailable. Other options are those of `pairwise_henze_penrose`.
    """
    from hpcore.layer import measure_pairs

    separation, any_separation = measure_pairs(activations, labels, **options)
    plan = fold_plan(int(separation.counts.min())) if folds else None
    means = None
    if plan is not None:
        means = fold_means(activations, labels, n_repeats=plan.n_repeats, n_folds=plan.n_folds, rng=seed, **options)
    return LayerMeasurement(separation=separation, fold_means=means, any_separation=any_separation)


def layer_interval(measurement: LayerMeasurement) -> LayerInterval:
    """95 % subsample interval of a layer's mean: these classes, new images, this n."""
    reason = no_folds([measurement]) or saturated([measurement])
    low, high = None, None
    if reason is None and measurement.fold_means is not None:
        result = subsample_test(measurement.mean, measurement.fold_means)
        low, high = result.low, result.high
        if low is None:
            reason = "the mean is the same in every subsample: no variance to build an interval from"
    return LayerInterval(low, high, CONFIDENCE_LEVEL, "subsample", "these_classes", reason)


def layer_tests(
    measurements: Measurements,
    components: Mapping[str, Sequence[str]] | None = None,
    *,
    n_resamples: int = 50_000,
    method: Method = "auto",
    seed: int = 0,
    class_jackknife: bool | None = None,
    adjustment: Multiplicity = "holm",
) -> list[StudyTest]:
    """Every test that the given states, splits, instances and steps allow.

    Parameters
    ----------
    measurements
        For each state its layers by name, in the order of the network.
    components
        Named lists of layers; consecutive entries are tested as one step each.
    n_resamples, method
        Of the permutation test; `seed` draws one set of permutations for all of them.
    class_jackknife
        Whether to add the leave-one-class-out jackknife; None: from 5 classes on.
    adjustment
        Of the p-values within a family: one kind of table for one network, metric and split, per method. Monte Carlo
        p-values with too few draws for Holm's bound are adjusted by step-down max-T instead.

    Returns
    -------
    list of StudyTest
        In the order of the states given; a p-value that is not available is None and has a reason.

    Raises
    ------
    InvalidInput
        If a component names a layer that no state has, or names fewer than two.
    """
    if adjustment not in get_args(Multiplicity):
        raise InvalidInput(f"`adjustment` is {adjustment!r}; allowed are {', '.join(get_args(Multiplicity))}")
    components = {} if components is None else components
    _check_components(measurements, components)
    rows = [
        *steps(measurements, components),
        *adaptation(measurements),
        *generalization(measurements),
    ]
    results = _results(rows, n_resamples=n_resamples, method=method, seed=seed, class_jackknife=class_jackknife)
    families: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        families[row.table].append(i)
    adjusted: dict[tuple[int, str], tuple[float | None, str]] = {}
    for members in families.values():
        for name in _ESTIMANDS:
            present = [i for i in members if name in results[i]]
            p_values, rule = _adjusted(
                [results[i][name] for i in present], [rows[i].contrast for i in present], adjustment, seed
            )
            adjusted.update({(i, name): (p, rule) for i, p in zip(present, p_values, strict=True)})
    return [_study_test(row, results[i], {n: adjusted[i, n] for n in results[i]}) for i, row in enumerate(rows)]


def _check_components(measurements: Measurements, components: Mapping[str, Sequence[str]]) -> None:
    known = {layer for layers in measurements.values() for layer in layers}
    for name, layers in components.items():
        if len(layers) < 2:
            raise InvalidInput(f"`components` entry {name!r} names {len(layers)} layers; at least two are needed")
        for layer in layers:
            if layer not in known:
                raise InvalidInput(f"`components` entry {name!r} names the layer {layer!r}, which no input has")


def _results(
    rows: Sequence[Row], *, n_resamples: int, method: Method, seed: int, class_jackknife: bool | None
) -> list[dict[str, TestResult]]:
    permutation = permutation_results([row.contrast for row in rows], method=method, n_resamples=n_resamples, seed=seed)
    results: list[dict[str, TestResult]] = []
    for row, permuted in zip(rows, permutation, strict=True):
        contrast = row.contrast
        wanted = contrast.n_classes >= FEWEST_CLASSES_FOR_JACKKNIFE if class_jackknife is None else class_jackknife
        tests = {"subsample": contrast.subsample()}
        if wanted:
            tests["class_jackknife"] = contrast.class_jackknife()
        results.append({**tests, "permutation": permuted})
    return results


def _adjusted(
    results: Sequence[TestResult], contrasts: Sequence[Contrast], adjustment: Multiplicity, seed: int
) -> tuple[list[float | None], str]:
    """Adjusted p-values of one family by one method, and the name of the rule."""
    draws = {result.n_resamples for result in results}
    if len(draws) == 1 and all(result.p_value is not None for result in results):
        (n_resamples,) = draws
        # Holm can reach no less than m / (B + 1): with few draws nothing would ever be significant.
        if adjustment == "holm" and n_resamples is not None and len(results) > _LEVEL * (n_resamples + 1):
            p_values = max_t_p_values(
                np.stack([contrast.a.values for contrast in contrasts]),
                np.stack([contrast.b.values for contrast in contrasts]),
                alternative=contrasts[0].alternative,
                n_resamples=n_resamples,
                rng=seed,
            )
            return [float(p) for p in p_values], "max_t"
    return _ADJUSTMENTS[adjustment]([result.p_value for result in results]), adjustment


def _study_test(
    row: Row, results: Mapping[str, TestResult], adjusted: Mapping[str, tuple[float | None, str]]
) -> StudyTest:
    return StudyTest(
        family=row.family,
        instance=row.key.instance,
        state=row.key.state,
        split=row.split,
        step=row.key.step,
        component=row.component,
        input_layer=row.input_layer,
        output_layer=row.output_layer,
        difference=row.contrast.difference,
        alternative=row.contrast.alternative,
        results=tuple(
            StudyResult(
                method=name,
                estimand=_ESTIMANDS[name],
                p_value=result.p_value,
                p_adjusted=adjusted[name][0],
                adjustment=adjusted[name][1],
                exact=result.exact,
                n_resamples=result.n_resamples,
                low=result.low,
                high=result.high,
                reason=result.reason,
            )
            for name, result in results.items()
        ),
    )
