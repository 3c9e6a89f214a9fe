"""A chart as a figure of the page, and what its colours and marks mean."""

from collections.abc import Sequence
from html import escape
from typing import Literal

from contract.schemas import Split
from interlayer.render import drawing, wording
from interlayer.render.drawing import Chart
from interlayer.render.layer_places import NARROW, ROOMY
from interlayer.render.layers_chart import layers_chart, pair_style
from interlayer.render.networks import SPLITS, Network

Keyed = Literal["layers", "gap"]


def figure(kind: str, chart: Chart, narrow: Chart | None = None) -> str:
    """Return a chart as a figure that shrinks with its place, and on a phone gives way to its `narrow` twin."""
    if narrow is None:
        return f'<div class="chart">{_picture(kind, chart)}</div>'
    both = (("on-screen", chart), ("on-phone", narrow))
    return "".join(f'<div class="chart {where}">{_picture(kind, drawn)}</div>' for where, drawn in both)


def layers_figure(network: Network, layers: Sequence[str], ghost: Network | None = None) -> str:
    """Return the main picture as a figure."""
    return figure("layers", *(layers_chart(network, layers, ghost, room=room) for room in (ROOMY, NARROW)))


def _picture(kind: str, chart: Chart) -> str:
    told = f"{chart.name}. {chart.description}"
    width = chart.axis_width + chart.plot_width
    places = {"data_places": chart.places} if chart.places else {}
    plot = drawing.element("g", chart.plot, transform=f"translate({chart.axis_width} 0)", class_="plot", **places)
    return drawing.element(
        "svg", chart.axis + plot, class_=kind, width=width, height=chart.height, viewBox=f"0 0 {width} {chart.height}",
        role="img", aria_label=told,
    )  # fmt: skip


def key(network: Network, layers: Sequence[str], chart: Keyed) -> str:
    """Return what the colours and marks mean."""
    items = [f"<span>{_sample(class_)}{escape(said)}</span>" for class_, said in entries(network, chart)]
    if chart == "layers":
        roomy, narrow = (wording.PAIR_MARKS[pair_style(network, layers, room)] for room in (ROOMY, NARROW))
        if roomy == narrow:
            items += [f"<span>{said}</span>" for said in roomy]
        else:
            items += [f'<span class="on-screen">{said}</span>' for said in roomy]
            items += [f'<span class="on-phone">{said}</span>' for said in narrow]
    return f'<p class="key">{"".join(items)}</p>'


def split_key(splits: Sequence[Split]) -> str:
    """Return what the two colours of data mean."""
    items = [f"{_sample(split)}{wording.SPLIT[split]} data" for split in splits]
    return f'<p class="key">{"".join(f"<span>{item}</span>" for item in (*items, "bar through a mark: interval"))}</p>'


def entries(network: Network, chart: Keyed) -> list[tuple[str, str]]:
    """Return the class of every line of a chart and what the line shows."""
    if chart == "gap":
        return [(f"gap {state}", f"{wording.STATE[state].lower()} network") for state in network.states]
    splits = [split for split in SPLITS if any(series.split == split for series in network.series)]
    return [(split, f"{wording.SPLIT[split]} data") for split in splits]


def _sample(class_: str) -> str:
    return drawing.element("svg", mark(class_, 0, 8), width=26, height=16, aria_hidden="true")


def mark(class_: str, x: float, y: float) -> str:
    """Draw a piece of a line with a mark on it."""
    line = drawing.horizontal(y, x, x + 26, "means")
    return drawing.element("g", line + drawing.element("circle", cx=x + 13, cy=y, r=3.8, class_="mean"), class_=class_)
