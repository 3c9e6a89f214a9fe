"""A verdict as SARIF 2.1.0: a result for all that is violated or inconclusive, at its rule's line of the policy."""

import hashlib
import json
from urllib.parse import quote

from contract.schemas.verdict import Case, RuleVerdict, Verdict
from interlayer.render.findings import SARIF_SCHEMA
from interlayer.render.text import visible
from interlayer.render.verdict_text import sentence

_MOST_RESULTS = 5000  # what code scanning shows; more is dropped there without a word
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def verdict_to_sarif(verdict: Verdict) -> str:
    """Return SARIF 2.1.0. The worst comes first, in case there is more than a viewer takes."""
    results = [
        (case.outcome != "violation", _LEVELS[rule.severity], index, rule, case)
        for index, rule in enumerate(verdict.rules)
        for case in rule.cases
        if case.outcome in ("violation", "inconclusive")
    ]
    results.sort(key=lambda item: (item[0], ["error", "warning", "note"].index(item[1])))
    run = {
        "tool": {"driver": {"name": "Interlayer", "rules": [_rule(rule) for rule in verdict.rules]}},
        "results": [_result(verdict, index, rule, case) for _, _, index, rule, case in results[:_MOST_RESULTS]],
        "columnKind": "unicodeCodePoints",
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False) + "\n"


def _rule(rule: RuleVerdict) -> dict[str, object]:
    return {
        "id": rule.id,
        "shortDescription": {"text": visible(rule.description) or rule.id},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(verdict: Verdict, index: int, rule: RuleVerdict, case: Case) -> dict[str, object]:
    undecided = case.outcome == "inconclusive" and rule.severity == "error"
    location = {"artifactLocation": {"uri": _uri(verdict.policy)}, "region": {"startLine": rule.line}}
    return {
        "ruleId": rule.id,
        "ruleIndex": index,
        "level": "warning" if undecided else _LEVELS[rule.severity],
        "message": {"text": sentence(case)},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"interlayerCase/v1": fingerprint(rule, case)},
    }


def _uri(path: str) -> str:
    return quote(path)


def fingerprint(rule: RuleVerdict, case: Case) -> str:
    """Return what makes a result of a newer run the same alert: rule and place, never the numbers."""
    role = [rule.id, case.instance, case.state, case.split, case.step, case.layer, case.pair]
    if case.layer is None:
        role.append(case.expected)
    return hashlib.sha256(json.dumps(role).encode()).hexdigest()
