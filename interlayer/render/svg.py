"""Every chart of a report as a standalone SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, get_args

from contract.schemas import Report
from interlayer.render import drawing, wording
from interlayer.render.drawing import Chart
from interlayer.render.figure import Keyed, entries, mark
from interlayer.render.gap_chart import gap_chart
from interlayer.render.layers_chart import layers_chart, pair_style
from interlayer.render.networks import SPLITS, Network, networks
from interlayer.render.pairs_chart import pairs_chart
from interlayer.render.scatter_chart import scatter_chart
from interlayer.render.training_chart import courses, training_chart

ChartName = Literal["layers", "gap", "pairs", "scatter", "training"]
CHART_NAMES: tuple[ChartName, ...] = get_args(ChartName)

_NAMESPACE = "http://www.w3.org/2000/svg"
_TITLE_HEIGHT = 84
_LEAST_WIDTH = 620  # of the words above the chart
_MARGIN = 14
_NEEDS = {
    "layers": "it needs a layer",
    "gap": "it needs training and validation data",
    "pairs": "it needs a layer",
    "scatter": "it needs training and validation data of the same class pairs, 200 at most",
    "training": "it needs several training steps",
}


@dataclass(frozen=True)
class Picture:
    """A chart that a report has: its name, and which network it shows."""

    name: ChartName
    network: int


def pictures(report: Report) -> Iterator[Picture]:
    """Return every chart that the report has something for."""
    for index, network in enumerate(networks(report)):
        for name in CHART_NAMES:
            if _drawn(report, name, network, None) is not None:
                yield Picture(name, index)


def to_svg(report: Report, chart: ChartName = "layers", *, network: int = 0, layer: str | None = None) -> str:
    """Return one chart of one network as a standalone SVG that follows the reader's light or dark setting.

    `layer` is for the charts that show one layer (`pairs`, `scatter`, `training`), the last one by default.

    Raises
    ------
    ValueError
        Where the report has no such network or layer, or nothing to draw.
    """
    found = networks(report)
    if not 0 <= network < len(found):
        raise ValueError(f"`network` is {network}; the report has {len(found)}")
    if layer is not None and layer not in report.layers:
        raise ValueError(f"the report has no layer {layer!r}")
    drawn = _drawn(report, chart, found[network], layer)
    if drawn is None:
        raise ValueError(f"the report has nothing to draw in `{chart}`: {_NEEDS[chart]}")
    return _standalone(drawn, _lines(found[network], report.layers, chart))


def _drawn(report: Report, chart: ChartName, network: Network, layer: str | None) -> Chart | None:
    if not report.layers:
        return None
    layer = layer or report.layers[-1]
    state = network.states[0]
    train, validation = (series.layers.get(layer) if (series := network.of(state, split)) else None for split in SPLITS)
    match chart:
        case "layers":
            return layers_chart(network, report.layers)
        case "gap":
            return gap_chart(network, report.layers)
        case "pairs":
            return pairs_chart(state, layer, report.classes, train, validation) if train or validation else None
        case "scatter":
            return scatter_chart(state, layer, train, validation)
        case "training":
            course = next((found for found in courses(report) if found.instance == network.instance), None)
            return None if course is None else training_chart(course, layer)


def _lines(network: Network, layers: Sequence[str], chart: ChartName) -> list[str]:
    """Return what stands below the title: the marks as markup, then sentences."""
    first = next(iter(network.series[0].layers.values()))
    n = f"{wording.network_name(network)}: {wording.sample_size(first)}"
    if chart in ("layers", "gap"):
        keyed: Keyed = "layers" if chart == "layers" else "gap"
        return [_marks(network, layers, keyed), f"{n}; bar through a mark: {wording.interval_of(first)}"]
    told = {
        "pairs": "Training data above the diagonal, validation data below; dark: 0, mixed; bright: 1, apart",
        "scatter": "Dot: a pair of classes; circle: the means with their intervals; dashed: equal",
        "training": "Orange: training data, blue: validation data; bar through a mark: interval",
    }[chart]
    return [told, n]


def _marks(network: Network, layers: Sequence[str], chart: Keyed) -> str:
    parts, x = [], float(_MARGIN)
    for class_, said in entries(network, chart):
        parts.append(mark(class_, x, 46) + drawing.label(said, x + 33, 50, "key"))
        x += 50 + 6.6 * len(said)
    if chart == "layers":
        said = f"{wording.PAIR_MARKS[pair_style(network, layers)][0]}, 0 mixed to 1 apart"
        parts.append(drawing.label(said, x + 4, 50, "key"))
    return "".join(parts)


def _standalone(drawn: Chart, lines: Sequence[str]) -> str:
    told = max((len(line) for line in lines if not line.startswith("<")), default=0)
    width = max(_LEAST_WIDTH, drawn.axis_width + drawn.plot_width + 2 * _MARGIN, round(6.4 * told) + 2 * _MARGIN)
    below = [
        line if line.startswith("<") else drawing.label(line, _MARGIN, 50 + 22 * index, "key")
        for index, line in enumerate(lines)
    ]
    top = _TITLE_HEIGHT + 22 * max(0, len(lines) - 2)
    height = drawn.height + top + _MARGIN
    head = drawing.label(drawn.name, _MARGIN, 26, "heading") + "".join(below)
    axis = drawing.element("g", drawn.axis, transform=f"translate({_MARGIN} {top})")
    plot = drawing.element("g", drawn.plot, transform=f"translate({_MARGIN + drawn.axis_width} {top})")
    style = drawing.element("style", drawing.asset("charts.css"))
    paper = drawing.element("rect", width=width, height=height, class_="paper", rx=8)
    words = drawing.element("title", escape(drawn.name)) + drawing.element("desc", escape(drawn.description))
    return drawing.element(
        "svg", words + style + paper + head + axis + plot, xmlns=_NAMESPACE, width=width, height=height,
        viewBox=f"0 0 {width} {height}", role="img",
    )  # fmt: skip
