"""What an analysis would take, from the headers of its inputs alone."""

import math
from collections.abc import Sequence
from fnmatch import filter as matching_glob
from typing import Literal

from contract.schemas import AnalysisRequest, Estimate, InspectedLayer, Inspection

# Distances of one feature a second on one modest machine, and seconds that each spanning tree costs beyond them.
_DISTANCE_FEATURES_PER_SECOND = 2e10
_SECONDS_PER_TREE_POINT = 2e-7
_SECONDS_PER_RESAMPLED_PAIR = 1e-10  # random signs over all pairs, one matrix product
_MOST_COMPARISONS = 100_000
_THREAD_BYTES = 4 * 2**20
_FOLD_PASSES = 3.0  # the whole, and ten random divisions into five, which are two passes more


def estimate(request: AnalysisRequest, inspections: Sequence[Inspection]) -> Estimate:
    """Return pairs, trees, rows, memory and a class of time."""
    classes = len(inspections[0].classes)
    smallest = _smallest(inspections)
    rule = request.sampling.per_class
    per_class = _rows_per_class(request, inspections)
    pairs = math.comb(classes, 2)
    layers = _layers(request, inspections, per_class)
    seconds = estimated_seconds(request, inspections)
    notes = []
    if isinstance(rule, int) and rule > smallest:
        notes.append(f"a class has only {smallest} rows, so per_class {rule} would be refused")
    if smallest < 32:
        notes.append("fewer than 32 rows per class: the subsample test and its intervals are not available")
    return Estimate(
        class_pairs=pairs,
        spanning_trees=pairs * len(layers) * 51,
        rows_per_class=per_class,
        memory_bytes=max((_bytes(rows, layer) for rows, layer in layers), default=0),
        time_class="seconds" if seconds < 60 else "minutes" if seconds < 3600 else "hours",
        notes=notes,
    )


def estimated_seconds(request: AnalysisRequest, inspections: Sequence[Inspection]) -> float:
    """Return the time that the inputs take whose headers are known; 0 for none."""
    if not inspections:
        return 0.0
    per_class = _rows_per_class(request, inspections)
    trees = sum(
        _seconds(rows, layer, math.comb(len(found.classes), 2), len(found.classes))
        for found in inspections
        for rows, layer in _layers(request, [found], per_class)
    )
    n_pairs = math.comb(len(inspections[0].classes), 2)
    contrasts = sum(len(found.layers) for found in inspections)
    return trees + contrasts * n_pairs * request.tests.n_resamples * _SECONDS_PER_RESAMPLED_PAIR


def _layers(
    request: AnalysisRequest, inspections: Sequence[Inspection], per_class: int | None
) -> list[tuple[int, InspectedLayer]]:
    """Return the layers that the request wants, each with the number of its rows that are used."""
    chosen: list[tuple[int, InspectedLayer]] = []
    for found in inspections:
        names = [layer.name for layer in found.layers]
        included, excluded = (
            _matching(names, patterns) for patterns in (request.layers.include, request.layers.exclude)
        )
        rows = found.rows if per_class is None else min(per_class * len(found.classes), found.rows)
        chosen += [(rows, layer) for layer in found.layers if layer.name in included - excluded]
    return chosen


def _matching(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    globs = {pattern for pattern in patterns if "*" in pattern or "?" in pattern or "[" in pattern}
    spelled_out = set(names) & set(patterns)
    if len(globs) * len(names) > _MOST_COMPARISONS:
        return spelled_out  # rather too few than that an estimate takes seconds
    return spelled_out.union(*(matching_glob(names, pattern) for pattern in globs))


def _smallest(inspections: Sequence[Inspection]) -> int:
    return min(min(found.classes.values()) for found in inspections)


def _rows_per_class(request: AnalysisRequest, inspections: Sequence[Inspection]) -> int | None:
    rule = request.sampling.per_class
    return None if rule == "all" else _smallest(inspections) if rule == "equal" else rule


def _seconds(rows: int, layer: InspectedLayer, pairs: int, classes: int) -> float:
    features = math.prod(layer.shape[1:])
    distances = rows * rows / 2
    return _FOLD_PASSES * (
        distances * features / _DISTANCE_FEATURES_PER_SECOND + pairs * (2 * rows / classes) * _SECONDS_PER_TREE_POINT
    )


def _bytes(rows: int, layer: InspectedLayer) -> int:
    """The layer as it is stored, its 16-bit form in the core, and room for two threads' blocks."""
    widths: dict[str, Literal[2, 4, 8]] = {"float16": 2, "bfloat16": 4, "float32": 4}
    features = math.prod(layer.shape[1:])
    return rows * features * (widths.get(layer.dtype, 8) + 2) + 2 * (_THREAD_BYTES + 4096 * features)
