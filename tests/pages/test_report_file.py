"""The report as one file, opened from disk: it asks nobody, and its pictures answer."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from contract.schemas import Report
from interlayer.render.html import to_html
from tests.interlayer.render.sample import HOSTILE_NAMES, sample_report
from tests.pages.browser import Theme, Visitor, address, visiting

# Charts and tables of contrasts that do not fit the place they are in.
SCROLLERS = """[...document.querySelectorAll(".chart, .path, .scroll:has(> table.contrast)")]
    .filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.outerHTML.slice(0, 200))"""


def write(folder: Path, report: Report) -> Path:
    path = folder / "report.html"
    path.write_text(to_html(report), encoding="utf-8")
    return path


def test_it_opens_without_a_network_and_follows_a_pair(tmp_path: Path, browser: Browser) -> None:
    path = write(tmp_path, sample_report(n_layers=6, classes=5))
    with visiting(browser, offline=True) as visitor:
        visitor.open(address(path))
        page = visitor.page
        page.locator("#pairs .layer:not([hidden]) td[class^=h]").first.click()
        expect(page.locator("#pairs .path svg")).to_be_visible()
        expect(page.locator("#pairs .path svg text.panel")).to_contain_text("0 – 1 through the layers")
        assert page.locator(".on-screen svg.layers path.followed").count() == 4  # both states on both splits
        assert visitor.asked == [address(path)]
        assert visitor.complaints == []


@pytest.mark.parametrize(("width", "where"), [(390, "on-phone"), (1280, "on-screen")])
def test_a_followed_pair_is_drawn_where_it_is(tmp_path: Path, browser: Browser, width: int, where: str) -> None:
    path = write(tmp_path, sample_report(n_layers=6, classes=2))  # of one pair, which is where the mean is
    with visiting(browser, width=width) as visitor:
        visitor.open(address(path))
        chart = visitor.page.locator(f".{where} svg.layers")
        expect(chart).to_be_visible()
        visitor.page.get_by_label("Follow one pair").first.select_option(index=1)
        expect(chart.locator(".followed-dot")).to_have_count(24)
        read = "[at.cx.baseVal.value, at.cy.baseVal.value]"
        means, dots = (
            chart.evaluate(f"svg => [...svg.querySelectorAll('{mark}')].map((at) => {read})")
            for mark in (".mean", ".followed-dot")
        )
        for mean, dot in zip(means, dots, strict=True):
            assert dot == pytest.approx(mean, abs=0.3)


def test_paper_shows_what_the_screen_shows(tmp_path: Path, browser: Browser) -> None:
    path = write(tmp_path, sample_report(n_layers=6, classes=5, instances=("0", "1")))
    with visiting(browser, width=700) as visitor:  # as wide as a sheet of A4 within its margins
        visitor.open(address(path))
        visitor.page.get_by_role("radio", name="Instance 1").check()
        visitor.page.emulate_media(media="print")
        expect(visitor.page.locator(".on-phone svg:visible")).to_have_count(0)
        expect(visitor.page.locator(".on-screen svg.layers:visible")).to_have_count(1)
        expect(visitor.page.locator("#pairs .layer:visible")).to_have_count(1)
        expect(visitor.page.locator("#steps thead:visible").first).to_have_css("position", "static")


def test_tables_are_sorted_and_copied(tmp_path: Path, browser: Browser) -> None:
    report = sample_report(n_layers=6, classes=4, layers=["=1+1", "b|c", "2", "3", "4", "5"])
    with visiting(browser, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        visitor.open(address(write(tmp_path, report)))
        page = visitor.page
        table = page.locator("#steps table.contrast").first

        def deltas() -> list[float]:
            cells = table.locator("tbody tr td:nth-child(3)").all_inner_texts()
            return [float(cell.replace("−", "-")) for cell in cells]

        before = deltas()
        table.get_by_role("button", name="Δ").click()
        assert deltas() == sorted(before)
        table.get_by_role("button", name="Δ").click()
        assert deltas() == sorted(before, reverse=True)
        expect(table.locator("th[aria-sort=descending]")).to_have_count(1)
        page.evaluate("window.setTimeout = () => 0")  # what is said for a moment stays to be seen
        page.locator("#steps").get_by_role("button", name="Copy as CSV").first.click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        rows = copied.splitlines()
        assert len(rows) == 1 + len(before)
        assert any(row.startswith("\"'=1+1") for row in rows), "a spreadsheet must not run it"
        page.locator("#steps").get_by_role("button", name="Copy as Markdown").first.click()
        expect(page.get_by_role("button", name="Copied")).to_have_count(2)
        page.wait_for_function("async () => (await navigator.clipboard.readText()).startsWith('|')")
        assert "b\\|c" in page.evaluate("navigator.clipboard.readText()")


def test_hostile_names_are_text(tmp_path: Path, visitor: Visitor) -> None:
    report = sample_report(classes=HOSTILE_NAMES, layers=HOSTILE_NAMES, steps=(1, 2))
    visitor.open(address(write(tmp_path, report)))
    shown = visitor.page.locator("body").inner_text()
    assert "<script>alert(1)</script>" in shown
    assert not re.search("[\u202e\x1b\x07]", shown)
    visitor.page.locator("#pairs .layer:not([hidden]) td[class^=h]").first.click()
    expect(visitor.page.locator("#pairs .path svg text.panel").first).to_contain_text("<script>")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 834, 1440])
def test_any_size_is_readable(tmp_path: Path, browser: Browser, theme: Theme, width: int) -> None:
    reports = {
        "usual": sample_report(instances=("0", "1")),
        "a hundred classes": sample_report(n_layers=4, classes=100),
        "two hundred layers": sample_report(n_layers=200, classes=3, states=("trained",)),
        "training": sample_report(n_layers=5, classes=4, steps=(0, 10, 100, 1000), states=("trained",)),
    }
    with visiting(browser, theme=theme, width=width) as visitor:
        for name, report in reports.items():
            visitor.open(address(write(tmp_path, report)))
            assert not visitor.is_too_wide(), name
            assert visitor.page.evaluate(SCROLLERS) == [], name
            if width == 834:
                assert visitor.violations() == [], name
        assert visitor.complaints == []
