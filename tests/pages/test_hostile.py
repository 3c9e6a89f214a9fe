"""Names that people give are text on every page."""

from tests.interlayer.render.sample import HOSTILE_NAMES
from tests.pages.browser import Visitor
from tests.pages.conftest import Lab


def test_hostile_names_are_text_everywhere(lab: Lab, visitor: Visitor) -> None:
    visitor.sign_in(lab.url, lab.caller.key)
    for path in (
        "/",
        "/analyses/{}",
        "/analyses/{}/report",
        "/files",
        "/reports",
        "/baselines/main",
        "/compare?id={}",
        "/?tag=<script>alert(1)</script>:x",
    ):
        visitor.open(lab.url + path.format(lab.hostile))
        content = visitor.page.content()
        assert "<script>alert" not in content
        for sign in ("\u202e", "\x1b", "\x07"):
            assert sign not in visitor.page.locator("body").inner_text(), path
    visitor.open(lab.url + f"/analyses/{lab.hostile}")
    assert HOSTILE_NAMES[0] in visitor.page.locator("main").inner_text()
    # `visitor` fails at the end where a dialog opened or a script of a name ran.


def test_the_report_of_the_rest_interface_is_isolated(lab: Lab, visitor: Visitor) -> None:
    visitor.sign_in(lab.url, lab.caller.key)
    visitor.open(f"{lab.url}/v1/analyses/{lab.hostile}/report.html")
    assert visitor.page.evaluate("self.origin") == "null"
