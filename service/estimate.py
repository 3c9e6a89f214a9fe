"""What an analysis would take, from the headers of its inputs alone."""

import math
from collections.abc import Sequence
from typing import Literal

from contract.schemas import AnalysisRequest, Estimate, InspectedLayer, Inspection

# Distances of one feature a second on one modest machine, and seconds that each spanning tree costs beyond them.
_DISTANCE_FEATURES_PER_SECOND = 2e10
_SECONDS_PER_TREE_POINT = 2e-7
_THREAD_BYTES = 4 * 2**20
_FOLD_PASSES = 3.0  # the whole, and ten random divisions into five, which are two passes more


def estimate(request: AnalysisRequest, inspections: Sequence[Inspection]) -> Estimate:
    """Return pairs, trees, rows, memory and a class of time."""
    classes = len(inspections[0].classes)
    smallest = min(min(found.classes.values()) for found in inspections)
    rule = request.sampling.per_class
    per_class = None if rule == "all" else smallest if rule == "equal" else rule
    pairs = math.comb(classes, 2)
    layers = [
        (found.rows if per_class is None else per_class * classes, a) for found in inspections for a in found.layers
    ]
    seconds = sum(_seconds(rows, layer, pairs, classes) for rows, layer in layers)
    notes = []
    if isinstance(rule, int) and rule > smallest:
        notes.append(f"a class has only {smallest} rows, so per_class {rule} would be refused")
    if smallest < 32:
        notes.append("fewer than 32 rows per class: the subsample test and its intervals are not available")
    return Estimate(
        class_pairs=pairs,
        spanning_trees=pairs * len(layers) * 51,
        rows_per_class=per_class,
        memory_bytes=max(_bytes(rows, layer) for rows, layer in layers),
        time_class="seconds" if seconds < 60 else "minutes" if seconds < 3600 else "hours",
        notes=notes,
    )


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
