"""Every output of an audit says the same, is what its consumers accept, and hostile names in it are text."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import junitparser
import pytest

from contract.schemas import Report
from contract.schemas.verdict import Verdict
from interlayer.audit import audit
from interlayer.audit.outputs import AuditTargets, write_audit
from interlayer.render.annotations import verdict_to_annotations
from interlayer.render.junit import verdict_to_junit
from interlayer.render.sarif import verdict_to_sarif
from interlayer.render.summary import verdict_to_markdown
from interlayer.render.verdict_text import verdict_to_text
from tests.interlayer.audit.networks import policy, report
from tests.interlayer.render.sample import HOSTILE_NAMES
from tests.interlayer.sarif import read_sarif

RULES = """
id: bad, check: separation, split: train, at_least: 0.8
id: doubtful, check: change, split: train, max_drop: 0.1
id: said, check: separation, split: train, at_least: 0.99, severity: warning
id: known, check: separation, split: train, statistic: min, claim: observed, at_least: -1, ignore_pairs: %s
""".replace("%s", "[{pair: [a, b], reason: alike, expires: 2999-01-01}]")

# What viewers of SARIF need beyond what the standard demands.
VIEWERS = {
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "minItems": 1,
            "items": {
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "uniqueItems": True,
                                        "items": {
                                            "required": ["id", "shortDescription", "defaultConfiguration"],
                                            "properties": {
                                                "defaultConfiguration": {
                                                    "properties": {"level": {"enum": ["error", "warning", "note"]}}
                                                }
                                            },
                                        },
                                    }
                                },
                            }
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {
                        "maxItems": 5000,
                        "items": {
                            "required": ["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"],
                            "properties": {
                                "level": {"enum": ["error", "warning", "note"]},
                                "message": {"required": ["text"], "properties": {"text": {"minLength": 1}}},
                                "locations": {
                                    "minItems": 1,
                                    "items": {
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "required": ["uri"],
                                                        "properties": {"uri": {"pattern": r"^[A-Za-z0-9._~%/-]+$"}},
                                                    },
                                                    "region": {
                                                        "properties": {"startLine": {"type": "integer", "minimum": 1}}
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                                "partialFingerprints": {
                                    "minProperties": 1,
                                    "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def judged() -> tuple[Verdict, Report]:
    found = report({"a": 0.7, "b": 0.9})
    return audit(found, policy(RULES)), found


def test_junit_is_read_by_a_reader_of_junit(judged: tuple[Verdict, Report]) -> None:
    read = junitparser.JUnitXml.fromstring(verdict_to_junit(judged[0]).encode())
    assert [suite.name for suite in read] == ["bad", "doubtful", "said", "known"]
    assert (read.tests, read.failures, read.errors, read.skipped) == (9, 1, 1, 2)
    counted = {
        suite.name: [type(case.result[0]).__name__ if case.result else "pass" for case in suite] for suite in read
    }
    assert counted["bad"] == ["Failure", "pass"]
    assert counted["doubtful"] == ["Error"]
    assert counted["said"] == ["pass", "pass"], "a warning fails nothing"
    assert counted["known"] == ["Skipped", "pass", "Skipped", "pass"]
    (failure,) = next(iter(next(iter(read)))).result
    for said in ("at least 0.8", "found 0.700", "adjusted p"):
        assert said in failure.message


def test_sarif_is_located_at_the_rule(judged: tuple[Verdict, Report]) -> None:
    found = read_sarif(verdict_to_sarif(judged[0]))
    jsonschema.Draft202012Validator(VIEWERS).validate(found)
    results = found["runs"][0]["results"]
    lines = {item["ruleId"]: item["locations"][0]["physicalLocation"]["region"]["startLine"] for item in results}
    assert lines == {"bad": 3, "doubtful": 4, "said": 5}
    assert {item["ruleId"]: item["level"] for item in results} == {
        "bad": "error", "said": "warning", "doubtful": "warning",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change", [("version", "2.2.0"), ("runs", [{"results": []}]), ("runs", [{"tool": {"driver": {}}}]), ("rnus", [])]
)
def test_what_is_no_sarif_would_be_found(judged: tuple[Verdict, Report], change: tuple[str, object]) -> None:
    name, value = change
    log = json.loads(verdict_to_sarif(judged[0])) | {name: value}
    with pytest.raises(jsonschema.ValidationError):
        read_sarif(json.dumps(log))


def test_a_fingerprint_is_of_the_place_and_not_of_the_numbers() -> None:
    def fingerprints(verdict: Verdict) -> list[str]:
        results = json.loads(verdict_to_sarif(verdict))["runs"][0]["results"]
        return sorted(item["partialFingerprints"]["interlayerCase/v1"] for item in results)

    rule = 'id: r, check: separation, split: train, layers: "*", at_least: 0.8'
    first = fingerprints(audit(report({"a": 0.7, "b": 0.6}), policy(rule)))
    again = fingerprints(audit(report({"a": 0.5, "b": 0.4}), policy(rule.replace("0.8", "0.9"))))
    assert first == again
    assert len(set(first)) == 2


def test_the_worst_results_are_kept_where_there_are_too_many() -> None:
    means = {f"layer{number}": 0.79 if number % 2 else 0.5 for number in range(700)}
    rules = "\n".join(f"id: r{number}, check: separation, split: train, at_least: 0.8" for number in range(10))
    results = json.loads(verdict_to_sarif(audit(report(means, spread=0.05), policy(rules))))["runs"][0]["results"]
    assert len(results) == 5000
    assert sum(item["level"] == "error" for item in results) == 3500


def test_two_hundred_layers_fit_into_a_comment() -> None:
    names = {f"encoder.block{number}.attention.output.{'x' * 60}": 0.5 for number in range(200)}
    rules = "\n".join(f"id: r{number}, check: separation, split: train, at_least: 0.8" for number in range(8))
    found = report(names)
    summary = verdict_to_markdown(audit(found, policy(rules)), found)
    assert len(summary.encode()) <= 60_000
    assert summary.startswith("## ❌ Audit violated")
    assert "left out for length" in summary
    assert summary.count("<details>") == summary.count("</details>")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_text_everywhere(name: str) -> None:
    found = report({name: 0.1, "ok": 0.9}, classes=(name, "b", "c"))
    rules = f"id: r, check: separation, split: train, pairs: [[{json.dumps(name)}, b]], claim: observed, at_least: 0.8"
    verdict = audit(found, policy(rules))
    markdown, text = verdict_to_markdown(verdict, found), verdict_to_text(verdict)
    junit, sarif, notes = verdict_to_junit(verdict), verdict_to_sarif(verdict), verdict_to_annotations(verdict)
    ElementTree.fromstring(junit)
    jsonschema.Draft202012Validator(VIEWERS).validate(read_sarif(sarif))
    for said in (markdown, text, junit, sarif, notes):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", said)
    assert len(notes.splitlines()) == 1
    assert not re.search(r"(?<!\\)<script", markdown + junit)  # Markdown has it as \\<script
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows[:3]} == {8}


def test_annotations_name_file_and_line(judged: tuple[Verdict, Report]) -> None:
    lines = verdict_to_annotations(judged[0]).splitlines()
    assert lines[0].startswith("::error file=policy.yaml,line=3,title=bad::a, network 0 trained train: expected")
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::error", "::warning", "::warning"]


def test_all_files_are_of_the_one_verdict(
    judged: tuple[Verdict, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "step"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    verdict, found = judged
    write_audit(verdict, found, AuditTargets(tmp_path / "new" / "out", junit=tmp_path / "j.xml"))
    out = tmp_path / "new" / "out"
    assert {path.name for path in out.iterdir()} == {
        "report.json", "verdict.json", "junit.xml", "results.sarif", "summary.md", "report.html",
    }  # fmt: skip
    assert Verdict.model_validate_json((out / "verdict.json").read_bytes()) == verdict
    assert Report.model_validate_json((out / "report.json").read_bytes()) == found
    assert (tmp_path / "j.xml").read_text() == (out / "junit.xml").read_text() == verdict_to_junit(verdict)
    assert summary.read_text() == "before\n" + verdict_to_markdown(verdict, found) + "\n"
    page = (out / "report.html").read_text()
    assert not re.search(r"(src=|<link[^>]*href=|url\()[\"']?https?:", page), "it loads nothing from elsewhere"
