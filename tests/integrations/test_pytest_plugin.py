"""The pytest plugin, in a pytest of its own."""

from pathlib import Path

import pytest

from tests.interlayer.render.sample import sample_report

pytest_plugins = ["pytester"]
POLICY = "version: 1\nrules:\n  - {id: healthy, check: finding, absent: [memorization]}\n"
TEST = """
def test_network(interlayer_report, assert_policy):
    found = assert_policy(interlayer_report)
    assert found.verdict.conclusion == "pass"
    assert interlayer_report.layers[0] == "0.Input"
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """A project with a policy and a test; its reports are healthy.json and ill.json."""
    pytester.makepyfile(test_network=TEST)
    (pytester.path / "interlayer.yaml").write_text(POLICY)
    report = sample_report(n_layers=3)
    kept = [finding for finding in report.findings if finding.code != "memorization"]
    assert len(kept) < len(report.findings), "the sample has what the policy forbids"
    (pytester.path / "ill.json").write_bytes(report.to_bytes())
    (pytester.path / "healthy.json").write_bytes(report.model_copy(update={"findings": kept}).to_bytes())
    return pytester.path


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "interlayer.pytest_plugin", "-p", "no:cacheprovider", *arguments)


def test_a_healthy_network_passes(pytester: pytest.Pytester, project: Path) -> None:
    run(pytester, "--interlayer-report", "healthy.json").assert_outcomes(passed=1)


def test_an_ill_one_fails_and_the_rule_is_named(pytester: pytest.Pytester, project: Path) -> None:
    result = run(pytester, "--interlayer-report", "ill.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*violation: interlayer.yaml*", "*violation*healthy*"])
    assert "Traceback" not in result.stdout.str()


def test_the_ini_file_will_do(pytester: pytest.Pytester, project: Path) -> None:
    pytester.makeini("[pytest]\ninterlayer_report = healthy.json\ninterlayer_policy = rules.yaml\n")
    (project / "interlayer.yaml").rename(project / "rules.yaml")
    run(pytester).assert_outcomes(passed=1)
    run(pytester, "--interlayer-report", "ill.json").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--interlayer-report"),
        (["--interlayer-report", "absent.json"], "cannot read absent.json"),
        (["--interlayer-report", "interlayer.yaml"], "not an interlayer report"),
        (["--interlayer-report", "healthy.json", "--interlayer-policy", "absent.yaml"], "absent.yaml"),
        (["--interlayer-report", "healthy.json", "--interlayer-baseline", "absent.json"], "absent.json"),
    ],
)
def test_what_is_missing_is_named(pytester: pytest.Pytester, project: Path, arguments: list[str], says: str) -> None:
    result = run(pytester, *arguments)
    assert result.ret != 0
    assert says in result.stdout.str() + result.stderr.str()


def test_loading_the_plugin_loads_nothing_else(pytester: pytest.Pytester) -> None:
    code = "import sys, interlayer.pytest_plugin; print({'pydantic', 'httpx', 'numpy'} & set(sys.modules))"
    assert pytester.runpython_c(code).stdout.str().strip() == "set()"
