"""One difference of mean separations and the tests of it: what `hpcore.study` arranges into tables."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hpcore._result import Alternative, TestResult
from hpcore.errors import InvalidInput
from hpcore.folds import SMALLEST_CLASS_FOR_FOLDS
from hpcore.inference import class_jackknife_test, subsample_test
from hpcore.permutation import Method, permutation_tests

if TYPE_CHECKING:  # the separation module brings the kernels along
    from hpcore.separation import PairwiseSeparation

Floats = NDArray[np.float64]

SATURATED_CROSS_EDGES = 10
"""A layer with fewer cross edges than this, beyond the one that every tree has per pair, is saturated."""


@dataclass(frozen=True)
class LayerMeasurement:
    """What one layer of one network state on one split was measured to be.

    Attributes
    ----------
    separation
        Statistic of every class pair on all rows.
    fold_means
        (n_repeats, n_folds) mean statistic within each fold, or None where classes are too small for folds.
    any_separation
        `hpcore.overall.separation_test` of the layer, where it was asked for.
    """

    separation: "PairwiseSeparation"
    fold_means: Floats | None
    any_separation: TestResult | None = None

    @cached_property
    def mean(self) -> float:
        """Mean over the class pairs, correctly rounded, so that steps add up to blocks."""
        return fsum(self.separation.statistic) / self.separation.statistic.size

    @cached_property
    def n_min(self) -> int:
        """Points of the smallest class."""
        return int(self.separation.counts.min())

    @cached_property
    def is_saturated(self) -> bool:
        """True where too few cross edges are left to tell how they would vary."""
        edges = self.separation.cross_edges
        return float(edges.sum()) - edges.size < SATURATED_CROSS_EDGES


@dataclass(frozen=True)
class Side:
    """One side of a contrast: a layer, or a step from one layer to another."""

    layer: LayerMeasurement
    previous: LayerMeasurement | None = None

    @property
    def layers(self) -> tuple[LayerMeasurement, ...]:
        """The one or two layers involved."""
        return (self.layer,) if self.previous is None else (self.layer, self.previous)

    @property
    def mean(self) -> float:
        """Mean over class pairs."""
        return self.layer.mean if self.previous is None else self.layer.mean - self.previous.mean

    @property
    def values(self) -> Floats:
        """One value per class pair."""
        values = self.layer.separation.statistic
        return values if self.previous is None else values - self.previous.separation.statistic

    @property
    def folds(self) -> Floats:
        """The mean within each fold."""
        folds = self.layer.fold_means
        assert folds is not None, "the caller has checked that there are folds"
        if self.previous is None:
            return folds
        assert self.previous.fold_means is not None, "the caller has checked that there are folds"
        return folds - self.previous.fold_means


@dataclass(frozen=True)
class Contrast:
    """``mean(a) - mean(b)``; `independent` where the two sides were measured on different images."""

    a: Side
    b: Side
    alternative: Alternative
    independent: bool

    @property
    def layers(self) -> tuple[LayerMeasurement, ...]:
        """Every layer involved, two to four."""
        return (*self.a.layers, *self.b.layers)

    @property
    def difference(self) -> float:
        """The tested difference of means."""
        return self.a.mean - self.b.mean

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.a.layer.separation.classes.size)

    @property
    def incomparable(self) -> str | None:
        """Why no test can be made at all, or None."""
        classes = self.a.layer.separation.classes
        if all(np.array_equal(classes, layer.separation.classes) for layer in self.layers):
            return None
        return "the two sides hold different classes"

    def subsample(self) -> TestResult:
        """Subsample t, or the reason why it is not available."""
        reason = self.incomparable or self._subsample_refusal()
        if reason is not None:
            return not_available("subsample", self, reason)
        if self.independent:
            return subsample_test(
                self.difference,
                self.a.folds,
                alternative=self.alternative,
                independent_fold_statistics=self.b.folds,
            )
        return subsample_test(self.difference, self.a.folds - self.b.folds, alternative=self.alternative)

    def class_jackknife(self) -> TestResult:
        """Leave-one-class-out jackknife t, or the reason why it is not available."""
        if self.incomparable is not None:
            return not_available("class_jackknife", self, self.incomparable)
        pairs = self.a.layer.separation.pairs
        return class_jackknife_test(self.a.values, self.b.values, pairs, alternative=self.alternative)

    def _subsample_refusal(self) -> str | None:
        if self.independent:
            return no_folds(self.layers) or saturated(self.layers)
        first, *others = self.layers
        if any(not np.array_equal(first.separation.counts, layer.separation.counts) for layer in others):
            return "the two sides were not measured on the same images"
        # A layer that changes nothing is a clear answer even where both of its sides are saturated.
        if np.array_equal(self.a.values, self.b.values):
            return no_folds(self.layers)
        return no_folds(self.layers) or saturated(self.layers)


def no_folds(layers: Sequence[LayerMeasurement]) -> str | None:
    """Why the subsample test has no folds to work with, or None."""
    if all(layer.fold_means is not None for layer in layers):
        return None
    smallest = min(layer.n_min for layer in layers)
    if smallest < SMALLEST_CLASS_FOR_FOLDS:
        return f"the smallest class has {smallest} points; subsamples need {SMALLEST_CLASS_FOR_FOLDS}"
    return "the layers were measured without folds"


def saturated(layers: Sequence[LayerMeasurement]) -> str | None:
    """Why the variance of a saturated layer cannot be trusted, or None."""
    if not any(layer.is_saturated for layer in layers):
        return None
    return f"saturated: fewer than {SATURATED_CROSS_EDGES} cross edges are left in a layer to vary between samples"


def not_available(method: str, contrast: Contrast, reason: str) -> TestResult:
    """A result without a p-value."""
    return TestResult(
        statistic=contrast.difference,
        p_value=None,
        method=method,
        exact=False,
        n_resamples=None,
        alternative=contrast.alternative,
        reason=reason,
    )


def permutation_results(
    contrasts: Sequence[Contrast], *, method: Method, n_resamples: int, seed: int
) -> list[TestResult]:
    """Two-sample permutation test of every contrast; those that need draws share them.

    Where ``method="exact"`` is out of reach for a contrast it gets the reason instead of a p-value.
    """
    results: dict[int, TestResult] = {}
    alike: dict[tuple[int, Alternative], list[int]] = defaultdict(list)
    for i, contrast in enumerate(contrasts):
        if contrast.incomparable is None:
            alike[contrast.a.values.size, contrast.alternative].append(i)
        else:
            results[i] = not_available("permutation", contrast, contrast.incomparable)
    for (_, alternative), group in alike.items():
        a = np.stack([contrasts[i].a.values for i in group])
        b = np.stack([contrasts[i].b.values for i in group])
        try:
            tests = permutation_tests(a, b, alternative=alternative, method=method, n_resamples=n_resamples, rng=seed)
        except InvalidInput:
            if method != "exact":
                raise
            tests = tuple(_exact_or_reason(contrasts[i]) for i in group)
        results.update(zip(group, tests, strict=True))
    return [results[i] for i in range(len(contrasts))]


def _exact_or_reason(contrast: Contrast) -> TestResult:
    exact: Literal["exact"] = "exact"
    try:
        return permutation_tests(
            contrast.a.values[None], contrast.b.values[None], alternative=contrast.alternative, method=exact
        )[0]
    except InvalidInput as error:
        return not_available("permutation", contrast, str(error))
