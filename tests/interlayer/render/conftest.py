"""A report with several instances, and its page; modules that are about other reports have their own."""

import pytest

from contract.schemas import Report
from interlayer.render.html import to_html
from tests.interlayer.render.pages import Page
from tests.interlayer.render.sample import sample_report


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report(instances=("0", "1"), classes=6)


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(to_html(report))
