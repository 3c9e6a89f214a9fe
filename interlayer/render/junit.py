"""A verdict as JUnit XML: a suite for every rule, a case for every layer or class pair."""

from xml.etree import ElementTree

from contract.schemas.verdict import Case, RuleVerdict, Verdict
from interlayer.render.text import xml_text
from interlayer.render.verdict_text import place, sentence

_ELEMENTS = {"violation": "failure", "inconclusive": "error", "ignored": "skipped"}


def verdict_to_junit(verdict: Verdict) -> str:
    """Return JUnit XML; inconclusive is an error, ignored is skipped, and only rules of severity `error` can fail."""
    root = ElementTree.Element("testsuites", {"name": "interlayer audit"})
    for rule in verdict.rules:
        _suite(root, rule)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ElementTree.Element, rule: RuleVerdict) -> None:
    elements = [_element(rule, case) for case in rule.cases]
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {
            "name": rule.id,
            "tests": str(len(rule.cases)),
            "failures": str(elements.count("failure")),
            "errors": str(elements.count("error")),
            "skipped": str(elements.count("skipped")),
        },
    )
    for case, element in zip(rule.cases, elements, strict=True):
        node = ElementTree.SubElement(
            suite, "testcase", {"classname": rule.id, "name": xml_text(place(case) or case.expected or "report")}
        )
        said = xml_text(sentence(case))
        if element in ("failure", "error"):
            ElementTree.SubElement(node, element, {"message": said, "type": case.outcome}).text = said
        elif element == "skipped":
            ElementTree.SubElement(node, element, {"message": xml_text(case.message)})
        elif case.outcome != "pass":
            ElementTree.SubElement(node, "system-out").text = f"{rule.severity}: {said}"


def _element(rule: RuleVerdict, case: Case) -> str | None:
    if case.outcome == "ignored" or rule.severity == "error":
        return _ELEMENTS.get(case.outcome)
    return None
