"""One chart as a picture of its own, or as a figure of the page."""

from html import escape
from typing import Literal

from contract.schemas import Report
from interlayer.render import drawing, wording
from interlayer.render.drawing import Chart
from interlayer.render.gap_chart import gap_chart
from interlayer.render.layers_chart import layers_chart, shows_dots
from interlayer.render.networks import SPLITS, Network, networks

ChartName = Literal["layers", "gap"]

_NAMESPACE = "http://www.w3.org/2000/svg"
_TITLE_HEIGHT = 84
_LEAST_WIDTH = 620  # of the words above the chart
_MARGIN = 14


def to_svg(report: Report, chart: ChartName = "layers", *, network: int = 0) -> str:
    """Return one chart of one network as a standalone SVG that follows the reader's light or dark setting."""
    found = networks(report)
    if not 0 <= network < len(found):
        raise ValueError(f"`network` is {network}; the report has {len(found)}")
    drawn = {"layers": layers_chart, "gap": gap_chart}[chart](found[network], report.layers)
    if drawn is None:
        raise ValueError(f"the report has nothing to draw in `{chart}`: it needs training and validation data")
    width = max(_LEAST_WIDTH, drawn.axis_width + drawn.plot_width + 2 * _MARGIN)
    height = drawn.height + _TITLE_HEIGHT + _MARGIN
    head = drawing.label(drawn.name, _MARGIN, 26, "heading") + _key_line(found[network], chart)
    axis = drawing.element("g", drawn.axis, transform=f"translate({_MARGIN} {_TITLE_HEIGHT})")
    plot = drawing.element("g", drawn.plot, transform=f"translate({_MARGIN + drawn.axis_width} {_TITLE_HEIGHT})")
    style = drawing.element("style", drawing.asset("charts.css"))
    paper = drawing.element("rect", width=width, height=height, class_="paper", rx=8)
    told = drawing.element("title", escape(drawn.name)) + drawing.element("desc", escape(drawn.description))
    return drawing.element(
        "svg", told + style + paper + head + axis + plot, xmlns=_NAMESPACE, width=width, height=height,
        viewBox=f"0 0 {width} {height}", role="img",
    )  # fmt: skip


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


def key(network: Network, chart: ChartName) -> str:
    """Return what the colours and marks mean."""
    items = [
        drawing.element("svg", _mark(class_, 0, 8), width=26, height=16, aria_hidden="true") + escape(said)
        for class_, said in _entries(network, chart)
    ]
    if chart == "layers":
        items += [wording.PAIR_MARK[shows_dots(network)], "box: the middle half and the median"]
    return f'<p class="key">{"".join(f"<span>{item}</span>" for item in items)}</p>'


def _key_line(network: Network, chart: ChartName) -> str:
    parts, x = [], float(_MARGIN)
    for class_, said in _entries(network, chart):
        parts.append(_mark(class_, x, 46) + drawing.label(said, x + 33, 50, "key"))
        x += 50 + 6.6 * len(said)
    if chart == "layers":
        said = f"{wording.PAIR_MARK[shows_dots(network)]}, 0 mixed to 1 apart"
        parts.append(drawing.label(said, x + 4, 50, "key"))
    first = next(iter(network.series[0].layers.values()))
    bar = f"bar through a mark: {wording.interval_of(first)}"
    parts.append(drawing.label(f"{wording.sample_size(first)}; {bar}", _MARGIN, 72, "key"))
    return "".join(parts)


def _entries(network: Network, chart: ChartName) -> list[tuple[str, str]]:
    """Return the class of every line of a chart and what the line shows."""
    if chart == "gap":
        return [(f"gap {state}", f"{wording.STATE[state].lower()} network") for state in network.states]
    splits = [split for split in SPLITS if any(series.split == split for series in network.series)]
    return [(split, f"{wording.SPLIT[split]} data") for split in splits]


def _mark(class_: str, x: float, y: float) -> str:
    line = drawing.horizontal(y, x, x + 26, "means")
    return drawing.element("g", line + drawing.element("circle", cx=x + 13, cy=y, r=3.8, class_="mean"), class_=class_)
