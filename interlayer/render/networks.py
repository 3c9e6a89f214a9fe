"""What is shown together: a network is one instance at one training step, in its states and on its splits."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from contract.schemas import Diagnostic, Interval, Report, Separation, Split, State, TestResult, TestRow

STATES: tuple[State, ...] = get_args(State)
SPLITS: tuple[Split, ...] = get_args(Split)

_Role = tuple[str, int | None, State, Split]

# The order in which methods are preferred for a table's interval and marks (see `wording.METHODS`).
# The score of the last is not the difference that a table shows.
PREFERRED_METHODS = ("subsample", "class_jackknife", "membership", "permutation", "membership_score")


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
    shifts: tuple[Diagnostic, ...]

    @property
    def states(self) -> tuple[State, ...]:
        """The states that were analysed, the trained one first."""
        return tuple(state for state in STATES if any(series.state == state for series in self.series))

    def of(self, state: State, split: Split) -> Series | None:
        """Return the series of a state and split, if it was analysed."""
        return next((series for series in self.series if (series.state, series.split) == (state, split)), None)


@dataclass(frozen=True)
class Contrasts:
    """The tests of one table, and the method that its interval, p-values and marks of significance are of."""

    component: str | None
    state: State | None
    split: Split | None
    rows: tuple[TestRow, ...]
    method: str | None

    @property
    def others(self) -> tuple[str, ...]:
        """The methods that stand beside the table's own, in the order of the report."""
        methods = dict.fromkeys(result.method for row in self.rows for result in row.results)
        return tuple(method for method in methods if method != self.method)

    def result(self, row: TestRow) -> TestResult | None:
        """Return what the table's method says of a row."""
        return result_by(row, self.method)

    def reasons(self, *, others: bool = False) -> list[str]:
        """Return why results of the table's method, or of `others` too, are missing, each reason once."""
        found = [result for row in self.rows for result in row.results if others or result.method == self.method]
        return list(dict.fromkeys(result.reason for result in found if result.reason))


@dataclass(frozen=True)
class Gap:
    """Training minus validation mean at one layer; without a test there is no interval."""

    state: State
    layer: str
    difference: float
    result: TestResult | None
    row: TestRow | None
    shift: Diagnostic | None

    @property
    def interval(self) -> Interval | None:
        """The interval of the test."""
        return self.result.interval if self.result else None


def networks(report: Report) -> tuple[Network, ...]:
    """Return the networks of a report, in the order of its separations."""
    return grouped(report.layers, report.separations, report.tests, report.diagnostics)


def grouped(
    layers: Sequence[str],
    separations: Sequence[Separation],
    tests: Sequence[TestRow] = (),
    diagnostics: Sequence[Diagnostic] = (),
) -> tuple[Network, ...]:
    """Return what belongs to each network, its `layers` in forward order."""
    position = {layer: index for index, layer in enumerate(layers)}
    parts: dict[_Role, dict[str, Separation]] = {}
    for part in sorted(separations, key=lambda part: position.get(part.layer, len(position))):
        parts.setdefault((part.instance, part.step, part.state, part.split), {})[part.layer] = part
    order = dict.fromkeys((part.instance, part.step) for part in separations)
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
            tuple(row for row in tests if (row.instance, row.step) == (instance, step)),
            tuple(found for found in diagnostics if (found.instance, found.step) == (instance, step)),
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


def contrasts(network: Network, family: str) -> tuple[Contrasts, ...]:
    """Return the tables of a family: by component, the trained network first, training data first."""
    groups: dict[tuple[str | None, State | None, Split | None], list[TestRow]] = {}
    for row in network.tests:
        if row.family == family:
            groups.setdefault((row.component, row.state, row.split), []).append(row)
    components = list(dict.fromkeys(component for component, _, _ in groups))
    rank: dict[str | None, int] = {word: index for index, word in enumerate((*STATES, *SPLITS))}
    ordered = sorted(
        groups.items(), key=lambda item: (components.index(item[0][0]), *(rank.get(word, 0) for word in item[0][1:]))
    )
    return tuple(Contrasts(*group, tuple(rows), _method(rows)) for group, rows in ordered)


def _method(rows: Sequence[TestRow]) -> str | None:
    """Return the preferred method among those that gave a p-value; one table never mixes two methods."""
    methods = list(dict.fromkeys(result.method for row in rows for result in row.results))
    methods.sort(
        key=lambda name: PREFERRED_METHODS.index(name) if name in PREFERRED_METHODS else len(PREFERRED_METHODS)
    )
    answering = [
        name for name in methods if any((found := result_by(row, name)) and found.p_value is not None for row in rows)
    ]
    return next(iter(answering or methods), None)


def result_by(row: TestRow, method: str | None) -> TestResult | None:
    """Return the result of a method."""
    return next((result for result in row.results if result.method == method), None)


def gaps(network: Network) -> tuple[Gap, ...]:
    """Return training minus validation at every layer that has both, with the report's own test where there is one."""
    tables = {table.state: table for table in contrasts(network, "generalization_gap")}
    shifts = {(shift.state, shift.layer): shift for shift in network.shifts}
    found: list[Gap] = []
    for state in network.states:
        train, validation = network.of(state, "train"), network.of(state, "validation")
        if train is None or validation is None:
            continue
        table = tables.get(state)
        rows = {row.output_layer: row for row in table.rows} if table else {}
        for layer in train.layers:
            if layer not in validation.layers:
                continue
            row = rows.get(layer)
            difference = row.difference if row else train.layers[layer].mean - validation.layers[layer].mean
            result = table.result(row) if table and row else None
            found.append(Gap(state, layer, difference, result, row, shifts.get((state, layer))))
    return tuple(found)
