"""A report as one HTML file: no network, no server, complete without its script."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape

from contract.schemas import Pairs, Report
from contract.schemas.verdict import Verdict
from interlayer.render import drawing, palette, text, wording
from interlayer.render.heat_map import in_tables
from interlayer.render.networks import Network, networks
from interlayer.render.sections import sections
from interlayer.render.verdict_section import verdict_section

_LONGEST_CHOICE = 40
_MARK = {"error": "✖", "warning": "▲", "info": "●"}


def to_html(report: Report, verdict: Verdict | None = None) -> str:
    """Return the report as a page that opens from disk, works offline and shows every name as text.

    What an audit has concluded of the report stands before its findings.
    """
    style, script = report_style(), report_script()
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Class separation by layer</title><style>{style}</style></head><body>"
        '<a class="skip" href="#findings">Skip to the findings</a>'
        f"<header>{_heading(report)}</header><main>{_main(report, verdict)}</main>"
        f"<script>{script}</script></body></html>\n"
    )


def report_style() -> str:
    """Return the style sheet of the page."""
    return drawing.asset("charts.css") + drawing.asset("page.css") + palette.rules()


def report_script() -> str:
    """Return the script of the page."""
    return drawing.asset("page.js")


def report_body(report: Report, verdict: Verdict | None = None) -> str:
    """Return the page without its frame, for a page that brings style sheet and script along."""
    return f"{_heading(report)}{_main(report, verdict)}"


def _heading(report: Report) -> str:
    return f'<h1>Class separation by layer</h1><p class="study">{escape(wording.summary(report))}</p>'


def _main(report: Report, verdict: Verdict | None) -> str:
    bodies = sections(report)
    judged = "" if verdict is None else verdict_section(verdict, bodies)
    links = "".join(f'<li><a href="#{section}">{escape(wording.SECTIONS[section].title)}</a>' for section in bodies)
    return (
        f"{judged}{_findings(report, bodies)}{_warnings(report)}"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><div id="chosen"></div>'
        f"{''.join(_section(section, body) for section, body in bodies.items())}"
        f'<script type="application/json" id="values">{_values(report)}</script>'
    )


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _findings(report: Report, bodies: Mapping[str, str]) -> str:
    items = []
    for finding in report.findings:
        shown = wording.shown_in(finding, bodies)
        link = f' <a href="#{shown}">{escape(wording.link_to(shown))}</a>' if shown else ""
        badge = f"{_MARK[finding.severity]} {wording.SEVERITY[finding.severity]}"
        items.append(
            f'<li><span class="badge {finding.severity}">{badge}</span>'
            f"<p>{escape(text.visible(finding.message))}{link}</p>"
        )
    body = f'<ol class="findings">{"".join(items)}</ol>' if items else "<p>No rule found anything worth a sentence.</p>"
    return f'<section id="findings"><h2>What was found</h2>{body}</section>'


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    items = "".join(
        f"<li>{escape(text.visible(warning.message))} <small>({escape(text.visible(warning.code))})</small>"
        for warning in report.warnings
    )
    return f'<section id="warnings" class="warnings"><h2>Before you trust a number</h2><ul>{items}</ul></section>'


def _section(section: str, body: str) -> str:
    told = wording.SECTIONS[section]
    how = (
        f'<p class="how"><strong>How to read this.</strong> {escape(told.how_to_read)}</p>' if told.how_to_read else ""
    )
    wide = "" if section in ("layers", "gap") else " wide"
    return f'<section id="{section}" class="figure{wide}"><h2>{escape(told.title)}</h2>{how}<div>{body}</div></section>'


def _values(report: Report) -> str:
    """Return what the script needs; a report too large to be printed pair by pair has no pairs to follow."""
    found = networks(report)
    values: dict[str, object] = {
        "names": [wording.network_name(network) for network in found],
        "classes": [text.shortened(name, _LONGEST_CHOICE) for name in report.classes],
        "layers": [text.shortened(name, _LONGEST_CHOICE) for name in report.layers],
        "pairs": [],
    }
    if found and in_tables(report):
        position = {name: index for index, name in enumerate(report.classes)}
        first = next(iter(found[0].series[0].layers.values())).pairs
        values["pairs"] = [
            sorted((position[a], position[b])) for a, b in zip(first.class_a, first.class_b, strict=True)
        ]
        values["networks"] = [_followed(network, report.layers, first) for network in found]
    # In a script element only "<" could end it or open a comment.
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _followed(network: Network, layers: Sequence[str], first: Pairs) -> list[dict[str, object]]:
    """Return every pair of each series in thousandths of separation; where it is drawn, the chart itself says."""
    return [
        {
            "state": series.state,
            "split": series.split,
            "values": [
                [round(1000 * value) for value in part.pairs.statistic]
                if (part := series.layers.get(layer)) and _same_pairs(part.pairs, first)
                else None
                for layer in layers
            ],
        }
        for series in network.series
    ]


def _same_pairs(pairs: Pairs, first: Pairs) -> bool:
    return (pairs.class_a, pairs.class_b) == (first.class_a, first.class_b)
