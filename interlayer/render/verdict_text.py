"""A verdict for a terminal: what failed and why, then what could not be decided, then that the rest passed."""

from contract.schemas.verdict import Case, RuleVerdict, Verdict
from interlayer.render.text import count, number, visible

MARKS = {"pass": "✓", "violation": "✗", "inconclusive": "?", "ignored": "–"}
_MOST_CASES = 20


def verdict_to_text(verdict: Verdict) -> str:
    """Return the verdict as text, its first line the conclusion."""
    lines = [headline(verdict)]
    for rule in verdict.rules:
        lines.append(f"{MARKS[rule.outcome]} {rule.id}  {_counted(rule)}")
        notable = [case for case in rule.cases if case.outcome in ("violation", "inconclusive")]
        lines += [f"    {MARKS[case.outcome]} {sentence(case)}" for case in notable[:_MOST_CASES]]
        if len(notable) > _MOST_CASES:
            lines.append(f"    … and {len(notable) - _MOST_CASES} more in verdict.json")
    lines += [f"note: {visible(note)}" for note in verdict.notes]
    return "\n".join(lines) + "\n"


def headline(verdict: Verdict) -> str:
    """Return the conclusion in one line."""
    counts = {kind: sum(rule.outcome == kind for rule in verdict.rules) for kind in ("violation", "inconclusive")}
    words = {
        "pass": "passed",
        "violation": "violated",
        "inconclusive": "inconclusive" + (", let pass by the policy" if verdict.passed else ""),
    }
    parts = [f"{counts['violation']} violated" if counts["violation"] else ""]
    parts.append(f"{counts['inconclusive']} inconclusive" if counts["inconclusive"] else "")
    detail = ", ".join(filter(None, parts)) or "all hold"
    return f"Audit {words[verdict.conclusion]}: {count(len(verdict.rules), 'rule')}, {detail}"


def _counted(rule: RuleVerdict) -> str:
    kinds = ("violation", "inconclusive", "pass", "ignored")
    counts = [(kind, sum(case.outcome == kind for case in rule.cases)) for kind in kinds]
    severity = "" if rule.severity == "error" else f" ({rule.severity})"
    return ", ".join(f"{count} {kind}" for kind, count in counts if count) + severity


def place(case: Case) -> str:
    """Return where a case is: layer, class pair, network."""
    parts = [visible(case.layer)] if case.layer is not None else []
    if case.pair is not None:
        parts.append(" / ".join(visible(name) for name in case.pair))
    if case.instance is not None:
        step = "" if case.step is None else f" step {case.step}"
        parts.append(f"network {visible(case.instance)} {case.state} {case.split or ''}{step}".rstrip())
    return ", ".join(parts)


def sentence(case: Case) -> str:
    """Return a case in one line."""
    where = place(case)
    found = "" if case.found is None else f", found {number(case.found)}"
    spread = f" (parts {number(min(case.parts))} to {number(max(case.parts))})" if case.parts else ""
    return f"{where + ': ' if where else ''}expected {visible(case.expected)}{found}{spread}: {visible(case.message)}"
