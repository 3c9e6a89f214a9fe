"""CSV is parsed back and Markdown rendered by an independent parser."""

import csv
import io
import re
from collections import defaultdict
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from contract.schemas import Report
from interlayer.render.tables import contrasts_to_csv, paper_to_csv, to_csv, to_markdown
from tests.interlayer.render.sample import HOSTILE_NAMES, sample_report, without_numbers


def parsed(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_csv_holds_every_pair_exactly() -> None:
    report = sample_report(instances=("a", "b"), classes=4, n_layers=3)
    rows = iter(parsed(to_csv(report)))
    for part in report.separations:
        for index, statistic in enumerate(part.pairs.statistic):
            row = next(rows)
            assert (row["instance"], row["layer"], row["state"], row["split"]) == (
                part.instance, part.layer, part.state, part.split,
            )  # fmt: skip
            assert (row["class_a"], row["class_b"]) == (part.pairs.class_a[index], part.pairs.class_b[index])
            assert float(row["statistic"]) == statistic
            assert float(row["z"]) == part.pairs.z[index]
            assert int(row["cross_edges_max"]) == part.pairs.cross_edges_max[index]
    assert next(rows, None) is None


def test_csv_of_tests_holds_every_result_exactly() -> None:
    report = sample_report(n_layers=3)
    rows = iter(parsed(contrasts_to_csv(report)))
    for test in report.tests:
        for result in test.results:
            row = next(rows)
            assert (row["family"], row["output_layer"], row["method"]) == (
                test.family,
                test.output_layer,
                result.method,
            )
            assert float(row["difference"]) == test.difference
            assert float(row["p_value"]) == result.p_value
            assert (float(row["interval_low"]) if row["interval_low"] else None) == (
                result.interval.low if result.interval else None
            )
    assert next(rows, None) is None


def test_missing_numbers_are_empty_cells() -> None:
    report = without_numbers(sample_report(n_layers=2))
    assert {row["p_value"] for row in parsed(contrasts_to_csv(report))} == {""}
    assert {row["z"] for row in parsed(to_csv(report))} == {""}
    assert {row["reason"] for row in parsed(contrasts_to_csv(report))} == {"too few rows for folds"}


@pytest.mark.parametrize("write", [to_csv, contrasts_to_csv, paper_to_csv])
def test_no_cell_is_a_formula_and_no_name_breaks_a_line(write: object) -> None:
    assert callable(write)
    report = sample_report(classes=[*HOSTILE_NAMES, "-1", "+1", "@SUM(1)", " =1+1", "＝1"], layers=HOSTILE_NAMES)
    content = write(report)
    rows = parsed(content)
    assert len(content.split("\r\n")) == len(rows) + 2
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\u202e]", content)
    for row in rows:
        for cell in row.values():
            if cell.lstrip()[:1] in tuple("=+-@＝＋－＠") and cell:
                float(cell)  # a plain number is the only thing that may start so


def test_plain_numbers_stay_class_names() -> None:
    rows = parsed(to_csv(sample_report(classes=["-1", "+1"], n_layers=1)))
    assert {(row["class_a"], row["class_b"]) for row in rows} == {("-1", "+1")}


@settings(max_examples=25)
@given(names=st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=2, unique=True))
def test_any_name_stays_in_its_cell(names: list[str]) -> None:
    report = sample_report(classes=names, layers=names, states=("trained",), splits=("train",))
    content = to_csv(report)
    assert len(parsed(content)) == 2
    assert len(content.split("\r\n")) == 4


def test_paper_layout_has_the_papers_tables_and_its_sums() -> None:
    report = sample_report(instances=("1", "2"))
    rows = parsed(paper_to_csv(report))
    by_table = defaultdict(list)
    for row in rows:
        by_table[row["table"]].append(row)
    sizes = {name: len(found) for name, found in by_table.items()}
    assert sizes == {"S-1": 14, "S-2": 14, "S-3": 14, "S-4/S-5": 4, "S-6": 14, "S-7/S-8": 4, "S-9": 14}
    for instance in ("1", "2"):
        column = f"difference {instance}"
        first_block = by_table["S-3"][:5]
        total = sum(float(row[column]) for row in first_block)
        assert float(by_table["S-4/S-5"][0][column]) == pytest.approx(total)
        for nine, three, six in zip(by_table["S-9"], by_table["S-3"], by_table["S-6"], strict=True):
            assert float(nine[column]) == pytest.approx(float(three[column]) - float(six[column]))
    permutation = {r.p_value for test in report.tests for r in test.results if r.method == "permutation"}
    assert {float(row["p_value 1"]) for row in rows} <= permutation


def test_paper_tables_with_cosine_distance_have_their_own_numbers() -> None:
    report = sample_report(n_layers=3)
    cosine = report.model_copy(update={"provenance": report.provenance.model_copy(update={"metric": "cosine"})})
    assert {row["table"] for row in parsed(paper_to_csv(cosine))} == {"S-10", "S-11", "S-12", "S-15", "S-18"}


class Rendered(HTMLParser):
    """Tags, links and table cells of the HTML that Markdown became."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.widths: list[int] = []
        reader = MarkdownIt("commonmark", {"html": True}).enable("table")
        self.feed(reader.render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.append(tag)
        if tag == "tr":
            self.widths.append(0)
        if tag in {"td", "th"}:
            self.widths[-1] += 1
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells:
            self.cells[-1] = (self.cells[-1] + data).rstrip("\n")


def test_markdown_shows_findings_and_numbers() -> None:
    report = sample_report()
    page = Rendered(to_markdown(report))
    assert page.text.index(report.findings[0].message) < page.text.index("Mean separation")
    for part in report.separations:
        assert f"{part.mean:.3f}".replace("-", "−") in page.text
    assert "+0.273 ***" in page.cells
    assert "|" not in page.text


def test_markdown_of_hostile_names_is_text() -> None:
    report = sample_report(
        classes=3,
        layers=[*HOSTILE_NAMES, "@someone www.evil.example ![x](http://evil.example/i.png)", "``"],
        instances=("<img src=x onerror=alert(1)>",),
    )
    page = Rendered(to_markdown(report))
    allowed = {
        "h2",
        "h3",
        "ul",
        "li",
        "p",
        "strong",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "code",
        "details",
        "summary",
    }
    assert set(page.tags) <= allowed
    assert "<script>alert(1)</script>" in page.cells
    assert "two\\nlines\\r\\tand | a `tick`" in page.cells
    assert len(set(page.widths)) <= 2  # the layer table and the tables of contrasts: no cell was split
    assert "\x1b" not in page.text


def test_markdown_mention_is_broken_in_sentences() -> None:
    report = sample_report(layers=("@someone", "@other"))
    outside_code = re.sub(r"`[^`]*`", "", to_markdown(report))
    assert "@" in outside_code
    assert not re.search(r"@\w", outside_code)


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(sample_report(n_layers=200, classes=3), id="deep"),
        pytest.param(sample_report(instances=[str(i) for i in range(12)], classes=3), id="many networks"),
        pytest.param(sample_report(layers=[f"{i}." + "é" * 400 for i in range(40)], classes=3), id="long names"),
    ],
)
def test_markdown_fits_a_comment(report: Report) -> None:
    content = to_markdown(report)
    assert len(content.encode()) <= 60_000
    assert report.findings[1].message[:30] in content.replace("\\", "")
    assert "left out for length" in content


def test_markdown_floods_of_findings_are_cut() -> None:
    report = sample_report(n_layers=2)
    flood = report.model_copy(update={"findings": report.findings * 2000})
    assert len(to_markdown(flood).encode()) <= 60_000
