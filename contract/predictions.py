"""What a whole analysis would take, from its request and what is known of its inputs: time, memory, and why not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import filter as matching_glob
from math import comb, prod
from typing import Literal, NoReturn, Self

from contract import costs
from contract.schemas import AnalysisRequest, Artifact, InputReference, InspectedLayer, Inspection, ProblemError
from contract.settings import Settings
from contract.shapes import NOTHING, ONE_THREAD, Cost, Processor, Shape
from contract.workforce import Ability

MOST_PAIRS = 5_000_000
"""A layer with more pairs of classes (about 3,160 classes) is refused: its report would not fit anywhere."""
_MOST_COMPARISONS = 100_000
_MEMORY_DOUBT, _TIME_DOUBT = 1.2, 2.0  # what a prediction may be wrong by
_COMPRESSED = 0.95  # a file smaller than this share of its arrays is deflated

Layers = dict[tuple[str, str, str, int | None], list[Shape]]  # by role: instance, state, split, step


@dataclass(frozen=True)
class KnownInput:
    """One input of a request, and what its file's headers say."""

    reference: InputReference
    inspection: Inspection
    format: Literal["npz", "safetensors"]
    bytes: int

    @classmethod
    def of(cls, reference: InputReference, artifact: Artifact) -> Self | None:
        """Return an input that is a file, once a worker has looked into it."""
        if artifact.inspection is None:
            return None
        form: Literal["npz", "safetensors"] = "npz" if artifact.format == "npz" else "safetensors"
        return cls(reference, artifact.inspection, form, artifact.bytes)

    @property
    def smallest(self) -> int:
        """Rows of the smallest class."""
        return min(self.inspection.classes.values())

    @property
    def compressed(self) -> bool:
        """Whether the arrays are deflated."""
        whole = sum(prod(layer.shape) * Shape(0, 0, 0, 0, layer.dtype).width for layer in self.inspection.layers)
        return self.format == "npz" and self.bytes < _COMPRESSED * whole


@dataclass(frozen=True)
class Limits:
    """What a job may take.

    Attributes
    ----------
    processor, slowness, memory_bytes
        Of the workers, as in `contract.workforce.Ability`.
    most_seconds, deadline_seconds
        Of a whole analysis, and of one attempt.
    divides
        Whether analyses are split into parts, each of which is an attempt of its own.
    """

    processor: Processor
    slowness: float
    memory_bytes: int
    most_seconds: float
    deadline_seconds: float
    divides: bool = True

    @classmethod
    def of(cls, ability: Ability, settings: Settings) -> Self:
        """Return what an installation with workers of some ability allows."""
        return cls(
            ability.processor,
            ability.slowness,
            ability.memory_bytes,
            settings.max_estimated_seconds,
            settings.deadline_seconds,
            divides=settings.part_seconds > 0,
        )


@dataclass(frozen=True)
class Prediction:
    """What an analysis would take.

    Attributes
    ----------
    seconds
        On the reference machine, with the threads that were asked about.
    memory_bytes
        Peak resident memory of the computing process beyond what it has when idle.
    allocated_bytes
        The part of it that is allocated, not mapped from a file: what the limit of a job is about.
    class_pairs, rows_per_class, layers, spanning_trees
        Pairs of classes; rows of each class that are used (None: all); layers of all inputs, and trees of them.
    longest_seconds
        The longest piece of it that is never divided, on the reference machine.
    """

    seconds: float
    memory_bytes: int
    allocated_bytes: int
    class_pairs: int
    rows_per_class: int | None
    layers: int
    spanning_trees: int
    longest_seconds: float


def predict(request: AnalysisRequest, inputs: Sequence[KnownInput], processor: Processor = ONE_THREAD) -> Prediction:
    """Return what the given inputs of a request would take; at least one must be known."""
    per_class = _rows_per_class(request, inputs)
    layers: Layers = {item.reference.role: _shapes(request, item, per_class) for item in inputs}
    total, allocated, resident = 0.0, 0, 0
    n_trees = n_layers = 0
    longest = 0.0
    for shapes in layers.values():
        for shape in shapes:
            cost, own = measuring(request, shape, processor)
            total += cost.seconds
            allocated, resident = max(allocated, own), max(resident, cost.memory_bytes)
            n_layers += 1
            n_trees += shape.pairs * (1 + prod(costs.fold_plan(shape)))
    for train, validation in _both_splits(layers):
        for one, other in zip(train, validation, strict=False):
            cost, own = comparing(request, one, other, processor)
            total, longest = total + cost.seconds, max(longest, cost.seconds)
            allocated, resident = max(allocated, own), max(resident, cost.memory_bytes)
        if train and validation:
            cost = costs.shared_rows(train[0], validation[0])
            total += cost.seconds
    n_pairs = comb(len(inputs[0].inspection.classes), 2)
    after = _concluding(request, layers, n_layers, n_pairs)
    kept = costs.kept_bytes(n_layers, n_pairs)
    return Prediction(
        seconds=total + after.seconds,
        memory_bytes=kept + max(resident, after.memory_bytes),
        allocated_bytes=kept + max(allocated, after.memory_bytes),
        class_pairs=n_pairs,
        rows_per_class=per_class,
        layers=n_layers,
        spanning_trees=n_trees,
        longest_seconds=max(longest, after.seconds),
    )


def require_fit(found: Prediction, limits: Limits) -> None:
    """Refuse what cannot be computed here, beyond what a prediction may be wrong by.

    Raises
    ------
    ProblemError
        `job_too_large`, with what it would take and what would help.
    """
    needed, limit = found.allocated_bytes + costs.IDLE_BYTES, limits.memory_bytes
    if found.class_pairs > MOST_PAIRS:
        _refuse(f"this has {found.class_pairs:,} pairs of classes, and at most {MOST_PAIRS:,} are accepted", "classes")
    if limit and needed > _MEMORY_DOUBT * limit:
        what = f"about {needed / 2**30:,.1f} GiB of memory, and a job may use {limit / 2**30:,.1f} GiB"
        _refuse(f"this would take {what}", "rows per class or classes, or narrower layers")
    seconds, most = limits.slowness * found.seconds, limits.most_seconds
    if seconds > most:
        what = f"about {seconds / 3600:,.0f} hours, and at most {most / 3600:,.0f} are accepted"
        _refuse(f"this would take {what}", "rows per class, classes or layers")
    piece = found.longest_seconds if limits.divides else found.seconds
    indivisible, deadline = limits.slowness * piece, limits.deadline_seconds
    if indivisible > _TIME_DOUBT * deadline:
        what = f"about {indivisible / 3600:,.1f} hours at a stretch, and is killed after {deadline / 3600:,.1f}"
        _refuse(f"this would take {what}", "rows per class, classes or layers")


def _refuse(why: str, less: str) -> NoReturn:
    raise ProblemError(
        "job_too_large", f"{why}; analyse fewer {less} (POST /v1/analyses:estimate tells what that saves)"
    )


def measuring(request: AnalysisRequest, shape: Shape, processor: Processor) -> tuple[Cost, int]:
    """Return the cost of measuring one layer, and how much of its memory is allocated rather than mapped."""
    read = costs.reading(shape)
    units = costs.pairs(shape, processor) + costs.fold_cells(shape, processor=processor)
    if request.sampling.trend:
        units += costs.trend(shape, processor)
    if shape.file_rows is not None and request.sampling.repeats > 1:
        units += costs.further_draws(shape, request.sampling.repeats - 1, processor)
    held = costs.held_bytes(shape)
    resident = max(read.memory_bytes, held + units.memory_bytes)
    mapped = held if shape.stays_mapped else 0
    return Cost(read.seconds + units.seconds, resident), max(costs.allocated_to_read(shape), resident - mapped)


def comparing(request: AnalysisRequest, train: Shape, validation: Shape, processor: Processor) -> tuple[Cost, int]:
    """Return the cost of the tests of one layer's two splits, sample by sample, as `measuring` does."""
    units, options = NOTHING, request.tests
    if options.membership != "none":
        units += costs.membership(train, validation, options.membership, processor)
    if options.shift:
        units += costs.shift(train, validation)
    if units == NOTHING:
        return NOTHING, 0
    held = sum(costs.held_bytes(each) for each in (train, validation))
    mapped = sum(costs.held_bytes(each) for each in (train, validation) if each.stays_mapped)
    seconds = sum(costs.reading(each).seconds for each in (train, validation)) + units.seconds
    return Cost(seconds, held + units.memory_bytes), held - mapped + units.memory_bytes


def _both_splits(layers: Layers) -> list[tuple[list[Shape], list[Shape]]]:
    """Layers of every network state that has training and validation data."""
    pairs = []
    for (instance, state, split, step), train in layers.items():
        validation = layers.get((instance, state, "validation", step))
        if split == "train" and validation is not None:
            pairs.append((train, validation))
    return pairs


def _concluding(request: AnalysisRequest, layers: Layers, n_layers: int, n_pairs: int) -> Cost:
    """The tests over the pairs, and the report."""
    n_splits = len(_both_splits(layers))
    most = max((len(shapes) for shapes in layers.values()), default=0)
    states = {(instance, split, step) for instance, state, split, step in layers if state == "trained"}
    adapted = sum((instance, split, step) in states for instance, state, split, step in layers if state == "untrained")
    steps = len(layers) * (most - 1 + sum(len(block) - 1 for block in request.components.values()))
    n_tests = max(0, steps + adapted * most + n_splits * (2 * most - 1))
    alternatives = 1 + (n_splits > 0 or len({state for _, state, _, _ in layers}) > 1)
    tested = costs.pair_tests(
        n_pairs,
        n_tests,
        request.tests.n_resamples,
        smallest=min((shape.smallest for shapes in layers.values() for shape in shapes), default=2),
        n_alternatives=alternatives,
        method=request.tests.method,
    )
    return tested + costs.assembly(n_layers, n_pairs, n_tests)


def _shapes(request: AnalysisRequest, item: KnownInput, per_class: int | None) -> list[Shape]:
    """Return the layers of one input that the request wants, as they are used."""
    found, names = item.inspection, [layer.name for layer in item.inspection.layers]
    wanted = _matching(names, request.layers.include) - _matching(names, request.layers.exclude)
    rows, smallest = found.rows, item.smallest
    if per_class is not None:
        rows, smallest = min(per_class * len(found.classes), found.rows), min(per_class, smallest)
    if request.sampling.part is not None:
        rows, smallest = rows // request.sampling.part.of, smallest // request.sampling.part.of
    whole = Shape(
        rows=rows,
        classes=len(found.classes),
        features=1,
        smallest=smallest,
        metric=request.metric,
        file_rows=None if rows == found.rows else found.rows,
        mapped=item.format == "safetensors",
        compressed=item.compressed,
    )
    return [_shape(whole, layer) for layer in found.layers if layer.name in wanted]


def _shape(whole: Shape, layer: InspectedLayer) -> Shape:
    return replace(whole, features=prod(layer.shape[1:]), dtype=layer.dtype)


def _matching(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    globs = {pattern for pattern in patterns if "*" in pattern or "?" in pattern or "[" in pattern}
    spelled_out = set(names) & set(patterns)
    if len(globs) * len(names) > _MOST_COMPARISONS:
        return spelled_out  # rather too few than that an estimate takes seconds
    return spelled_out.union(*(matching_glob(names, pattern) for pattern in globs))


def _rows_per_class(request: AnalysisRequest, inputs: Sequence[KnownInput]) -> int | None:
    rule = request.sampling.per_class
    smallest = min(item.smallest for item in inputs)
    return None if rule == "all" else smallest if rule == "equal" else rule
