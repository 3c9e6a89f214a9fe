"""How one report has changed from another, as Markdown, as text, and as a page."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from contract.schemas import Report
from contract.schemas.comparison import Comparison, LayerChange
from interlayer.render import text
from interlayer.render.comparison_view import HOW_TO_READ, comparison_body
from interlayer.render.html import report_style
from interlayer.render.markdown import plain

_HEADS = ("layer", "network", "data", "base", "candidate", "Δ", "95% interval", "p (adjusted)", "lost most")


def comparison_to_text(comparison: Comparison) -> str:
    """Return lines for a terminal."""
    rows = [_HEADS, *(_cells(change) for change in comparison.changes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [_verdict(comparison), *(f"  {line}" for line in _differences(comparison))]
    if comparison.changes:
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
    return "\n".join(lines) + "\n"


def comparison_to_markdown(comparison: Comparison) -> str:
    """Return a section with a table."""
    parts = [f"## Change from the base\n\n{plain(_verdict(comparison))}\n"]
    parts += [f"- {plain(line)}" for line in _differences(comparison)]
    if comparison.changes:
        table = [_HEADS, ("---",) * len(_HEADS)]
        table += [tuple(plain(cell) for cell in _cells(change)) for change in comparison.changes]
        parts.append("\n" + "\n".join(f"| {' | '.join(row)} |" for row in table) + "\n")
    return "\n".join(parts)


def comparison_to_html(base: Report, candidate: Report, comparison: Comparison) -> str:
    """Return a page that opens from disk, works offline and shows every name as text."""
    style = report_style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Change from the base</title><style>{style}</style></head><body><header><h1>Change from the base</h1>"
        f"<p>{escape(_verdict(comparison))}</header><main>"
        f'<p class="how"><strong>How to read this.</strong> {escape(HOW_TO_READ)}'
        f"{comparison_body(base, candidate, comparison)}</main></body></html>"
        "\n"
    )


def _verdict(comparison: Comparison) -> str:
    if not comparison.changes:
        return "The reports cannot be compared."
    known = [change for change in comparison.changes if change.p_adjusted is not None]
    alpha = 1 - comparison.level
    worse = [change for change in known if (change.p_adjusted or 0) < alpha and change.difference < 0]
    better = [change for change in known if (change.p_adjusted or 0) < alpha and change.difference > 0]
    counted = (
        f"Of {text.count(len(comparison.changes), 'layer and split', 'layers and splits')}, {len(worse)} separate the "
        f"classes worse than the base, {len(better)} better (adjusted p < {alpha:.2f})."
    )
    return counted if comparison.comparable else f"{counted} The reports are not comparable as a whole."


def _differences(comparison: Comparison) -> list[str]:
    return [
        f"{item.field}: base {text.visible(item.base)} – candidate {text.visible(item.candidate)}"
        for item in comparison.differences
    ]


def _cells(change: LayerChange) -> Sequence[str]:
    step = "" if change.step is None else f", step {change.step}"
    worst = next(iter(change.worst_pairs), None)
    pair = "" if worst is None else f"{worst.class_a} – {worst.class_b} ({text.signed(worst.difference, 2)})"
    return (
        text.shortened(change.layer, 60),
        text.shortened(f"{change.instance} {change.state}{step}", 60),
        change.split,
        text.number(change.base),
        text.number(change.candidate),
        text.signed(change.difference),
        text.interval(change.interval.low, change.interval.high),
        text.p_values(change.p_value, change.p_adjusted) if change.reason != "identical" else "identical",
        text.shortened(pair, 60),
    )
