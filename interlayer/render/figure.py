"""A chart as a figure of the page, and what its colours and marks mean."""

from collections.abc import Sequence
from html import escape
from typing import Literal

from contract.schemas import Split
from interlayer.render import drawing, wording
from interlayer.render.drawing import Chart
from interlayer.render.layers_chart import shows_dots
from interlayer.render.networks import SPLITS, Network

Keyed = Literal["layers", "gap"]


def figure(chart: Chart, kind: str) -> str:
    """Return a chart as a figure whose plot scrolls beside its axis."""
    told = escape(f"{chart.name}. {chart.description}")
    size = f'height="{chart.height}"'
    return (
        f'<div class="chart"><svg width="{chart.axis_width}" {size} aria-hidden="true">{chart.axis}</svg>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(chart.name)}: chart">'
        f'<svg class="{kind}" width="{chart.plot_width}" {size} role="img" aria-label="{told}">{chart.plot}</svg>'
        "</div></div>"
    )


def key(network: Network, chart: Keyed) -> str:
    """Return what the colours and marks mean."""
    items = [
        drawing.element("svg", mark(class_, 0, 8), width=26, height=16, aria_hidden="true") + escape(said)
        for class_, said in entries(network, chart)
    ]
    if chart == "layers":
        items += [wording.PAIR_MARK[shows_dots(network)], "box: the middle half and the median"]
    return f'<p class="key">{"".join(f"<span>{item}</span>" for item in items)}</p>'


def split_key(splits: Sequence[Split]) -> str:
    """Return what the two colours of data mean."""
    items = [
        drawing.element("svg", mark(split, 0, 8), width=26, height=16, aria_hidden="true")
        + f"{wording.SPLIT[split]} data"
        for split in splits
    ]
    return f'<p class="key">{"".join(f"<span>{item}</span>" for item in (*items, "bar through a mark: interval"))}</p>'


def entries(network: Network, chart: Keyed) -> list[tuple[str, str]]:
    """Return the class of every line of a chart and what the line shows."""
    if chart == "gap":
        return [(f"gap {state}", f"{wording.STATE[state].lower()} network") for state in network.states]
    splits = [split for split in SPLITS if any(series.split == split for series in network.series)]
    return [(split, f"{wording.SPLIT[split]} data") for split in splits]


def mark(class_: str, x: float, y: float) -> str:
    """Draw a piece of a line with a mark on it."""
    line = drawing.horizontal(y, x, x + 26, "means")
    return drawing.element("g", line + drawing.element("circle", cx=x + 13, cy=y, r=3.8, class_="mean"), class_=class_)
