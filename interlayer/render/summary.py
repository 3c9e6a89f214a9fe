"""A verdict as Markdown for a job summary or a pull request comment: the conclusion first, details folded."""

from contract.schemas import Report
from contract.schemas.verdict import Case, RuleVerdict, Verdict
from interlayer.render import text, wording
from interlayer.render.markdown import MOST_BYTES, plain
from interlayer.render.networks import networks
from interlayer.render.verdict_text import headline, place

_ICONS = {"pass": "✅", "violation": "❌", "inconclusive": "❔", "ignored": "➖"}
_BARS = "▁▂▃▄▅▆▇█"
_MOST_NETWORKS = 12
_ROOM_FOR_LAST_LINE = 200


def verdict_to_markdown(verdict: Verdict, report: Report) -> str:
    """Return at most 60 kB: one line of verdict, what is violated, the layers at a glance, every rule folded."""
    parts = [
        f"## {_ICONS[verdict.conclusion]} {plain(headline(verdict))}\n",
        _notable(verdict),
        *(f"> {plain(note)}\n" for note in verdict.notes),
        _strips(report),
        *(_rule(rule) for rule in verdict.rules),
        _provenance(verdict),
    ]
    written, used, left_out = [], 0, 0
    for part in filter(None, parts):
        size = len(part.encode()) + 1
        if used + size > MOST_BYTES - _ROOM_FOR_LAST_LINE:
            left_out += 1
            continue
        written.append(part)
        used += size
    if left_out:
        written.append(f"{text.count(left_out, 'part')} left out for length; verdict.json has everything.\n")
    return "\n".join(written)


def _notable(verdict: Verdict, most: int = 50) -> str:
    rows = [
        (rule, case) for rule in verdict.rules for case in rule.cases if case.outcome in ("violation", "inconclusive")
    ]
    if not rows:
        return ""
    rows.sort(key=lambda row: (row[1].outcome != "violation", row[0].severity != "error"))
    lines = ["| | rule | where | expected | found | p (adj.) | why |", "|---|---|---|---|--:|--:|---|"]
    lines += [_row(rule, case) for rule, case in rows[:most]]
    if len(rows) > most:
        lines.append(f"\n… and {len(rows) - most} more below.")
    return "\n".join(lines) + "\n"


def _row(rule: RuleVerdict, case: Case) -> str:
    p_value = "–" if case.p_adjusted is None else f"{case.p_adjusted:.2g}"
    severity = "" if rule.severity == "error" else f" ({rule.severity})"
    cells = [
        _ICONS[case.outcome], plain(rule.id) + severity, plain(place(case)), plain(case.expected),
        text.number(case.found), p_value, plain(case.message),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _strips(report: Report) -> str:
    """Return the means of every network from first to last layer, as bars from 0 to 1."""
    lines = []
    for network in networks(report)[:_MOST_NETWORKS]:
        for series in network.series:
            means = [series.layers[layer].mean if layer in series.layers else None for layer in report.layers]
            bars = "".join(" " if mean is None else _BARS[_level(mean)] for mean in means)
            name = f"{wording.network_name(network)}, {wording.STATE[series.state].lower()}, "
            lines.append(f"- `{bars}` {plain(name + wording.SPLIT[series.split])}")
    return "Mean separation, first to last layer (0 to 1):\n\n" + "\n".join(lines) + "\n" if lines else ""


def _level(mean: float) -> int:
    return max(0, min(len(_BARS) - 1, int(mean * len(_BARS))))


def _rule(rule: RuleVerdict, most: int = 200) -> str:
    lines = ["| | where | expected | found | p (adj.) | |", "|---|---|---|--:|--:|---|"]
    for case in rule.cases[:most]:
        cells = _row(rule, case).strip("| ").split(" | ")
        lines.append(f"| {cells[0]} | {' | '.join(cells[2:])} |")
    if len(rule.cases) > most:
        lines.append(f"\n… and {len(rule.cases) - most} more in verdict.json.")
    title = f"{_ICONS[rule.outcome]} {plain(rule.id)}"
    return (
        f"<details><summary>{title}</summary>\n\n{plain(rule.description)}\n\n" + "\n".join(lines) + "\n\n</details>\n"
    )


def _provenance(verdict: Verdict) -> str:
    lines = [f"policy `{verdict.policy_sha256[:12]}`", f"report `{verdict.report_sha256[:12]}`"]
    if verdict.baseline_sha256 is not None:
        lines.append(f"baseline `{verdict.baseline_sha256[:12]}`")
    return f"alpha {verdict.alpha:g}, adjusted by {verdict.adjustment.replace('_', ' ')} · {' · '.join(lines)}\n"
