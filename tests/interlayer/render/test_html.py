"""The page is read back by a parser of its own, and every number compared with the report."""

import base64
import hashlib
import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.schemas import ModelSource, Report, Separation, TestResult
from contract.schemas.verdict import Case, RuleVerdict, Verdict
from interlayer.render.html import to_html
from interlayer.render.markdown import to_markdown
from interlayer.render.networks import networks
from interlayer.render.wording import PAPER
from tests.interlayer.render.pages import Element, Page, value
from tests.interlayer.render.sample import (
    HOSTILE_NAMES,
    PAPER_LAYERS,
    sample_report,
    without_numbers,
    without_subsample,
)


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report(instances=("0", "1"), classes=6)


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(to_html(report))


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


def test_findings_come_first_and_lead_to_a_section(report: Report, page: Page) -> None:
    shown = page.shown
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for finding in report.findings:
        assert finding.message in shown
        assert shown.index(finding.message) < shown.index("How to read this.")
    links = [e.attributes["href"] or "" for e in page.elements if e.tag == "a"]
    inner = [link[1:] for link in links if link.startswith("#")]
    assert set(inner) <= set(ids)
    assert inner.count("gap") == 2  # memorisation, and the list of sections
    for warning in report.warnings:
        assert warning.message in shown


def test_a_verdict_stands_first_and_leads_to_what_it_judges(report: Report) -> None:
    cases = [
        Case(
            outcome="violation",
            layer="5.ReLU",
            expected="mean at least 0.9",
            found=0.1,
            method="t",
            message="beyond <b>",
        ),
        Case(outcome="pass", layer="6.Softmax", expected="mean at least 0.9", found=0.95, method="t", message="within"),
    ]
    pair = cases[0].model_copy(update={"pair": ["<script>", "b"]})
    rules = [
        ("learned", "separation", "violation", cases),
        ("no-pair", "separation", "violation", [pair]),
        ("generalizes", "gap", "inconclusive", [cases[0].model_copy(update={"outcome": "inconclusive"})]),
        ("steady", "change", "pass", cases[1:]),
        ("clean", "finding", "pass", cases[1:]),
    ]
    verdict = Verdict(
        conclusion="violation", passed=False, policy="in<terlayer>.yaml", policy_sha256="", report_sha256="",
        baseline_sha256=None, alpha=0.05, adjustment="holm",
        rules=[
            RuleVerdict(id=id_, check=check, severity="error", description="", line=1, outcome=outcome, cases=found)
            for id_, check, outcome, found in rules
        ],
    )  # fmt: skip
    page = Page(to_html(report, verdict))
    assert page.shown.index("Audit violated: 5 rules, 2 violated, 1 inconclusive") < page.shown.index("What was found")
    assert page.shown.count("expected mean at least 0.9") == 3, "what passes is not told"
    assert "beyond <b>" in page.shown
    chips = [e.attributes["class"] for e in page.elements if "verdict-chip" in (e.attributes.get("class") or "")]
    assert chips == [f"verdict-chip {outcome}" for _, _, outcome, _ in rules]
    links = [e.attributes["href"] for e in page.elements if e.tag == "a"]
    assert links[1:6] == ["#layers", "#pairs", "#gap", "#layers", "#findings"]
    assert {link[1:] for link in links[:6] if link} <= set(page.ids())
    assert "verdict" not in Page(to_html(report)).ids()


def test_nothing_is_fetched(report: Report) -> None:
    content = to_html(report)
    assert set(re.findall(r"https?://[^\s\"'<]+", content)) == {PAPER}
    assert not re.search(r"@import|url\(|<link|<iframe|<object|<base", content)
    assert all((e.attributes.get("src") or "data:").startswith("data:") for e in Page(content).elements)


def test_policy_allows_this_script_and_style_alone(page: Page) -> None:
    policy = next(e.attributes["content"] or "" for e in page.elements if e.attributes.get("http-equiv"))
    (style,) = page.styles
    values, script = page.scripts
    for kind, content in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    # The policy would block both, so that neither may be relied on.
    assert not [e for e in page.elements if any(name == "style" or name.startswith("on") for name in e.attributes)]
    json.loads(values)


def test_script_values_are_those_of_the_report(report: Report, page: Page) -> None:
    values = json.loads(page.scripts[0])
    assert len(values["pairs"]) == 15
    assert [len(network) for network in values["networks"]] == [4, 4]
    trained = next(s for s in report.separations if (s.state, s.split, s.layer) == ("trained", "train", "5.ReLU"))
    at = report.layers.index("5.ReLU")
    assert values["networks"][0][0]["values"][at] == [round(1000 * v) for v in trained.pairs.statistic]


@pytest.mark.parametrize("names", [HOSTILE_NAMES, HOSTILE_NAMES[::-1]])
def test_hostile_names_are_text(names: tuple[str, ...]) -> None:
    hostile = sample_report(classes=names, layers=names, instances=HOSTILE_NAMES[:2])  # findings name the last layer
    content = to_html(hostile)
    page = Page(content)
    assert [e.tag for e in page.elements].count("script") == 2
    assert not [c for c in content if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}]
    for shown in ("<script>alert(1)</script>", "\\u202egnp.tac\\u202c", "\\u001b[31mred", "two\\nlines\\r\\tand"):
        assert shown in page.shown
    assert set(re.findall(r"https?://[^\s\"'<&\\]+", content)) == {PAPER, "http://evil.example"}
    assert not [e for e in page.elements if "evil" in (e.attributes.get("href") or "")]


@settings(max_examples=20)
@given(names=st.lists(st.text(min_size=1, max_size=30), min_size=3, max_size=3, unique=True))
def test_any_name_is_text(names: list[str]) -> None:
    content = to_html(sample_report(classes=names, layers=names, states=("trained",)))
    page = Page(content)
    assert [e.tag for e in page.elements].count("script") == 2
    assert json.loads(page.scripts[0])["pairs"] == [[0, 1], [0, 2], [1, 2]]
    assert len(page.tables("heat")) == 3


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


def test_large_report_stays_small() -> None:
    content = to_html(sample_report(n_layers=50))
    assert len(content.encode()) <= 2_000_000
    assert len(Page(content).tables("heat")) == 100


def test_two_hundred_layers_and_a_hundred_classes_stay_readable() -> None:
    names = [f"class {index}" for index in range(100)]
    page = Page(to_html(sample_report(classes=names, n_layers=4)))
    assert page.tables("heat") == []
    pictures = [e for e in page.elements if e.tag == "img"]
    assert len(pictures) == 8
    assert all(picture.attributes["alt"] for picture in pictures)
    lowest = [table for table in page.elements if table.caption.startswith("20 lowest of 4,950")]
    assert len(lowest) == 16
    deep = to_html(sample_report(n_layers=200, classes=3))
    assert len(deep.encode()) <= 2_500_000
    assert len(Page(deep).tables("heat")) == 400


def test_parts_of_a_study_are_enough() -> None:
    alone = Page(to_html(sample_report(classes=2, n_layers=1, states=("untrained",), splits=("validation",))))
    assert "gap" not in alone.ids()
    assert "steps" not in alone.ids()
    assert {"layers", "pairs", "provenance"} <= set(alone.ids())


def test_empty_report_is_a_page() -> None:
    report = sample_report().model_copy(update={"separations": [], "tests": [], "findings": [], "warnings": []})
    page = Page(to_html(report))
    assert "No rule found anything" in page.shown
    assert "layers" not in page.ids()


def test_an_untrained_twin_is_shown_with_every_step() -> None:
    trained = sample_report(states=("trained",), steps=(10, 20), classes=3, n_layers=3)
    start = sample_report(states=("untrained",), classes=3, n_layers=3)
    both = trained.model_copy(update={"separations": [*trained.separations, *start.separations]})
    found = networks(both)
    both_states = ("trained", "untrained")
    assert [(network.step, network.states) for network in found] == [(10, both_states), (20, both_states)]
    assert len(Page(to_html(both)).tables("heat")) == 2 * 3 * 2 + 2  # and one of all steps for each split


def test_same_report_gives_the_same_page(report: Report) -> None:
    assert to_html(report) == to_html(Report.model_validate_json(report.to_bytes()))


def test_reader_notices_what_it_must() -> None:
    with pytest.raises(AssertionError, match="out of order"):
        Page("<div><p></div></p>")
    with pytest.raises(AssertionError, match="never closed"):
        Page("<table><tr><td>1")
    table: Element = Page("<table><thead><tr><th>a<tbody><tr><td>1<td>2</table>").elements[0]
    assert (table.heads, table.rows) == (["a"], [["1", "2"]])


def test_a_model_is_named_with_its_weights_its_data_and_what_became_of_tokens() -> None:
    whole = sample_report(n_layers=3, classes=3)
    named = ModelSource(
        model=HOSTILE_NAMES[0], model_sha256="a" * 64, data="digits", data_sha256="b" * 64, pooling="mean"
    )
    twin = ModelSource(
        model="sha256:" + "c" * 64, model_sha256=None, data="sha256:" + "d" * 64, data_sha256="b" * 64, pooling="none"
    )
    inputs = [
        item.model_copy(update={"sha256": "", "source": source})
        for item, source in zip(whole.provenance.inputs, (named, twin), strict=False)
    ]
    provenance = whole.provenance.model_copy(update={"inputs": inputs})
    report = whole.model_copy(update={"provenance": provenance})
    page = to_html(report)
    shown = re.sub("<[^>]*>", "", page)
    assert f"{'a' * 64} on digits {'b' * 64}, tokens: their mean" in shown
    assert f"model without weights on rows {'b' * 64}" in shown
    assert HOSTILE_NAMES[0] not in page
    assert "on digits, tokens: their mean" in to_markdown(report)
