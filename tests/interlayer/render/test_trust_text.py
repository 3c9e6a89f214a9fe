"""The same numbers in Markdown, in CSV and on consoles."""

import io

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from contract.schemas import Report
from interlayer.render.networks import networks
from interlayer.render.tables import contrasts_to_csv, to_csv, to_markdown
from interlayer.render.terminal import print_report
from interlayer.render.trust import about_means, about_splits
from tests.interlayer.render.expected import ROLES, WORD, both, numbers, of, p, parsed, printed, signed
from tests.interlayer.render.pages import Page
from tests.interlayer.render.questions import with_questions
from tests.interlayer.render.sample import sample_report


@pytest.fixture(scope="module")
def report() -> Report:
    return with_questions(sample_report(classes=4))


def test_markdown_shows_answers_and_tables(report: Report) -> None:
    written = MarkdownIt("commonmark", {"html": True}).enable("table").render(to_markdown(report))
    page = Page(written)
    for answer in (*about_means(networks(report)[0]), *about_splits(networks(report)[0])):
        assert answer.question.replace("\N{NO-BREAK SPACE}", " ") in page.shown
        assert answer.said in page.shown
    tables = [[[cell.rstrip("\n") for cell in row] for row in (table.heads, *table.rows)] for table in page.elements]
    (trust,) = [rows for rows in tables if "n/4" in rows[0]]
    assert trust[1:] == [
        [part.layer, state, WORD[split], *numbers(part)] for state, split in ROLES for part in of(report, state, split)
    ]
    gap_rows = [row for rows in tables if "shift z" in rows[0] for row in rows[1:]]
    tests = {(row.state, row.output_layer): row for row in report.tests if row.family == "generalization_gap"}
    for row, found in zip(gap_rows, report.diagnostics, strict=True):
        assert row[0] == found.layer
        assert row[5:8] == [both(result) for result in tests[found.state, found.layer].results[1:]]
        assert row[8:] == [signed(found.statistic, 2), p(found.p_value)]
    for assumed in ("class pairs were independent", "new samples of them", "were trained on could be exchanged"):
        assert assumed in page.shown


def test_csv_repeats_what_is_known_of_a_mean_beside_its_pairs(report: Report) -> None:
    rows = iter(parsed(to_csv(report)))
    for part in report.separations:
        overall, trend, draws = part.any_separation, part.trend, part.draws
        assert overall
        assert trend
        assert draws
        for _ in part.pairs.statistic:
            row = next(rows)
            columns = (
                "layer_mean", "overall_statistic", "overall_p_value", "mean_at_quarter", "mean_at_half", "draws",
                "draws_mean", "draws_sd", "draws_min", "draws_max",
            )  # fmt: skip
            assert [float(row[column]) for column in columns] == [
                part.mean, overall.statistic, overall.p_value, *trend.means[:2], draws.count, draws.mean, draws.sd,
                draws.min, draws.max,
            ]  # fmt: skip
            assert row["limit"] == ("" if trend.limit is None else str(trend.limit))
            assert row["limit_reason"] == (trend.reason or "")
    bare = parsed(to_csv(sample_report(n_layers=1)))
    assert {row[column] for row in bare for column in ("overall_p_value", "mean_at_half", "limit", "draws_sd")} == {""}


def test_csv_of_tests_ends_with_the_shifts(report: Report) -> None:
    rows = parsed(contrasts_to_csv(report))
    found = [row for row in rows if row["family"] == "shift"]
    assert rows[-len(found) :] == found
    assert [
        (row["instance"], row["state"], row["output_layer"], float(row["statistic"]), float(row["p_value"]))
        for row in found
    ] == [(one.instance, one.state, one.layer, one.statistic, one.p_value) for one in report.diagnostics]
    assert [row["p_value"] for row in rows if row["method"] == "membership_score"] == [
        str(row.results[-1].p_value) for row in report.tests if row.family == "generalization_gap"
    ]


def test_terminal_prints_every_number_where_all_is_wanted(report: Report) -> None:
    lines = printed(report, 120, full=True).splitlines()
    start = {line: at for at, line in enumerate(lines)}
    for state, split in ROLES:
        body = lines[start[f"{state.capitalize()} network, {WORD[split]} data"] :]
        for part in of(report, state, split):
            row = next(line for line in body if line.startswith(f"{part.layer} "))
            assert row.split() == [part.layer, *numbers(part)[:-1]]
    for state in ("trained", "untrained"):
        body = lines[start[f"Training minus validation, {state} network: adjusted p"] :]
        for test in report.tests:
            if (test.family, test.state) != ("generalization_gap", state):
                continue
            shift = next(one for one in report.diagnostics if (one.state, one.layer) == (state, test.output_layer))
            row = next(line for line in body if line.startswith(f"{test.output_layer} "))
            assert row.split() == [
                test.output_layer, signed(test.difference), *(p(result.p_adjusted) for result in test.results),
                signed(shift.statistic, 2), p(shift.p_value),
            ]  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_terminal_fits_the_width_and_always_shows_what_was_asked_for(report: Report, width: int) -> None:
    shown_lines = printed(report, width, full=True).splitlines()
    assert max(map(len, shown_lines)) <= width
    text = " ".join(" ".join(shown_lines).split())
    for answer in (*about_means(networks(report)[0]), *about_splits(networks(report)[0])):
        assert answer.said.split(" (")[0].split()[0] in text
    start = shown_lines.index(next(line for line in shown_lines if line.startswith("Training minus validation, unt")))
    shift = next(one for one in report.diagnostics if (one.state, one.layer) == ("untrained", "6.Softmax"))
    row = next(line for line in shown_lines[start:] if line.startswith("6.Softmax "))
    assert row.split()[-1] == p(shift.p_value)


def test_terminal_without_full_gives_answers_and_no_tables(report: Report) -> None:
    short = printed(report, 200, full=False)
    for answer in (*about_means(networks(report)[0]), *about_splits(networks(report)[0])):
        assert answer.said[:60] in short
    assert "n/4" not in short
    assert "shift z" not in short


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminal_without_unicode_prints_the_tables(report: Report, encoding: str) -> None:
    written = io.BytesIO()
    target = io.TextIOWrapper(written, encoding=encoding, errors="strict")
    print_report(report, Console(file=target, width=90, color_system=None), full=True)
    target.flush()
    assert "Enough samples?" in written.getvalue().decode("ascii")
