"""Every page for everybody: nothing serious for axe, in light and dark, at three widths, and by keyboard alone."""

import pytest
from playwright.sync_api import Browser, expect

from tests.pages.browser import Theme, Visitor, visiting
from tests.pages.conftest import Lab

PAGES = {
    "analyses": "/",
    "files": "/files",
    "new": "/analyses/new",
    "succeeded": "/analyses/{succeeded}",
    "failed": "/analyses/{failed}",
    "canceled": "/analyses/{canceled}",
    "queued": "/analyses/{queued}",
    "report": "/analyses/{succeeded}/report",
    "hostile": "/analyses/{hostile}/report",
    "reports": "/reports",
    "sent": "/reports/{sent}",
    "baseline": "/baselines/main",
    "choose": "/compare",
    "compare": "/compare?id={succeeded}&id={other}",
    "keys": "/keys",
    "limits": "/limits",
    "docs": "/docs",
    "nothing fits": "/?status=failed&tag=no:such",
    "absent": "/analyses/an_000000000000000000000000000000",
    "nowhere": "/nowhere",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_flaw(lab: Lab, browser: Browser, theme: Theme) -> None:
    found = {}
    with visiting(browser, theme=theme) as visitor:
        visitor.open(f"{lab.url}/sign-in")
        found["sign in"] = visitor.violations()
        visitor.sign_in(lab.url, lab.caller.key)
        for name, path in PAGES.items():
            visitor.open(lab.url + path.format_map(vars(lab)))
            for details in visitor.page.query_selector_all("details:not([open])")[:20]:
                details.evaluate("node => { node.open = true; }")
            found[name] = visitor.violations()
        assert visitor.complaints == []
    assert {name: flaws for name, flaws in found.items() if flaws} == {}


def test_a_flaw_would_be_found(browser: Browser) -> None:
    with visiting(browser) as visitor:
        visitor.page.set_content("<html><body><img src=x><p style='color:#ccc'>pale</p></body></html>")
        assert visitor.violations()


@pytest.mark.parametrize("width", [390, 834, 1440])
def test_no_page_scrolls_sideways(lab: Lab, browser: Browser, width: int) -> None:
    with visiting(browser, width=width) as visitor:
        visitor.sign_in(lab.url, lab.caller.key)
        wide = []
        for name, path in PAGES.items():
            visitor.open(lab.url + path.format_map(vars(lab)))
            if visitor.is_too_wide():
                wide.append(name)
        assert wide == []


def test_the_empty_states_say_what_to_do(lab: Lab, visitor: Visitor) -> None:
    visitor.sign_in(lab.url, lab.service.caller().key)
    for path, words in (
        ("/", "No analysis yet"), ("/files", "No file yet"), ("/analyses/new", "No file to analyse yet"),
        ("/compare", "No report yet"), ("/reports", "No report kept yet"),
    ):  # fmt: skip
        visitor.open(lab.url + path)
        expect(visitor.page.get_by_role("heading", name=words)).to_be_visible()
        assert visitor.violations() == []


def test_by_keyboard_alone(lab: Lab, visitor: Visitor) -> None:
    page = visitor.page
    visitor.open(f"{lab.url}/sign-in")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(lab.caller.key)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{lab.url}/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(60):  # through the filters and rows
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.getAttribute('href')")
        if focused == f"/analyses/{lab.succeeded}/report":
            break
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/analyses/{lab.succeeded}/report")
    slider = page.get_by_role("slider").first
    slider.focus()
    before = slider.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") != before
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
