"""The paper's figures of one network state: class pairs as matrices, and their distribution layer by layer."""

import math
import statistics
from collections.abc import Sequence
from html import escape

from contract.schemas import Report, Separation, Split, State
from interlayer.render import drawing, palette, wording
from interlayer.render.drawing import Scale, coordinate
from interlayer.render.text import number, visible
from interlayer.reproduce.experiments import SPLITS

_NAMESPACE = "http://www.w3.org/2000/svg"
_MARGIN = 16
_HEADING = 64

_CELL = 15
_GAP = 34
_MATRICES_IN_A_ROW = 5
_LONGEST_LABEL = 2

_SLOT = 62
_AXIS = 36
_PLOT_HEIGHT = 300
_FOOT = 28
_HALF = 0.42  # of a slot, for the widest density
_STEPS = 80  # of a density curve
_CUT = 1.5  # bandwidths that it goes on past the last value


def pair_matrices(report: Report, instance: str, state: State) -> str:
    """Return one matrix for each layer: training data above the diagonal, validation data below, as SVG."""
    size = _CELL * len(report.classes)
    n_rows = math.ceil(len(report.layers) / _MATRICES_IN_A_ROW)
    width = 2 * _MARGIN + min(len(report.layers), _MATRICES_IN_A_ROW) * (size + _GAP)
    height = _HEADING + n_rows * (size + _GAP + 12) + _MARGIN
    parts = [_colour_scale(_MARGIN, 40)]
    for place, layer in enumerate(report.layers):
        row, column = divmod(place, _MATRICES_IN_A_ROW)
        left, top = _MARGIN + 18 + column * (size + _GAP), _HEADING + 30 + row * (size + _GAP + 12)
        found = {split: _separation(report, instance, state, split, layer) for split in SPLITS}
        parts.append(_matrix(report.classes, layer, found, left, top))
    title = f"Class pairs, {_named(instance, state)}: training above, validation below the diagonal"
    return _document(title, "".join(parts), width, height)


def _matrix(classes: Sequence[str], layer: str, found: dict[Split, Separation | None], left: float, top: float) -> str:
    means = ", ".join(number(part.mean, 2) for part in found.values() if part)
    parts = [drawing.label(f"{visible(layer)}  {means}", left, top - 16, "name")]
    position = {name: index for index, name in enumerate(classes)}
    if all(len(name) <= _LONGEST_LABEL for name in classes):
        for name, index in position.items():
            middle = (index + 0.5) * _CELL
            parts.append(drawing.label(visible(name), left + middle, top - 4, "name middle"))
            parts.append(drawing.label(visible(name), left - 4, top + middle + 4, "name end"))
    colours = [f"#{bytes(colour).hex()}" for colour in palette.colours()]
    for split, part in found.items():
        if part is None:
            continue
        pairs = part.pairs
        for a, b, value in zip(pairs.class_a, pairs.class_b, pairs.statistic, strict=True):
            row, column = sorted((position[a], position[b]), reverse=split == "validation")
            told = f"{visible(a)} – {visible(b)}, {wording.SPLIT[split]}: {number(value)}"
            parts.append(
                drawing.element(
                    "rect", f"<title>{escape(told)}</title>", x=left + column * _CELL, y=top + row * _CELL,
                    width=_CELL - 0.5, height=_CELL - 0.5, fill=colours[palette.level(value)],
                )
            )  # fmt: skip
    return drawing.element("g", "".join(parts))


def _colour_scale(left: float, top: float) -> str:
    parts = [drawing.label("0 mixed", left, top + 10, "key")]
    for step, colour in enumerate(palette.colours()):
        parts.append(
            drawing.element(
                "rect", x=left + 52 + 9 * step, y=top, width=9, height=12, fill=f"#{bytes(colour).hex()}"
            )
        )  # fmt: skip
    said = "1 apart; above each matrix the means on training and on validation data"
    parts.append(drawing.label(said, left + 60 + 9 * palette.N_LEVELS, top + 10, "key"))
    return "".join(parts)


def distributions(report: Report, instance: str, state: State) -> str:
    """Return every class pair of every layer as a dot beside the density of all, as SVG."""
    found = {
        (split, layer): part
        for split in SPLITS
        for layer in report.layers
        if (part := _separation(report, instance, state, split, layer))
    }
    low = min(-0.1, *(part.min for part in found.values())) - 0.02
    scale = Scale(low, 1.04, _HEADING + _PLOT_HEIGHT, _HEADING)
    left = _MARGIN + _AXIS
    right = left + _SLOT * len(report.layers)
    parts = [_key(_MARGIN, 44)]
    for value in drawing.ticks(low, 1.0):
        parts.append(drawing.horizontal(scale(value), left, right, "zero" if abs(value) < 1e-9 else "grid"))
        parts.append(drawing.label(number(value, 1), left - 8, scale(value) + 4, "tick end"))
    for place, layer in enumerate(report.layers):
        centre = left + _SLOT * (place + 0.5)
        parts.append(drawing.label(visible(layer), centre, _HEADING + _PLOT_HEIGHT + 20, "name middle"))
        parts += [_distribution(found[split, layer], centre, scale) for split in SPLITS if (split, layer) in found]
    title = f"Class separation, {_named(instance, state)}"
    return _document(title, "".join(parts), right + _MARGIN, _HEADING + _PLOT_HEIGHT + _FOOT + _MARGIN)


def _distribution(part: Separation, centre: float, scale: Scale) -> str:
    """Draw the dots and the density of one split: training left, validation right of the middle of the layer."""
    side = -1 if part.split == "train" else 1
    values = part.pairs.statistic
    curve = density(values)
    highest = max((height for _, height in curve), default=1.0)
    outline = [(centre + side * _HALF * _SLOT * height / highest, scale(value)) for value, height in curve]
    parts = []
    if outline:
        ends = [(centre, outline[0][1]), *outline, (centre, outline[-1][1])]
        path = "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in ends) + "Z"
        parts.append(drawing.element("path", d=path, class_="box"))
    # The golden ratio spreads neighbours in the list apart without a random number.
    dots = [
        (centre + side * _SLOT * (0.04 + 0.16 * (index * 0.618034 % 1)), scale(value))
        for index, value in enumerate(values)
    ]
    parts.append(drawing.dots(dots, "pair"))
    ends_of_mean = sorted((centre, centre + side * _HALF * _SLOT))
    parts.append(drawing.horizontal(scale(part.mean), ends_of_mean[0], ends_of_mean[1], "means"))
    return drawing.element("g", "".join(parts), class_=part.split)


def density(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return points (value, density) of a Gaussian kernel estimate with Silverman's bandwidth; none without spread."""
    if len(values) < 2:
        return []
    sd = statistics.stdev(values)
    quarters = statistics.quantiles(values, n=4, method="inclusive")
    spread = min(sd, (quarters[2] - quarters[0]) / 1.34) or sd
    if spread < 1e-9:
        return []
    width = 0.9 * spread * len(values) ** -0.2
    start, end = min(values) - _CUT * width, max(values) + _CUT * width
    norm = 1 / (len(values) * width * math.sqrt(2 * math.pi))
    curve = []
    for step in range(_STEPS + 1):
        x = start + (end - start) * step / _STEPS
        curve.append((x, norm * sum(math.exp(-(((x - value) / width) ** 2) / 2) for value in values)))
    return curve


def _key(left: float, y: float) -> str:
    parts = []
    for place, split in enumerate(SPLITS):
        x = left + 130 * place
        mark = drawing.dots([(x + 6, y)], "pair") + drawing.horizontal(y, x, x + 12, "means")
        parts.append(drawing.element("g", mark, class_=split))
        parts.append(drawing.label(f"{wording.SPLIT[split]} data", x + 18, y + 4, "key"))
    return "".join(parts) + drawing.label("dot: a class pair, line: their mean", left + 270, y + 4, "key")


def _separation(report: Report, instance: str, state: State, split: Split, layer: str) -> Separation | None:
    wanted = (instance, state, split, layer)
    return next((p for p in report.separations if (p.instance, p.state, p.split, p.layer) == wanted), None)


def _named(instance: str, state: State) -> str:
    return f"{wording.STATE[state].lower()} network, instance {visible(instance)}"


def _document(title: str, content: str, width: float, height: float) -> str:
    style = drawing.element("style", drawing.asset("charts.css"))
    paper = drawing.element("rect", width=width, height=height, class_="paper", rx=8)
    head = drawing.label(title, _MARGIN, 24, "heading")
    return drawing.element(
        "svg", drawing.element("title", escape(title)) + style + paper + head + content, xmlns=_NAMESPACE, width=width,
        height=height, viewBox=f"0 0 {coordinate(width)} {coordinate(height)}", role="img",
    )  # fmt: skip
