"""Two reports together: the boxes of the one behind those of the other, and the difference at every layer."""

from collections.abc import Sequence
from html import escape

from contract.schemas import Report
from contract.schemas.comparison import Comparison, LayerChange, ReportDifference
from interlayer.render import drawing, text, wording
from interlayer.render.contrast_table import missing
from interlayer.render.data_table import data_table, folded, name
from interlayer.render.figure import key, layers_figure
from interlayer.render.networks import Network, networks

HOW_TO_READ = (
    "Grey boxes with dashed lines are the base, coloured ones the candidate; each box holds the middle half of the "
    "class pairs. Where a coloured box leaves its grey twin, that layer separates the classes differently now."
)


def comparison_body(base: Report, candidate: Report, comparison: Comparison) -> str:
    """Return what changed in sentences, then chart and table of every network that both reports have, as markup."""
    said = _said(comparison)
    twins = pairs_of_networks(base, candidate)
    if any(difference.decisive for difference in comparison.differences):
        return said  # numbers that do not compare are not laid over each other
    if not twins:
        return said + "<p>The two reports have no network, state and split in common: there is nothing to lay over.</p>"
    layers = layers_of_both(base, candidate)
    parts = []
    for before, after in twins:
        title = f"<h3>{escape(wording.network_name(after))}</h3>" if len(twins) > 1 else ""
        chart = layers_figure(after, layers, before)
        parts.append(title + _key(after, layers) + chart + _table(after, comparison.changes))
    return said + "".join(parts)


def _said(comparison: Comparison) -> str:
    """Say what keeps the reports apart, and where they differ."""
    items = [("warning", sentence) for sentence in map(_apart, comparison.differences)]
    if comparison.changes:
        found = [change for change in comparison.changes if text.significance(change.p_adjusted)]
        tested = sum(change.p_adjusted is not None for change in comparison.changes)
        n = text.count(tested, "tested layer mean")
        items.append(("info", f"{len(found) or 'None'} of {n} changed (adjusted p < 0.05)."))
        drop, gain = min(found, key=_difference, default=None), max(found, key=_difference, default=None)
        if drop is not None and drop.difference < 0:
            items.append(("warning", f"The largest drop is {_change(drop)}."))
        if gain is not None and gain.difference > 0:
            items.append(("info", f"The largest gain is {_change(gain)}."))
    mark = {"warning": "▲ Notable", "info": "● Found"}
    listed = "".join(
        f'<li><span class="badge {severity}">{mark[severity]}</span><p>{escape(text.visible(sentence))}</p>'
        for severity, sentence in items
    )
    return f'<ol class="findings">{listed}</ol>' if listed else ""


def _apart(difference: ReportDifference) -> str:
    before, after = difference.base or "none", difference.candidate or "none"
    end = " Their numbers do not compare." if difference.decisive else ""
    return f"The reports differ in {difference.field}: {before} in the base, {after} in the candidate.{end}"


def _change(change: LayerChange) -> str:
    where = f"{wording.STATE[change.state].lower()} network, {wording.SPLIT[change.split]} data"
    levels = f"{text.number(change.base)} → {text.number(change.candidate)}"
    return f"{text.signed(change.difference)} at {change.layer} ({where}): {levels}"


def _difference(change: LayerChange) -> float:
    return change.difference


def pairs_of_networks(base: Report, candidate: Report) -> list[tuple[Network, Network]]:
    """Return base and candidate network of the same name; where each has one alone, they belong together."""
    before, after = networks(base), networks(candidate)
    if len(before) == len(after) == 1:
        found = [(before[0], after[0])]
    else:
        by_name = {(network.instance, network.step): network for network in before}
        found = [(twin, network) for network in after if (twin := by_name.get((network.instance, network.step)))]
    return [(one, other) for one, other in found if any(one.of(part.state, part.split) for part in other.series)]


def layers_of_both(base: Report, candidate: Report) -> list[str]:
    """Return the layers of the candidate in forward order, then those that only the base has."""
    return list(dict.fromkeys((*candidate.layers, *base.layers)))


def _key(network: Network, layers: Sequence[str]) -> str:
    ghost = drawing.element(
        "svg",
        drawing.element("g", drawing.element("rect", x=2, y=3, width=22, height=10, class_="box"), class_="ghost"),
        width=26,
        height=16,
        aria_hidden="true",
    )
    return key(network, layers, "layers").replace('<p class="key">', f'<p class="key"><span>{ghost}base</span>', 1)


def _table(network: Network, changes: Sequence[LayerChange]) -> str:
    own = [change for change in changes if (change.instance, change.step) == (network.instance, network.step)]
    rows = [
        [
            name(change.layer), wording.STATE[change.state].lower(), wording.SPLIT[change.split],
            text.number(change.base), text.number(change.candidate), text.signed(change.difference),
            text.interval(change.interval.low, change.interval.high),
            escape(text.p_values(change.p_value, change.p_adjusted)), text.significance(change.p_adjusted),
        ]
        for change in own
    ]  # fmt: skip
    method = wording.method("subsample").heading
    level = f"{own[0].interval.level:.0%} interval" if own else "interval"
    heads = [
        "layer",
        "network",
        "data",
        "base",
        "candidate",
        "Δ",
        level,
        f"p\N{NO-BREAK SPACE}(adjusted), {method}",
        "",
    ]
    table = data_table("Mean separation at every layer, base and candidate", heads, rows, names=3)
    reasons = dict.fromkeys(change.reason for change in own if change.reason)
    return folded("These numbers as a table", table + missing(reasons)) + (
        "<p class=muted>A change is tested as if the two networks saw different samples; where they saw the same ones, "
        "the test errs on the safe side.</p>"
    )
