"""Findings as JUnit XML and SARIF, read by what others read them with."""

import json
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from contract.schemas import Finding, Report, Severity
from interlayer.render.findings import findings_to_junit, findings_to_sarif
from tests.interlayer.render.sample import HOSTILE_NAMES, sample_report
from tests.interlayer.sarif import read_sarif

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


def with_findings(*findings: tuple[str, Severity, str]) -> Report:
    made = [Finding(code=code, severity=severity, message=text, evidence={}) for code, severity, text in findings]
    return sample_report(n_layers=2).model_copy(update={"findings": made})


def parsed(text: str, folder: Path) -> JUnitXml:
    path = folder / "junit.xml"
    path.write_text(text, encoding="utf-8")
    return JUnitXml.fromfile(str(path))


def test_an_error_is_a_failure_and_a_remark_is_not(tmp_path: Path) -> None:
    report = with_findings(("leak", "error", "rows shared"), ("gap", "warning", "a gap"), ("first", "info", "layer 1"))
    found = parsed(findings_to_junit(report), tmp_path)
    assert (found.tests, found.failures, found.errors) == (3, 1, 0)
    (suite,) = found
    cases = list(suite)
    assert [case.name for case in cases] == ["leak", "gap", "first"]
    assert [result.message for case in cases for result in case.result] == ["rows shared"]
    assert cases[1].system_out == "warning: a gap"


def test_a_report_without_findings_passes(tmp_path: Path) -> None:
    found = parsed(findings_to_junit(with_findings()), tmp_path)
    assert (found.tests, found.failures) == (1, 0)


@pytest.mark.parametrize("name", [*HOSTILE_NAMES, "\ufffe\uffff", "\x00\x0b", "]]>"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_hostile_text_is_text(tmp_path: Path, name: str, severity: Severity) -> None:
    report = with_findings((name, severity, name))
    (suite,) = parsed(findings_to_junit(report), tmp_path)
    (case,) = suite
    assert "\x1b" not in case.name
    (result,) = json.loads(findings_to_sarif(report))["runs"][0]["results"]
    assert "\x1b" not in result["message"]["text"]


def sarif(report: Report) -> Any:
    document = read_sarif(findings_to_sarif(report))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    return run


def test_levels_and_rules_of_sarif() -> None:
    run = sarif(with_findings(("leak", "error", "a"), ("gap", "warning", "b"), ("gap", "info", "c")))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["leak", "gap"]
    assert [(r["ruleId"], r["ruleIndex"], r["level"]) for r in run["results"]] == [
        ("leak", 0, "error"),
        ("gap", 1, "warning"),
        ("gap", 1, "note"),
    ]
    assert all(r["locations"][0]["physicalLocation"]["region"]["startLine"] >= 1 for r in run["results"])


def test_an_alert_is_the_same_when_only_numbers_change() -> None:
    def fingerprint(*finding: Any) -> str:
        return str(sarif(with_findings(finding))["results"][0]["partialFingerprints"]["interlayerFinding/v1"])

    assert fingerprint("gap", "warning", "by 0.11") == fingerprint("gap", "error", "by 0.31")
    assert fingerprint("gap", "warning", "by 0.11") != fingerprint("leak", "warning", "by 0.11")
