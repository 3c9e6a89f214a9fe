"""The page is read back by a parser of its own: what it shows and in which order, and that every name is text."""

import base64
import hashlib
import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.schemas import ModelSource, Report
from contract.schemas.verdict import Case, RuleVerdict, Verdict
from interlayer.render.html import to_html
from interlayer.render.markdown import to_markdown
from interlayer.render.networks import networks
from interlayer.render.wording import PAPER
from tests.interlayer.render.pages import Element, Page
from tests.interlayer.render.sample import HOSTILE_NAMES, sample_report


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
