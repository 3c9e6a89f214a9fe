"""The findings of a report for tools that know test results (JUnit XML) or code scanning (SARIF 2.1.0).

Without a policy there is nothing to pass or fail but what the report itself says: a finding of severity `error` is a
failure, everything else a remark. With a policy, `interlayer audit` writes both of its verdict instead.
"""

import hashlib
import json
from xml.etree import ElementTree

from contract.schemas import Finding, Report, Severity
from interlayer.render.text import visible, xml_text

_LEVELS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def findings_to_junit(report: Report) -> str:
    """Return JUnit XML: a suite for the report, a case for each finding; a report without findings has one that passes.

    A finding of severity `error` is a failure; what a lesser one says is in the output of its case.
    """
    failures = sum(finding.severity == "error" for finding in report.findings)
    counts = {"tests": str(max(1, len(report.findings))), "failures": str(failures), "errors": "0", "skipped": "0"}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "findings", **counts})
    for finding in report.findings:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "findings", "name": xml_text(finding.code)})
        message = xml_text(finding.message)
        if finding.severity == "error":
            ElementTree.SubElement(case, "failure", {"message": message, "type": xml_text(finding.code)}).text = message
        else:
            ElementTree.SubElement(case, "system-out").text = f"{finding.severity}: {message}"
    if not report.findings:
        ElementTree.SubElement(suite, "testcase", {"classname": "findings", "name": "no findings"})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def findings_to_sarif(report: Report) -> str:
    """Return SARIF 2.1.0: a result for each finding, located in the report itself."""
    codes = list(dict.fromkeys(visible(finding.code) for finding in report.findings))
    run = {
        "tool": {"driver": {"name": "Interlayer", "rules": [{"id": code} for code in codes]}},
        "results": [_result(report, finding, codes) for finding in report.findings],
        "columnKind": "unicodeCodePoints",
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False) + "\n"


def _result(report: Report, finding: Finding, codes: list[str]) -> dict[str, object]:
    code = visible(finding.code)
    networks = sorted({f"{item.instance}/{item.state}/{item.split}/{item.step}" for item in report.provenance.inputs})
    # The same finding of a newer run is the same alert: neither the numbers nor the words are a part of it.
    fingerprint = hashlib.sha256(json.dumps([code, networks, report.layers]).encode()).hexdigest()
    return {
        "ruleId": code,
        "ruleIndex": codes.index(code),
        "level": _LEVELS[finding.severity],
        "message": {"text": visible(finding.message)},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": "report.json"}, "region": {"startLine": 1}}},
        ],
        "partialFingerprints": {"interlayerFinding/v1": fingerprint},
    }
