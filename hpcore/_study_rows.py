"""Which differences a study holds: the rows of the paper's tables, before anything is tested."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from hpcore._contrast import Contrast, LayerMeasurement, Side
from hpcore._result import Alternative

Family = Literal["layer_step", "component_step", "adaptation", "generalization", "generalization_gap"]
COMPARES_SPLITS: frozenset[Family] = frozenset({"generalization", "generalization_gap"})


@dataclass(frozen=True, order=True)
class StateKey:
    """Which network state was measured on which data: `step` numbers a point of training in a series."""

    instance: str
    state: str
    split: str
    step: int | None = None


@dataclass(frozen=True)
class Row:
    """A test before it is made."""

    family: Family
    key: StateKey
    component: str | None
    input_layer: str | None
    output_layer: str
    contrast: Contrast

    @property
    def split(self) -> str | None:
        """The split it belongs to; None where it compares two."""
        return None if self.family in COMPARES_SPLITS else self.key.split

    @property
    def table(self) -> tuple[object, ...]:
        """What p-values are adjusted over: one network, one metric, one split, one kind of table."""
        return (self.family, self.key.instance, self.key.state, self.split, self.key.step, self.component)


Measurements = Mapping[StateKey, Mapping[str, LayerMeasurement]]


def steps(measurements: Measurements, components: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    """Layer steps of every state, then its component steps; what training did to a layer is expected to help."""
    for key, layers in measurements.items():
        alternative: Alternative = "greater" if key.state == "trained" else "two-sided"
        paths: list[tuple[Family, str | None, list[str]]] = [("layer_step", None, list(layers))]
        paths += [("component_step", name, [x for x in path if x in layers]) for name, path in components.items()]
        for family, component, path in paths:
            for before, after in pairwise(path):
                contrast = Contrast(Side(layers[after]), Side(layers[before]), alternative, independent=False)
                yield Row(family, key, component, before, after, contrast)


def adaptation(measurements: Measurements) -> Iterator[Row]:
    """Trained minus untrained at every layer, except an input layer, which training cannot have touched."""
    for key, layers in measurements.items():
        untrained = _counterpart(key, measurements, state="untrained", split=key.split)
        if key.state != "trained" or untrained is None:
            continue
        shared = [layer for layer in layers if layer in untrained]
        for position, layer in enumerate(shared):
            contrast = Contrast(Side(layers[layer]), Side(untrained[layer]), "greater", independent=False)
            if position == 0 and np.array_equal(contrast.a.values, contrast.b.values):
                continue
            yield Row("adaptation", key, None, None, layer, contrast)


def generalization(measurements: Measurements) -> Iterator[Row]:
    """Training minus validation: of every step, then of every level."""
    for key, layers in measurements.items():
        validation = _counterpart(key, measurements, state=key.state, split="validation")
        if key.split != "train" or validation is None:
            continue
        shared = [layer for layer in layers if layer in validation]
        for before, after in pairwise(shared):
            step = Side(layers[after], layers[before]), Side(validation[after], validation[before])
            yield Row("generalization", key, None, before, after, Contrast(*step, "two-sided", independent=True))
        for layer in shared:
            level = Side(layers[layer]), Side(validation[layer])
            yield Row("generalization_gap", key, None, None, layer, Contrast(*level, "greater", independent=True))


def _counterpart(
    key: StateKey, measurements: Measurements, *, state: str, split: str
) -> Mapping[str, LayerMeasurement] | None:
    """The same instance in another state or split: at the same step, else at none, else at the only one."""
    candidates = {
        other.step: layers
        for other, layers in measurements.items()
        if (other.instance, other.state, other.split) == (key.instance, state, split)
    }
    if key.step in candidates:
        return candidates[key.step]
    if state == key.state or not candidates:  # a gap compares one moment of training, never two
        return None
    if None in candidates:
        return candidates[None]
    return next(iter(candidates.values())) if len(candidates) == 1 else None
