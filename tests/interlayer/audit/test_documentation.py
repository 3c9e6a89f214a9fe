"""The example of docs/audit.md, and the commands that it names."""

import re
from pathlib import Path

from interlayer.audit import audit
from interlayer.policy import read_policy
from interlayer.render.verdict_text import verdict_to_text
from tests.interlayer.audit.networks import report

PAGE = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")


def example(name: str) -> str:
    """Return a marked block of the page."""
    found = re.search(rf"<!-- example: {name} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_prints_what_the_page_says() -> None:
    loaded = read_policy(example("policy").encode(), "interlayer.yaml")
    before, after = report({"1.Conv": 0.5, "2.Dense": 0.9}), report({"1.Conv": 0.5, "2.Dense": 0.7})
    assert verdict_to_text(audit(after, loaded, before)) == example("output")


def test_the_options_exist() -> None:
    from typer.main import get_command

    from interlayer.__main__ import app

    command = get_command(app).commands["audit"]  # type: ignore[attr-defined]  # the group has them
    known = {option for parameter in command.params for option in parameter.opts}
    text = PAGE.replace("interlayer baseline bless main report.json --note", "")
    assert set(re.findall(r"--[a-z][a-z-]+", text)) <= known
