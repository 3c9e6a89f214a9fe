"""What is shown together: a network is one instance at one training step, in its states and on its splits."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from contract.schemas import Interval, Report, Separation, Split, State, TestResult, TestRow

STATES: tuple[State, ...] = get_args(State)
SPLITS: tuple[Split, ...] = get_args(Split)

_Role = tuple[str, int | None, State, Split]

# The order in which the tests of one contrast are preferred for the mark of significance (see `wording.METHODS`).
PREFERRED_METHODS = ("subsample", "class_jackknife", "membership", "permutation")


@dataclass(frozen=True)
class Series:
    """One network state on one split: its separation at every layer, in forward order."""

    state: State
    split: Split
    layers: Mapping[str, Separation]


@dataclass(frozen=True)
class Network:
    """One instance at one training step."""

    instance: str
    step: int | None
    series: tuple[Series, ...]
    tests: tuple[TestRow, ...]

    @property
    def states(self) -> tuple[State, ...]:
        """The states that were analysed, the trained one first."""
        return tuple(state for state in STATES if any(series.state == state for series in self.series))

    def of(self, state: State, split: Split) -> Series | None:
        """Return the series of a state and split, if it was analysed."""
        return next((series for series in self.series if (series.state, series.split) == (state, split)), None)

    def family(self, *families: str) -> tuple[TestRow, ...]:
        """Return the tests of the named families in the report's order."""
        return tuple(row for row in self.tests if row.family in families)


@dataclass(frozen=True)
class Gap:
    """Training minus validation mean at one layer; without a test there is no interval."""

    state: State
    layer: str
    difference: float
    row: TestRow | None

    @property
    def interval(self) -> Interval | None:
        """The interval of the preferred test."""
        result = preferred(self.row) if self.row else None
        return result.interval if result else None


def networks(report: Report) -> tuple[Network, ...]:
    """Return the networks of a report, in the order of its separations."""
    position = {layer: index for index, layer in enumerate(report.layers)}
    parts: dict[_Role, dict[str, Separation]] = {}
    for part in sorted(report.separations, key=lambda part: position.get(part.layer, len(position))):
        parts.setdefault((part.instance, part.step, part.state, part.split), {})[part.layer] = part
    order = dict.fromkeys((part.instance, part.step) for part in report.separations)
    return tuple(
        Network(
            instance,
            step,
            tuple(
                Series(state, split, parts[role])
                for state in STATES
                for split in SPLITS
                if (role := _role(parts, instance, step, state, split))
            ),
            tuple(row for row in report.tests if (row.instance, row.step) == (instance, step)),
        )
        for instance, step in order
        if not _shown_elsewhere(parts, instance, step)
    )


def _role(parts: Container[_Role], instance: str, step: int | None, state: State, split: Split) -> _Role | None:
    """Return whose values to show: those of this very step, or of the one untrained twin of all steps."""
    own = (instance, step, state, split)
    if own in parts:
        return own
    twin = (instance, None, state, split)
    return twin if state == "untrained" and twin in parts else None


def _shown_elsewhere(parts: Iterable[_Role], instance: str, step: int | None) -> bool:
    """Whether this is nothing but the untrained twin that every trained step of its instance is shown with."""
    of_instance = [role for role in parts if role[0] == instance]
    trained_steps = {role[1] for role in of_instance if role[2] == "trained"}
    return step is None and bool(trained_steps) and None not in trained_steps


def preferred(row: TestRow) -> TestResult | None:
    """Return the result that the mark of significance speaks of."""
    rank = {method: index for index, method in enumerate(PREFERRED_METHODS)}
    ordered = sorted(row.results, key=lambda result: rank.get(result.method, len(rank)))
    return next((result for result in ordered if result.p_value is not None), ordered[0] if ordered else None)


def gaps(network: Network) -> tuple[Gap, ...]:
    """Return training minus validation at every layer that has both, with the report's own test where there is one."""
    tested = {(row.state, row.output_layer): row for row in network.family("generalization_gap")}
    found: list[Gap] = []
    for state in network.states:
        train, validation = network.of(state, "train"), network.of(state, "validation")
        if train is None or validation is None:
            continue
        for layer in train.layers.keys() & validation.layers.keys():
            row = tested.get((state, layer))
            difference = row.difference if row else train.layers[layer].mean - validation.layers[layer].mean
            found.append(Gap(state, layer, difference, row))
    order = {layer: index for series in network.series for index, layer in enumerate(series.layers)}
    return tuple(sorted(found, key=lambda gap: (STATES.index(gap.state), order[gap.layer])))
