"""One layer of one input, measured at once or in pieces that come to the same, bit for bit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import fsum, prod
from typing import Any

import numpy as np

from contract.predictions import Limits
from contract.schemas import AnalysisRequest, InputReference, ProblemError
from hpcore import pairwise_henze_penrose
from hpcore.errors import InvalidInput
from hpcore.folds import FoldPlan, fold_cells, fold_plan
from hpcore.layer import ClassTrees, PairBlock, class_trees, joined, pair_block
from hpcore.study import LayerMeasurement, StateKey, measure_layer
from hpcore.trend import SampleSizeTrend, sample_size_trend, with_whole_mean
from worker.activations import ActivationFile
from worker.arrays import Array
from worker.selection import draw_rows, fold_seed

Progress = Callable[[str, int, int, float], None]
TIES = "average"


@dataclass(frozen=True)
class Resources:
    """What a computation may use; None leaves the choice to hpcore."""

    n_threads: int | None = None
    memory_bytes: int | None = None
    max_unpacked_bytes: int = 2**40
    limits: Limits | None = None  # beyond them an analysis is refused


@dataclass(frozen=True)
class StudyInput:
    """One input, and the rows that are used of it (None: all)."""

    reference: InputReference
    file: ActivationFile
    layers: tuple[str, ...]
    rows: Array | None

    @property
    def codes(self) -> Array:
        """Class codes of the used rows."""
        return self.file.codes if self.rows is None else self.file.codes[self.rows]

    @property
    def key(self) -> StateKey:
        """The role of the input in the study."""
        return StateKey(*self.reference.role)

    def load(self, layer: str) -> Array:
        """Return the used rows of a layer, flattened."""
        return self.load_rows(layer, self.rows)

    def load_rows(self, layer: str, rows: Array | None) -> Array:
        """Return some rows of a layer, flattened; None: all."""
        array, held = self.load_all(layer), self.file.rows
        if rows is None or (held is not None and np.array_equal(held, rows)):
            return array
        return array[rows if held is None else np.searchsorted(held, rows)]

    def load_all(self, layer: str) -> Array:
        """Return all rows that the file holds of a layer, flattened."""
        array = self.file.layers[layer].load()
        return array.reshape(len(array), -1)

    def dimension(self, layer: str) -> int:
        """Features of a flattened row."""
        return prod(self.file.layers[layer].shape[1:])


@dataclass(frozen=True)
class Measured:
    """What is known of one layer: for the tests, and for the reader."""

    layer: LayerMeasurement
    trend: SampleSizeTrend | None = None
    draw_means: tuple[float, ...] | None = None
    small_tiles: bool = False
    left_gpu: bool = False


@dataclass(frozen=True)
class Study:
    """The inputs of an analysis, checked against each other, and how they are measured."""

    request: AnalysisRequest
    inputs: tuple[StudyInput, ...]
    per_class: int | None
    resources: Resources

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in the order of the report."""
        return self.inputs[0].layers

    @property
    def kernel(self) -> dict[str, Any]:
        """What every measurement is told."""
        return {
            "metric": self.request.metric,
            "device": self.request.device,
            "n_threads": self.resources.n_threads,
            "memory_budget": self.resources.memory_bytes,
        }


def measured(study: Study, item: StudyInput, layer: str) -> Measured:
    """Measure all that is wanted of a layer; its rows are read once."""
    activations, codes = item.load(layer), item.codes
    seed = fold_seed(study.request.seed, item.reference.split)
    with about_layer(item, layer, activations):
        found = measure_layer(activations, codes, ties=TIES, seed=seed, **study.kernel)
        trend = None
        if study.request.sampling.trend:
            trend = sample_size_trend(activations, codes, rng=seed, whole_mean=found.mean, ties=TIES, **study.kernel)
        return Measured(found, trend, _draws(found, draw_means(study, item, layer, 1, n_draws(study, item))))


def trees_of(study: Study, item: StudyInput, layer: str) -> ClassTrees:
    """Build the class trees of a large layer, for all blocks of its pairs."""
    activations = item.load(layer)
    with about_layer(item, layer, activations):
        return class_trees(activations, item.codes, **study.kernel)


def block_of(study: Study, item: StudyInput, layer: str, trees: ClassTrees, first: int, stop: int) -> PairBlock:
    """Count the pairs ``first:stop`` of a large layer."""
    options = {name: value for name, value in study.kernel.items() if name != "metric"}
    activations = item.load(layer)
    with about_layer(item, layer, activations):
        return pair_block(activations, item.codes, trees, first, stop, ties=TIES, **options)


def cells_of(study: Study, item: StudyInput, layer: str, first: int, stop: int) -> Array:
    """Measure the folds ``first:stop`` of a large layer."""
    activations, plan = item.load(layer), fold_plan_of(item)
    assert plan is not None
    seed = fold_seed(study.request.seed, item.reference.split)
    with about_layer(item, layer, activations):
        return fold_cells(
            activations,
            item.codes,
            first,
            stop,
            n_repeats=plan.n_repeats,
            n_folds=plan.n_folds,
            rng=seed,
            ties=TIES,
            **study.kernel,
        )


def trend_of(study: Study, item: StudyInput, layer: str) -> SampleSizeTrend:
    """Measure a large layer at fewer rows; `joined_layer` fills in the mean of all."""
    activations = item.load(layer)
    seed = fold_seed(study.request.seed, item.reference.split)
    with about_layer(item, layer, activations):
        return sample_size_trend(activations, item.codes, rng=seed, whole_mean=0.0, ties=TIES, **study.kernel)


def joined_layer(
    item: StudyInput,
    trees: ClassTrees,
    blocks: Sequence[PairBlock],
    cells: Sequence[Array],
    trend: SampleSizeTrend | None,
    means: Sequence[float],
) -> Measured:
    """Put the pieces of a large layer together, each kind in its order."""
    separation, any_separation = joined(trees, blocks)
    plan = fold_plan_of(item)
    folds = None if plan is None else np.concatenate(cells).reshape(plan.n_repeats, plan.n_folds)
    found = LayerMeasurement(separation=separation, fold_means=folds, any_separation=any_separation)
    return Measured(found, None if trend is None else with_whole_mean(trend, found.mean), _draws(found, means))


def fold_plan_of(item: StudyInput) -> FoldPlan | None:
    """Return the folds of the used rows."""
    return fold_plan(int(np.bincount(item.codes).min()))


def n_draws(study: Study, item: StudyInput) -> int:
    """Return how many draws of the rows are measured, the reported one included."""
    return 1 if item.rows is None else study.request.sampling.repeats


def draw_means(study: Study, item: StudyInput, layer: str, first: int, stop: int) -> list[float]:
    """Return the means of the layer over the further draws ``first:stop`` of its rows; 0 is the reported one."""
    means = []
    for number in range(first, stop):
        rows = draw_rows(
            item.file.codes, study.per_class, seed=study.request.seed, split=item.reference.split, number=number
        )
        activations = item.load_rows(layer, rows)
        with about_layer(item, layer, activations):
            values = pairwise_henze_penrose(activations, item.file.codes[rows], ties=TIES, **study.kernel).statistic
        means.append(fsum(values) / len(values))
    return means


def _draws(first: LayerMeasurement, means: Sequence[float]) -> tuple[float, ...] | None:
    return (first.mean, *means) if means else None


@contextmanager
def about_layer(item: StudyInput, layer: str, activations: Array) -> Iterator[None]:
    """Have what is wrong with the rows of a layer say which layer it is."""
    try:
        yield
    except InvalidInput as error:
        role = item.reference
        where = f"layer {layer!r} of instance {role.instance!r} ({role.state}, {role.split})"
        if np.isfinite(activations).all():
            raise ProblemError("invalid_activations", f"{where}: {error}") from error
        raise ProblemError(
            "non_finite", f"{where} holds NaN or infinity; record it again, in float32 if it overflowed float16"
        ) from error
