"""How findings are put into words and evidence."""

from collections.abc import Sequence

from pydantic import JsonValue

from contract.schemas import Finding, Report, Severity
from worker.readings import networks

Case = dict[str, JsonValue]

_NAMED = 5
"""A sentence names at most this many layers or class pairs; the evidence has all."""


def finding(code: str, severity: Severity, message: str, cases: Sequence[Case]) -> Finding:
    """One finding with its cases."""
    return Finding(code=code, severity=severity, message=message, evidence={"cases": list(cases)})


def share(cases: Sequence[Case], report: Report) -> str:
    """The networks concerned, out of all trained ones, as the subject of a sentence."""
    total = sum(1 for network in networks(report) if network.state == "trained")
    return "The trained network" if total == 1 else f"{len(cases)} of {total} trained networks"


def verb(subjects: Sequence[object], singular: str, plural: str) -> str:
    """The form of a verb that goes with the subjects."""
    return singular if len(subjects) == 1 else plural


def listed(names: JsonValue | Sequence[str], conjunction: str = "and") -> str:
    """Names in a sentence, the first few of them."""
    assert isinstance(names, list), "names come from the evidence"
    shown = [str(name) for name in names[:_NAMED]]
    rest = len(names) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {conjunction} {shown[-1]}"


def layers_of(cases: Sequence[Case], report: Report) -> list[str]:
    """The layers of some cases, each once, in the order of the network."""
    concerned = {case["layer"] for case in cases}
    return [layer for layer in report.layers if layer in concerned]


def data_of(split: JsonValue) -> str:
    """Which data a split is, as people say it."""
    return "training data" if split == "train" else f"{split} data"


def number(value: JsonValue) -> float:
    """A number from the evidence."""
    assert isinstance(value, int | float), "evidence holds a number here"
    return float(value)


def rounded(value: JsonValue, digits: int = 2) -> str:
    """A number from the evidence in a sentence; what rounds to zero has no sign."""
    text = f"{number(value):.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text
