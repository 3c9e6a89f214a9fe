"""A verdict as workflow commands: annotations that a build page shows at the rule's line of the policy."""

from contract.schemas.verdict import Verdict
from interlayer.render.verdict_text import sentence

_MOST_OF_A_KIND = 10  # of which a step shows more of none
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def verdict_to_annotations(verdict: Verdict) -> str:
    """Return the lines to print, those of one kind no more than are shown."""
    lines: list[str] = []
    counts = dict.fromkeys(_COMMANDS.values(), 0)
    for rule in verdict.rules:
        for case in rule.cases:
            if case.outcome not in ("violation", "inconclusive"):
                continue
            undecided = case.outcome == "inconclusive" and rule.severity == "error"
            command = "warning" if undecided and verdict.passed else _COMMANDS[rule.severity]
            counts[command] += 1
            if counts[command] <= _MOST_OF_A_KIND:
                where = f"file={_property(verdict.policy)},line={rule.line},title={_property(rule.id)}"
                lines.append(f"::{command} {where}::{_data(sentence(case))}")
    return "".join(f"{line}\n" for line in lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
