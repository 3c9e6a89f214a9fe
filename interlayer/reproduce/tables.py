"""The tables S-1 to S-18: the same object from a report and from the paper, so that both can be held to one rule."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from contract.schemas import Metric, Report, TestRow
from interlayer.reproduce.experiments import EIGHT_BLOCKS, FOUR_BLOCKS, LAYERS, Column

N_EUCLIDEAN = 9  # S-10 to S-18 are S-1 to S-9 with cosine distance
PAPER_PER_CLASS = 1000
PAPER_CLASSES = 10


@dataclass(frozen=True)
class Layout:
    """What a table is of: which contrasts, of which network, on which data, and the alternative of its test."""

    title: str
    family: str
    state: str
    split: str | None
    component: str | None
    alternative: str


LAYOUTS: Mapping[int, Layout] = {
    1: Layout("Layer steps, untrained, training data", "layer_step", "untrained", "train", None, "two-sided"),
    2: Layout("Trained minus untrained, training data", "adaptation", "trained", "train", None, "greater"),
    3: Layout("Layer steps, trained, training data", "layer_step", "trained", "train", None, "greater"),
    4: Layout("Eight blocks, trained, training data", "component_step", "trained", "train", EIGHT_BLOCKS, "greater"),
    5: Layout("Four blocks, trained, training data", "component_step", "trained", "train", FOUR_BLOCKS, "greater"),
    6: Layout("Layer steps, trained, validation data", "layer_step", "trained", "validation", None, "greater"),
    7: Layout("Eight blocks, trained, validation", "component_step", "trained", "validation", EIGHT_BLOCKS, "greater"),
    8: Layout("Four blocks, trained, validation", "component_step", "trained", "validation", FOUR_BLOCKS, "greater"),
    9: Layout("Layer steps, training minus validation", "generalization", "trained", None, None, "two-sided"),
}


@dataclass(frozen=True)
class Row:
    """One contrast: a difference of mean separation and a p-value for each instance."""

    input_layer: str | None
    output_layer: str
    differences: tuple[float, ...]
    p_values: tuple[float | None, ...]


@dataclass(frozen=True)
class Table:
    """One table of the paper, for one experiment. `number` is that of the Euclidean one, 1 to 9."""

    number: int
    metric: Metric
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The paper's name of the table."""
        return f"S-{self.number + (N_EUCLIDEAN if self.metric == 'cosine' else 0)}"

    @property
    def layout(self) -> Layout:
        """What the table is of."""
        return LAYOUTS[self.number]

    def row(self, output_layer: str) -> Row:
        """Return the row that ends at a layer."""
        return next(row for row in self.rows if row.output_layer == output_layer)

    def totals(self) -> tuple[float, ...]:
        """Return the sum of all differences of each instance."""
        return tuple(map(sum, zip(*(row.differences for row in self.rows), strict=True)))


@dataclass(frozen=True)
class Tables:
    """The nine tables of one experiment and metric, the numbers of samples, and the levels where they are known."""

    metric: Metric
    instances: tuple[str, ...]
    per_class: int
    n_classes: int
    tables: Mapping[int, Table]
    input_levels: tuple[float, ...] | None

    def __getitem__(self, number: int) -> Table:
        """Return a table by its Euclidean number."""
        return self.tables[number]


def paper_tables(column: Column, metric: Metric) -> Tables:
    """Return what the paper printed of an experiment. It printed no levels, only differences."""
    found = {}
    for printed in _printed():
        number = int(printed["table"].removeprefix("S-"))
        if printed["metric"] == metric:
            number = (number - 1) % N_EUCLIDEAN + 1
            found[number] = Table(number, metric, tuple(_printed_row(row, column) for row in printed["rows"]))
    instances = tuple(str(number) for number in range(len(found[1].rows[0].differences)))
    return Tables(metric, instances, PAPER_PER_CLASS, PAPER_CLASSES, found, None)


@functools.cache
def _printed() -> list[dict[str, Any]]:
    content = files("interlayer.reproduce").joinpath("paper_tables.json").read_text(encoding="utf-8")
    tables: list[dict[str, Any]] = json.loads(content)
    return tables


def _printed_row(row: Mapping[str, Any], column: Column) -> Row:
    values = row["experiment"][column]
    return Row(row["input"], row["output"], tuple(values["diff"]), tuple(values["p"]))


def report_tables(report: Report) -> Tables:
    """Return a report of the paper's network as tables; the p-values are those of the paper's permutation test."""
    instances = tuple(dict.fromkeys(part.instance for part in report.separations))
    levels = {
        part.instance: part.mean
        for part in report.separations
        if (part.state, part.split, part.layer) == ("trained", "validation", LAYERS[0])
    }
    return Tables(
        metric=report.provenance.metric,
        instances=instances,
        per_class=min(size for part in report.separations for size in part.n_per_class),
        n_classes=len(report.classes),
        tables={number: _table(report, number, layout, instances) for number, layout in LAYOUTS.items()},
        input_levels=tuple(levels[instance] for instance in instances),
    )


def _table(report: Report, number: int, layout: Layout, instances: tuple[str, ...]) -> Table:
    wanted = (layout.family, layout.state, layout.split, layout.component)
    rows: dict[tuple[str | None, str], dict[str, TestRow]] = {}
    for row in report.tests:
        if (row.family, row.state, row.split, row.component) == wanted and row.output_layer != LAYERS[0]:
            rows.setdefault((row.input_layer, row.output_layer), {})[row.instance] = row
    return Table(
        number,
        report.provenance.metric,
        tuple(
            Row(
                input_layer,
                output_layer,
                tuple(found[instance].difference for instance in instances),
                tuple(_permutation_p(found[instance]) for instance in instances),
            )
            for (input_layer, output_layer), found in rows.items()
        ),
    )


def _permutation_p(row: TestRow) -> float | None:
    return next((result.p_value for result in row.results if result.method == "permutation"), None)
