"""Two reports together: the boxes of the one behind those of the other, and the difference at every layer."""

from collections.abc import Sequence
from html import escape

from contract.schemas import Report, Separation, Split, State
from interlayer.render import drawing, text, wording
from interlayer.render.data_table import data_table, folded, name
from interlayer.render.figure import figure, key
from interlayer.render.layers_chart import layers_chart
from interlayer.render.networks import SPLITS, STATES, Network, networks

HOW_TO_READ = (
    "Grey boxes with dashed lines are the base, coloured ones the candidate; each box holds the middle half of the "
    "class pairs. Where a coloured box leaves its grey twin, that layer separates the classes differently now."
)


def comparison_body(base: Report, candidate: Report) -> str:
    """Return chart and table of every network that both reports have, as markup."""
    twins = pairs_of_networks(base, candidate)
    if not twins:
        return "<p>The two reports have no network, state and split in common, so there is nothing to lay over.</p>"
    layers = layers_of_both(base, candidate)
    parts = []
    for before, after in twins:
        title = f"<h3>{escape(wording.network_name(after))}</h3>" if len(twins) > 1 else ""
        chart = figure(layers_chart(after, layers, before), "layers")
        parts.append(title + _key(after) + chart + _table(before, after, layers))
    return "".join(parts)


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


def _key(network: Network) -> str:
    ghost = drawing.element(
        "svg",
        drawing.element("g", drawing.element("rect", x=2, y=3, width=22, height=10, class_="box"), class_="ghost"),
        width=26,
        height=16,
        aria_hidden="true",
    )
    return key(network, "layers").replace('<p class="key">', f'<p class="key"><span>{ghost}base</span>', 1)


def _table(before: Network, after: Network, layers: Sequence[str]) -> str:
    rows = [
        [
            name(layer), wording.STATE[state].lower(), wording.SPLIT[split], *_cells(*both),
        ]
        for state in STATES
        for split in SPLITS
        for layer in layers
        if (both := _both(before, after, state, split, layer))
    ]  # fmt: skip
    heads = ["layer", "network", "data", "base", "candidate", "Δ", "base interval", "candidate interval"]
    label = "Mean separation at every layer, base and candidate"
    return folded("These numbers as a table", data_table(label, heads, rows, names=3))


def _both(
    before: Network, after: Network, state: State, split: Split, layer: str
) -> tuple[Separation | None, Separation | None] | None:
    one, other = before.of(state, split), after.of(state, split)
    found = (one.layers.get(layer) if one else None, other.layers.get(layer) if other else None)
    return found if any(found) else None


def _cells(one: Separation | None, other: Separation | None) -> list[str]:
    difference = other.mean - one.mean if one and other else None
    bounds = [part.interval if part else None for part in (one, other)]
    return [
        text.number(one.mean if one else None),
        text.number(other.mean if other else None),
        text.signed(difference),
        *(text.interval(known.low, known.high) if known else text.MISSING for known in bounds),
    ]
