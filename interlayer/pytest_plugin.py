"""A pytest plugin: the report of a run as a fixture, and an assertion that it satisfies a policy.

    pytest --interlayer-report report.json --interlayer-policy interlayer.yaml

Nothing of interlayer is loaded before a test asks for a fixture: every run of pytest on the machine loads this file.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from contract.schemas import Report
    from interlayer.notebook import Check


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options; each is a setting of the ini file, too."""
    group = parser.getgroup("interlayer", "class separation of networks")
    for name, text in (
        ("report", "the report.json of the network under test"),
        ("policy", "the policy file [interlayer.yaml]"),
        ("baseline", "the report.json to compare with, instead of the one that the policy names"),
    ):
        group.addoption(f"--interlayer-{name}", metavar="FILE", help=f"interlayer: {text}")
        parser.addini(f"interlayer_{name}", f"{text}", default="")


def _given(config: pytest.Config, name: str) -> str:
    found = config.getoption(f"--interlayer-{name}") or config.getini(f"interlayer_{name}")
    return str(found or "")


@pytest.fixture(scope="session")
def interlayer_report(pytestconfig: pytest.Config) -> "Report":
    """Return the report that --interlayer-report or the ini file names."""
    from interlayer.errors import UsageError
    from interlayer.report_file import load_report

    path = _given(pytestconfig, "report")
    if not path:
        raise pytest.UsageError("interlayer_report: say which, with --interlayer-report FILE or in the ini file")
    try:
        return load_report(path)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture
def assert_policy(pytestconfig: pytest.Config) -> "Callable[..., Check]":
    """Return a function of (report, policy=…, baseline=…) that fails the test where the policy is not satisfied."""

    def satisfied(report: "Report", policy: str | None = None, baseline: "Report | str | None" = None) -> "Check":
        from interlayer.notebook import check

        __tracebackhide__ = True
        chosen = policy or _given(pytestconfig, "policy") or "interlayer.yaml"
        found = check(report, chosen, baseline or _given(pytestconfig, "baseline") or None)
        if not found:
            pytest.fail(str(found), pytrace=False)
        return found

    return satisfied
