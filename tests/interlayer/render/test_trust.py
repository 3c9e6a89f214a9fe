"""Chance, sample size, draws, membership and shift: what the page shows is compared with the report."""

import re
import unicodedata
import xml.etree.ElementTree as ElementTree

import pytest

from contract.schemas import OverallTest, Report, SampleSizeTrend
from interlayer.render.html import to_html
from interlayer.render.networks import networks
from interlayer.render.tables import to_csv, to_markdown
from interlayer.render.trust import about_means, about_splits
from tests.interlayer.render.expected import ROLES, WORD, both, numbers, of, p, printed, signed
from tests.interlayer.render.pages import Element, Page
from tests.interlayer.render.questions import with_questions
from tests.interlayer.render.sample import HOSTILE_NAMES, sample_report


@pytest.fixture(scope="module")
def report() -> Report:
    return with_questions(sample_report(classes=4))


@pytest.fixture(scope="module")
def content(report: Report) -> str:
    return to_html(report)


@pytest.fixture(scope="module")
def page(content: str) -> Page:
    return Page(content)


def gap_tables(page: Page) -> list[Element]:
    return [table for table in page.elements if "z, shift" in table.heads]


def test_trust_tables_hold_the_numbers_of_the_report(report: Report, page: Page) -> None:
    tables = page.tables("trust")
    assert [table.caption for table in tables] == [
        f"{state.capitalize()} network, {WORD[split]} data" for state, split in ROLES
    ]
    for (state, split), table in zip(ROLES, tables, strict=True):
        assert table.heads == [
            "layer", "", "overall", "p", "n/4", "n/2", "n", "limit", "mean of 5 draws", "their sd", "their range",
        ]  # fmt: skip
        assert table.rows == [[part.layer, "", *numbers(part)] for part in of(report, state, split)]
    assert "22, 44, 89" in page.shown  # 89 samples per class
    assert "– the differences do not shrink" in page.shown


def test_pictures_grow_with_the_samples_and_leave_impossible_limits_out(report: Report, content: str) -> None:
    pictures = [ElementTree.fromstring(svg) for svg in re.findall(r'<svg class="sizes".*?</svg>', content)]
    parts = [part for state, split in ROLES for part in of(report, state, split)]
    assert len(pictures) == len(parts)
    for part, picture in zip(parts, pictures, strict=True):
        trend, draws = part.trend, part.draws
        assert trend
        assert draws
        zero, line = picture.findall("path")
        sizes = picture.findall("circle[@class='size']")
        limits = picture.findall("circle[@class='limit']")
        assert [float(circle.get("r", "0")) for circle in sizes] == sorted(float(c.get("r", "0")) for c in sizes)
        at = [float(circle.get("cx", "nan")) for circle in sizes]
        start = float(zero.get("d", "").removeprefix("M").split()[0])
        unit = (at[2] - at[0]) / (trend.means[2] - trend.means[0])
        assert [start + unit * mean for mean in trend.means] == pytest.approx(at, abs=0.6)
        ends = re.fullmatch(r"M([-\d.]+) 9H([-\d.]+)", line.get("d", ""))
        assert ends
        assert float(ends[2]) - float(ends[1]) == pytest.approx(unit * (draws.max - draws.min), abs=0.6)
        possible = trend.limit is not None and trend.limit <= 1
        assert len(limits) == possible
        if trend.limit is not None and possible:
            assert float(limits[0].get("cx", "nan")) == pytest.approx(start + unit * trend.limit, abs=0.6)
    drawn = [float(circle.get("cx", "nan")) for picture in pictures for circle in picture.iter("circle")]
    assert min(drawn) > 0
    assert max(drawn) < 172


def test_gap_table_holds_every_test_and_the_shift(report: Report, page: Page) -> None:
    (table,) = gap_tables(page)
    assert [head.removeprefix("p\N{NO-BREAK SPACE}(adjusted), ") for head in table.heads[4:]] == [
        "subsample\N{NO-BREAK SPACE}t", "", "paper's permutation", "class jackknife", "membership score", "z, shift",
        "p, shift",
    ]  # fmt: skip
    shifts = {(found.state, found.layer): found for found in report.diagnostics}
    rows = {(row.state, row.output_layer): row for row in report.tests if row.family == "generalization_gap"}
    assert len(table.rows) == len(rows) == 2 * len(report.layers)
    for layer, state, difference, _, subsample, _, *others, z, p_shift in table.rows:
        row = next(row for key, row in rows.items() if key == (state, layer))
        shift = next(found for key, found in shifts.items() if key == (state, layer))
        assert difference == signed(row.difference)
        assert [subsample, *others] == [both(result) for result in row.results]
        assert (z, p_shift) == (signed(shift.statistic, 2), p(shift.p_value))


def test_jackknife_stands_beside_the_other_tests_of_every_contrast(report: Report, page: Page) -> None:
    cells = [row[-1] for table in page.tables("contrast") for row in table.rows]
    expected = [both(row.results[2]) for row in report.tests if row.family != "generalization_gap"]
    assert sorted(cells) == sorted(expected)
    for table in page.tables("contrast"):
        assert [head.split(", ")[1] for head in table.heads if ", " in head] == [
            "subsample\N{NO-BREAK SPACE}t", "paper's permutation", "class jackknife",
        ]  # fmt: skip


def test_what_tests_assume_is_shown_without_a_click_where_readings_first_stand_side_by_side(content: str) -> None:
    for section in ("gap", "steps"):
        body = content[content.index(f'<section id="{section}"') :]
        body = body[: body.index("</section>")]
        shown_from = body.index("<details open><summary>What each test assumes")
        for heading in ("subsample", "class jackknife", "paper&#x27;s permutation"):
            assert f"<dt>{heading}" in body[shown_from:]
    assert "samples of a class that were trained on could be exchanged" in content
    assert "<dt>shift<dd>Holds for independent samples" in content


def test_both_readings_and_their_assumptions_stand_in_a_report_without_requests() -> None:
    page = Page(to_html(sample_report(classes=3, n_layers=3)))
    assert "class pairs were independent" in page.shown
    assert "new samples of them" in page.shown
    for unwanted in ("jackknife", "membership", "shift", "draws", "Can these numbers be trusted"):
        assert unwanted not in page.shown
    assert page.tables("trust") == []


def test_a_test_of_separation_alone_is_answered_and_folded_away(report: Report) -> None:
    alone = report.model_copy(
        update={"separations": [p.model_copy(update={"trend": None, "draws": None}) for p in report.separations]}
    )
    content = to_html(alone)
    page = Page(content)
    assert [table.heads for table in page.tables("trust")] == [["layer", "overall", "p"]] * 4
    assert [table.rows for table in page.tables("trust")] == [
        [[part.layer, *numbers(part)[:2]] for part in of(report, *role)] for role in ROLES
    ]
    assert "More than chance?" in page.shown
    assert "Enough samples?" not in page.shown
    body = content[content.index('<section id="trust"') : content.index('<section id="pairs"')]
    assert body.index("<details>") < body.index('class="trust')


def test_answers_name_the_extremes_of_the_report(report: Report) -> None:
    chance, samples, draws = about_means(networks(report)[0])
    for state, split in ROLES:
        parts = of(report, state, split)
        mixed = [part.layer for part in parts if part.any_separation and (part.any_separation.p_value or 0) >= 0.05]
        assert mixed  # or the sample does not test the sentence
        names = [*mixed[:3], f"{len(mixed) - 3} more"] if len(mixed) > 3 else mixed
        listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        where = f"in the {state} network on {WORD[split]} data at {15 - len(mixed)} of 15 layers (not {listed})"
        assert where in chance.said
    moves = {
        part.trend.means[2] - part.trend.means[1]: part for part in report.separations if part.trend
    }  # fmt: skip
    most = moves[max(moves, key=abs)]
    assert f"From 44 to 89 samples per class means still move by up to {signed(max(moves, key=abs))}" in samples.said
    assert f"({most.layer}, {most.state} network on {WORD[most.split]} data)" in samples.said
    limits = [
        abs(part.trend.limit - part.mean)
        for part in report.separations
        if part.trend and part.trend.limit is not None and part.trend.limit <= 1
    ]
    assert f"{len(limits)} of {len(moves)} point to a limit, at most {max(limits):.3f} away" in samples.said
    widest = max(
        (part for part in report.separations if part.draws), key=lambda part: part.draws.sd if part.draws else 0
    )
    assert widest.draws
    assert draws.said == (
        f"Over 5 random draws of the samples a mean has a standard deviation of up to {widest.draws.sd:.3f} "
        f"({widest.layer}, {widest.state} network on {WORD[widest.split]} data)."
    )


def test_answers_count_what_sample_by_sample_tests_found(report: Report) -> None:
    membership, shift = about_splits(networks(report)[0])
    for state in ("trained", "untrained"):
        rows = [row for row in report.tests if (row.family, row.state) == ("generalization_gap", state)]
        below = [row.output_layer for row in rows if (row.results[-1].p_adjusted or 0) < 0.05]
        assert f"in the {state} network at {len(below)} of 15 layers ({below[0]}" in membership.said
        found = [one.layer for one in report.diagnostics if one.state == state and (one.p_value or 0) < 0.05]
        assert f"in the {state} network at {len(found)} of 15 layers ({found[0]}" in shift.said
    assert membership.said.startswith("Adjusted p < 0.05")
    assert shift.said.startswith("p < 0.05, not adjusted")


def test_answers_say_where_nothing_was_found() -> None:
    report = with_questions(sample_report(classes=3, n_layers=2, states=("trained",)))
    quiet = report.model_dump(by_alias=True)
    for row in quiet["tests"]:
        for result in row["results"]:
            result |= {"p_value": 0.05, "p_adjusted": 0.05}
    for found in quiet["diagnostics"]:
        found["p_value"] = None
    for part in quiet["separations"]:
        part["any_separation"]["p_value"] = 0.049
        part["trend"] |= {"limit": 1.2}
    network = networks(Report.model_validate(quiet))[0]
    assert [answer.said for answer in about_splits(network)] == [
        "Adjusted p < 0.05 in the trained network at none of 2 layers.",
        "p < 0.05, not adjusted, in the trained network at none of 2 layers.",
    ]
    chance, samples, _ = about_means(network)
    assert chance.said.endswith("(p < 0.05, not adjusted) at every layer.")
    assert samples.said.endswith("None of them points to a limit.")


def test_a_split_without_any_separation_is_told_from_one_that_has_it_everywhere() -> None:
    report = with_questions(sample_report(classes=3, n_layers=3, states=("trained",)))
    separations = [
        part.model_copy(
            update={"any_separation": OverallTest(statistic=0.1, p_value=0.01 if part.split == "train" else None)}
        )
        for part in report.separations
    ]
    chance = about_means(networks(report.model_copy(update={"separations": separations}))[0])[0]
    assert chance.said.endswith(
        " in the trained network on training data at every layer; "
        "in the trained network on validation data at none of 3 layers."
    )


def test_rebuilt_trees_are_told_from_fixed_ones() -> None:
    rebuilt = with_questions(sample_report(classes=3, n_layers=2), membership="membership")
    page = Page(to_html(rebuilt))
    assert [head for head in gap_tables(page)[0].heads if "membership" in head] == [
        "p\N{NO-BREAK SPACE}(adjusted), membership permutation"
    ]
    assert "all trees are built anew" in page.shown
    assert "over fixed trees" not in page.shown
    assert "membership permutation" in printed(rebuilt, 200, full=False)


def test_shift_and_sample_size_findings_lead_to_their_sections(report: Report) -> None:
    finding = report.findings[0].model_copy(update={"code": "shift", "severity": "info"})
    small = finding.model_copy(update={"code": "small_sample"})
    content = to_html(report.model_copy(update={"findings": [finding, small]}))
    links = re.findall(r'</p>|<a href="#(\w+)">(?:See|Can these numbers be trusted)[^<]*</a></p>', content)
    assert [link for link in links if link] == ["gap", "trust"]


def test_hostile_names_are_text_in_answers_and_tables() -> None:
    report = with_questions(sample_report(classes=3, layers=HOSTILE_NAMES, instances=HOSTILE_NAMES[:1]))
    content = to_html(report)
    assert [e.tag for e in Page(content).elements].count("script") == 2
    printable = content + printed(report, 120, full=True) + to_markdown(report)
    assert not [c for c in printable if c not in "\n\u2060" and unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}]
    assert "<script>alert" not in content


def test_unknown_shapes_of_a_trend_break_nothing() -> None:
    report = with_questions(sample_report(classes=3, n_layers=2))
    for means in ([], [0.1], [0.1, 0.2, 0.3, 0.4]):
        trend = SampleSizeTrend(n_per_class=[10], means=means, limit=None, reason="of another kind")
        other = report.model_copy(
            update={"separations": [part.model_copy(update={"trend": trend}) for part in report.separations]}
        )
        assert "of another kind" in to_html(other)
        assert "of another kind" in to_csv(other)
        assert "– of another kind" in printed(other, 80, full=True)
        assert to_markdown(other)


def test_large_report_with_everything_stays_small() -> None:
    assert len(to_html(with_questions(sample_report(n_layers=50))).encode()) <= 2_000_000
