"""The tables of the page, read back by a parser of its own: every number is that of the report."""

import re

import pytest

from contract.schemas import Report, Separation, TestResult
from interlayer.render.html import to_html
from tests.interlayer.render.pages import Page, value
from tests.interlayer.render.sample import PAPER_LAYERS, sample_report, without_numbers, without_subsample


def test_every_pair_of_every_layer_is_in_a_heat_map_training_above_the_diagonal(report: Report, page: Page) -> None:
    heats = iter(page.tables("heat"))
    for instance in ("0", "1"):
        for layer in report.layers:
            for state in ("trained", "untrained"):
                table = next(heats)
                assert table.attributes["data-state"] == state
                for split in ("train", "validation"):
                    found = next(
                        s for s in report.separations
                        if (s.instance, s.layer, s.state, s.split) == (instance, layer, state, split)
                    )  # fmt: skip
                    for a, b, statistic in zip(
                        found.pairs.class_a, found.pairs.class_b, found.pairs.statistic, strict=True
                    ):
                        low, high = sorted((int(a), int(b)))
                        row, column = (low, high) if split == "train" else (high, low)
                        assert value(table.rows[row][column + 1]) == pytest.approx(statistic, abs=0.00501)
    assert next(heats, None) is None


def test_layer_tables_hold_the_numbers_of_the_report(report: Report, page: Page) -> None:
    tables = [table for table in page.elements if table.tag == "table" and "sd of pairs" in table.heads]
    assert sum(len(table.rows) for table in tables) == len(report.separations)
    of: dict[tuple[str, str, str, str], Separation] = {
        (s.instance, s.layer, s.state, s.split): s for s in report.separations
    }
    for instance, table in zip(("0", "1"), tables, strict=True):
        for row in table.rows:
            found = of[instance, row[0], row[1], "train" if row[2] == "training" else "validation"]
            ends = [value(end) for end in row[5].strip("[]").split(", ")]
            assert ends == pytest.approx([found.interval.low, found.interval.high], abs=0.000501)
            shown = [value(cell) for cell in (row[4], *row[6:-1])]
            expected = [found.mean, found.sd, found.min, *found.quantiles.values(), found.max]
            assert shown == pytest.approx(expected, abs=0.000501)
            assert int(row[3].replace(",", "")) == found.dimension


def test_gap_table_is_training_minus_validation(report: Report, page: Page) -> None:
    means: dict[tuple[str, str, str, str], float] = {
        (s.instance, s.state, s.split, s.layer): s.mean for s in report.separations
    }
    tables = [table for table in page.elements if "training −\N{NO-BREAK SPACE}validation" in table.heads]
    assert len(tables) == 2
    for instance, table in zip(("0", "1"), tables, strict=True):
        assert len(table.rows) == 2 * len(report.layers)
        for layer, state, difference, *_ in table.rows:
            expected = means[instance, state, "train", layer] - means[instance, state, "validation", layer]
            assert value(difference) == pytest.approx(expected, abs=0.000501)


def test_gap_without_a_test_is_the_difference_of_the_means(report: Report, page: Page) -> None:
    untested = Page(to_html(report.model_copy(update={"tests": []})))
    gaps, tested = (
        [
            row[:3]
            for table in found.elements
            if "training −\N{NO-BREAK SPACE}validation" in table.heads
            for row in table.rows
        ]
        for found in (untested, page)
    )
    assert gaps == tested


def test_every_test_is_a_row_with_its_numbers(report: Report, page: Page) -> None:
    rows = [row for table in page.tables("contrast") for row in table.rows]
    expected = [row for row in report.tests if row.family != "generalization_gap"]
    assert len(rows) == len(expected)
    shown = sorted((row[0], value(row[2]), *row[4:]) for row in rows)
    wanted = sorted(
        (
            row.output_layer if row.input_layer is None else f"{row.input_layer} → {row.output_layer}",
            round(row.difference, 3) + 0.0,
            _both(row.results[0]), _stars(row.results[0].p_adjusted), _both(row.results[1]),
        )
        for row in expected
    )  # fmt: skip
    assert shown == wanted


def _both(result: TestResult) -> str:
    return f"{_p(result.p_value)} ({_p(result.p_adjusted)})"


def _p(p: float | None) -> str:
    assert p is not None
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _stars(p: float | None) -> str:
    assert p is not None
    return "*" * ((p < 0.05) + (p < 0.01) + (p < 0.001))


def test_numbers_that_do_not_exist_are_dashes_with_their_reason() -> None:
    content = to_html(without_numbers(sample_report(classes=2, n_layers=3)))
    shown = Page(content).shown
    assert not re.search(r"NaN|None|Infinity|\bnan\b|\binf\b", shown)
    assert "too few rows for folds" in shown
    assert "The bar through a mark" not in shown
    assert "–" in shown


def test_a_missing_p_value_is_never_replaced_by_that_of_another_test() -> None:
    report = without_subsample(sample_report(splits=("train",), states=("trained",)), layers=["5.ReLU", "6.Softmax"])
    table = Page(to_html(report)).tables("contrast")[0]
    assert "p\N{NO-BREAK SPACE}(adjusted), subsample\N{NO-BREAK SPACE}t" in table.heads
    rows = {row[0]: row for row in table.rows}
    silent, loud = rows["5.Dense → 5.ReLU"], rows["5.ReLU → 6.Dense"]
    assert silent[3:6] == ["–", "–", ""]
    assert silent[6] == "<0.001 (<0.001)"  # the paper's test, in its own column, without a mark
    assert loud[4:6] == ["<0.001 (<0.001)", "***"]
    assert "– saturated" in Page(to_html(report)).shown


def test_a_table_without_any_answer_of_the_first_method_names_the_next() -> None:
    report = without_subsample(sample_report(splits=("train",), states=("trained",)), layers=PAPER_LAYERS)
    page = Page(to_html(report))
    table = page.tables("contrast")[0]
    assert "– saturated" in page.shown
    assert [head.removeprefix("p\N{NO-BREAK SPACE}(adjusted), ") for head in table.heads if head.startswith("p")] == [
        "paper's permutation",
        "subsample\N{NO-BREAK SPACE}t",
    ]
    assert {row[5] for row in table.rows} >= {"", "***"}


def test_long_tables_open_with_the_largest_changes() -> None:
    report = sample_report(n_layers=40, classes=3, states=("trained",), splits=("train",))
    few, full = Page(to_html(report)).tables("contrast")
    assert len(full.rows) == 39
    assert few.rows == [row for row in full.rows if row in few.rows], "in the order of the layers"
    left_out = [abs(value(row[2])) for row in full.rows if row not in few.rows]
    assert len(few.rows) == 12
    assert min(abs(value(row[2])) for row in few.rows) >= max(left_out)
