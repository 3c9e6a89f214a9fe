"""Every layer of every input, measured one at a time: no two layers are in memory together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import fsum, prod

import numpy as np

from contract.predictions import Limits
from contract.schemas import AnalysisRequest, InputReference, ProblemError
from hpcore import pairwise_henze_penrose
from hpcore.errors import InvalidInput
from hpcore.study import LayerMeasurement, StateKey, measure_layer
from hpcore.trend import SampleSizeTrend, sample_size_trend
from worker.activations import ActivationFile
from worker.arrays import Array
from worker.gpu_memory import where_it_fits
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
    left_gpu: bool = False


def measure(
    request: AnalysisRequest,
    inputs: Sequence[StudyInput],
    per_class: int | None,
    resources: Resources,
    on_progress: Progress,
    on_layer: Callable[[StudyInput, str, Measured], None],
) -> dict[StateKey, dict[str, Measured]]:
    """Measure all layers; `on_progress` gets (what is being measured, layers done, layers, fraction)."""
    tasks = [(item, layer) for item in inputs for layer in item.layers]
    # A layer's cost grows with its dimension, and has a part that doesn't.
    weights = [64 + item.dimension(layer) for item, layer in tasks]
    measured: dict[StateKey, dict[str, Measured]] = {item.key: {} for item in inputs}
    for done, (item, layer) in enumerate(tasks):
        role = item.reference
        stage = f"instance {role.instance}, {role.state}, {role.split}: {layer}"
        on_progress(stage, done, len(tasks), sum(weights[:done]) / sum(weights))

        def work(request: AnalysisRequest, item: StudyInput = item, layer: str = layer) -> Measured:
            return _measure_layer(request, item, layer, per_class, resources)

        found, left_gpu = where_it_fits(request, work)
        found = measured[item.key][layer] = replace(found, left_gpu=left_gpu)
        on_layer(item, layer, found)
    return measured


def _measure_layer(
    request: AnalysisRequest, item: StudyInput, layer: str, per_class: int | None, resources: Resources
) -> Measured:
    activations, codes = item.load(layer), item.codes
    seed = fold_seed(request.seed, item.reference.split)
    try:
        found = measure_layer(
            activations,
            codes,
            metric=request.metric,
            ties=TIES,
            device=request.device,
            seed=seed,
            n_threads=resources.n_threads,
            memory_budget=resources.memory_bytes,
        )
        return Measured(
            found,
            _trend(request, activations, codes, seed, found.mean, resources),
            _draw_means(request, item, layer, found, per_class, resources),
        )
    except InvalidInput as error:
        role = item.reference
        where = f"layer {layer!r} of instance {role.instance!r} ({role.state}, {role.split})"
        if np.isfinite(activations).all():
            raise ProblemError("invalid_activations", f"{where}: {error}") from error
        raise ProblemError(
            "non_finite", f"{where} holds NaN or infinity; record it again, in float32 if it overflowed float16"
        ) from error


def _trend(
    request: AnalysisRequest, activations: Array, codes: Array, seed: int, whole_mean: float, resources: Resources
) -> SampleSizeTrend | None:
    if not request.sampling.trend:
        return None
    return sample_size_trend(
        activations,
        codes,
        rng=seed,
        whole_mean=whole_mean,
        metric=request.metric,
        ties=TIES,
        device=request.device,
        n_threads=resources.n_threads,
        memory_budget=resources.memory_bytes,
    )


def _draw_means(
    request: AnalysisRequest,
    item: StudyInput,
    layer: str,
    first: LayerMeasurement,
    per_class: int | None,
    resources: Resources,
) -> tuple[float, ...] | None:
    """Means of the layer over further draws of its rows, the reported one first; None where no row was left out."""
    if item.rows is None or request.sampling.repeats == 1:
        return None
    means = [first.mean]
    for number in range(1, request.sampling.repeats):
        rows = draw_rows(item.file.codes, per_class, seed=request.seed, split=item.reference.split, number=number)
        values = pairwise_henze_penrose(
            item.load_rows(layer, rows),
            item.file.codes[rows],
            metric=request.metric,
            ties=TIES,
            device=request.device,
            n_threads=resources.n_threads,
            memory_budget=resources.memory_bytes,
        ).statistic
        means.append(fsum(values) / len(values))
    return tuple(means)
