"""A report as tables of text: long CSV for machines, the paper's layout as CSV, and Markdown for summaries."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from contract.schemas import Report, Separation, TestRow
from interlayer.render.markdown import to_markdown
from interlayer.render.text import visible

__all__ = ["contrasts_to_csv", "paper_to_csv", "to_csv", "to_markdown"]

# Spreadsheets run a cell that starts so as a formula, the full-width forms included; a plain number is harmless.
_FORMULA_STARTS = tuple("=+-@＝＋－＠")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)

_SEPARATION_COLUMNS = (
    "instance", "step", "state", "split", "layer", "dimension", "class_a", "class_b", "n_a", "n_b", "cross_edges",
    "cross_edges_min", "cross_edges_max", "statistic", "z", "p_value",
    "layer_mean", "overall_statistic", "overall_p_value", "mean_at_quarter", "mean_at_half", "limit", "limit_reason",
    "draws", "draws_mean", "draws_sd", "draws_min", "draws_max",
)  # fmt: skip
_TEST_COLUMNS = (
    "family", "component", "instance", "step", "state", "split", "input_layer", "output_layer", "difference",
    "alternative", "method", "estimand", "p_value", "p_adjusted", "adjustment", "exact", "n_resamples",
    "interval_low", "interval_high", "interval_level", "reason", "statistic",
)  # fmt: skip

# Family, state and split of the paper's tables (Euclidean S-1 to S-9; the same with cosine distance are S-10 to S-18).
# The paper's two divisions into blocks (S-4 and S-5, S-7 and S-8) are components of the report by their own names.
_PAPER_TABLES = (
    ("S-1", "layer_step", "untrained", "train"),
    ("S-2", "adaptation", "trained", "train"),
    ("S-3", "layer_step", "trained", "train"),
    ("S-4/S-5", "component_step", "trained", "train"),
    ("S-6", "layer_step", "trained", "validation"),
    ("S-7/S-8", "component_step", "trained", "validation"),
    ("S-9", "generalization", "trained", None),
)
_N_EUCLIDEAN_TABLES = 9

_Cell = str | int | float | bool | None


def to_csv(report: Report) -> str:
    """Return one line for each class pair of each separation, every number as exact as in the report."""
    lines: list[Sequence[_Cell]] = []
    for part in report.separations:
        where = (part.instance, part.step, part.state, part.split, part.layer, part.dimension)
        pairs = part.pairs
        columns = zip(
            pairs.class_a, pairs.class_b, pairs.n_a, pairs.n_b, pairs.cross_edges, pairs.cross_edges_min,
            pairs.cross_edges_max, pairs.statistic, pairs.z, pairs.p_value, strict=True,
        )  # fmt: skip
        lines += [(*where, *values, *_of_layer(part)) for values in columns]
    return _csv(_SEPARATION_COLUMNS, lines)


def _of_layer(part: Separation) -> Sequence[_Cell]:
    """Return what is known of the mean of all pairs, which every one of their lines repeats."""
    overall, trend, draws = part.any_separation, part.trend, part.draws
    quarter, half, *_ = [*(trend.means if trend else []), None, None]
    return (
        part.mean,
        *((overall.statistic, overall.p_value) if overall else (None, None)),
        quarter, half, *((trend.limit, trend.reason) if trend else (None, None)),
        *((draws.count, draws.mean, draws.sd, draws.min, draws.max) if draws else (None,) * 5),
    )  # fmt: skip


def contrasts_to_csv(report: Report) -> str:
    """Return one line for each result of each test, then one for each diagnostic, with its statistic."""
    lines: list[Sequence[_Cell]] = []
    for row in report.tests:
        for result in row.results:
            bounds = result.interval
            lines.append(
                (
                    row.family, row.component, row.instance, row.step, row.state, row.split, row.input_layer,
                    row.output_layer, row.difference, row.alternative, result.method, result.estimand, result.p_value,
                    result.p_adjusted, result.adjustment, result.exact, result.n_resamples,
                    bounds.low if bounds else None, bounds.high if bounds else None, bounds.level if bounds else None,
                    result.reason, None,
                )
            )  # fmt: skip
    for found in report.diagnostics:
        known: dict[str, _Cell] = {
            "family": found.code, "instance": found.instance, "step": found.step, "state": found.state,
            "output_layer": found.layer, "p_value": found.p_value, "statistic": found.statistic,
        }  # fmt: skip
        lines.append([known.get(column) for column in _TEST_COLUMNS])
    return _csv(_TEST_COLUMNS, lines)


def paper_to_csv(report: Report) -> str:
    """Return the paper's tables: one line for each contrast, the differences of all instances, then their p-values.

    The p-values are those of the paper's test, the two-sample permutation of class pairs.
    """
    networks = list(dict.fromkeys((row.instance, row.step) for row in report.tests))
    names = [instance if step is None else f"{instance} step {step}" for instance, step in networks]
    columns = (
        "table", "component", "input_space", "output_space",
        *(f"difference {name}" for name in names), *(f"p_value {name}" for name in names),
    )  # fmt: skip
    lines: list[Sequence[_Cell]] = []
    for title, family, state, split in _PAPER_TABLES:
        chosen = [row for row in report.tests if (row.family, row.split) == (family, split) and row.state == state]
        contrasts: dict[tuple[str | None, str | None, str], dict[tuple[str, int | None], TestRow]] = {}
        for row in chosen:
            contrast = (row.component, row.input_layer, row.output_layer)
            contrasts.setdefault(contrast, {})[row.instance, row.step] = row
        for (component, before, after), rows in contrasts.items():
            found = [rows.get(network) for network in networks]
            differences = [row.difference if row else None for row in found]
            lines.append(
                (_numbered(title, report), component, before, after, *differences, *map(_permutation_p, found))
            )
    return _csv(columns, lines)


def _numbered(title: str, report: Report) -> str:
    """Return the paper's number of a table, which depends on the distance."""
    if report.provenance.metric == "euclidean":
        return title
    return re.sub(r"\d+", lambda found: str(int(found.group()) + _N_EUCLIDEAN_TABLES), title)


def _permutation_p(row: TestRow | None) -> float | None:
    if row is None:
        return None
    return next((result.p_value for result in row.results if result.method == "permutation"), None)


def _csv(columns: Sequence[str], lines: Iterable[Sequence[_Cell]]) -> str:
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")  # RFC 4180
    writer.writerow(map(_safe, columns))
    writer.writerows([_safe(cell) if isinstance(cell, str) else cell for cell in line] for line in lines)
    return target.getvalue()


def _safe(cell: str) -> str:
    """Return text that stays on its line and that no spreadsheet takes for a formula."""
    cell = visible(cell)
    if cell.lstrip().startswith(_FORMULA_STARTS) and not _PLAIN_NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
