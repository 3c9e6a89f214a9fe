"""The main picture: the separation of every class pair at every layer, as dots and a box, with the mean's interval."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from contract.schemas import Separation, Split, State
from interlayer.render import drawing, text, wording
from interlayer.render.drawing import Chart, Scale, coordinate
from interlayer.render.networks import SPLITS, Network, Series

AXIS_WIDTH = 44
_PANEL_HEIGHT = 240
_SECOND_PANEL_HEIGHT = 160
_PANEL_HEADING = 30
_FLAT_FOOT = 26
_PLOT_WIDTH = 810  # of up to 15 layers: with axis and margins it fits a window of 1000
_WIDEST_SLOT = 96
_SLOT_WIDTHS = ((15, 54), (20, 48), (40, 38), (80, 26))  # layers up to → width of a layer
_NARROWEST_SLOT = 18  # of more layers
_FLAT_NAME = 9
_LONGEST_NAME = 20
_CHARACTER = 6.0  # width of one at the size of the names
_SLOPE = math.radians(50)
_MOST_DOTS = 200  # of one layer; above it dots merge into a blot, and box and whiskers say more


@dataclass(frozen=True)
class Geometry:
    """Where things are: shared by the picture and the script that follows one pair through it."""

    centres: tuple[float, ...]
    slot: float
    panels: Mapping[State, Scale]
    height: int
    foot: float

    @property
    def width(self) -> int:
        """Width of the plot."""
        return round(self.centres[-1] + self.slot / 2 + 8) if self.centres else 0

    def offset(self, split: Split, both: bool) -> float:
        """Return how far a split stands from the middle of its layer."""
        if not both:
            return 0.0
        return self.slot * (-0.21 if split == "train" else 0.21)


def geometry(network: Network, layers: Sequence[str], ghost: Network | None = None) -> Geometry:
    """Lay out the panels, one for each state, above the names of the layers."""
    slot = _slot(len(layers))
    inset = _inset(layers, slot)
    centres = tuple(inset + slot * (index + 0.5) for index in range(len(layers)))
    drawn = [*network.series, *(ghost.series if ghost else ())]
    low = min((part.min for series in drawn for part in series.layers.values()), default=0.0)
    low = min(-0.1, low - 0.02)
    panels, top = {}, 0
    for state in network.states:
        bottom = top + _PANEL_HEADING + (_PANEL_HEIGHT if state == network.states[0] else _SECOND_PANEL_HEIGHT)
        panels[state] = Scale(low, 1.02, bottom, top + _PANEL_HEADING)
        top = bottom
    return Geometry(centres, slot, panels, top + foot_height(layers, slot), top)


def layers_chart(network: Network, layers: Sequence[str], ghost: Network | None = None) -> Chart:
    """Draw the distribution of class separation at every layer, one panel for each state; `ghost` stands behind it."""
    place = geometry(network, layers, ghost)
    axis, plot = [], []
    for state, scale in place.panels.items():
        axis.append(_axis(scale))
        plot.append(_panel(network, state, layers, place, ghost))
    plot.append(layer_names(layers, place.centres, place.slot, place.foot))
    return Chart(
        name=wording.SECTIONS["layers"].title,
        description=_description(network, layers),
        axis="".join(axis),
        plot="".join(plot),
        axis_width=AXIS_WIDTH,
        plot_width=place.width,
        height=place.height,
    )


def layer_names(layers: Sequence[str], centres: Sequence[float], slot: float, top: float) -> str:
    """Draw the names below a plot, slanted where they would not fit side by side."""
    parts = []
    for layer, x in zip(layers, centres, strict=True):
        if _is_flat(layers, slot):
            parts.append(drawing.label(text.visible(layer), x, top + 18, "name middle"))
        else:
            name = text.shortened(layer, _LONGEST_NAME)
            turned = f"rotate(-{coordinate(math.degrees(_SLOPE))} {coordinate(x + 3)} {coordinate(top + 14)})"
            parts.append(drawing.label(name, x + 3, top + 14, "name end", transform=turned))
    return "".join(parts)


def foot_height(layers: Sequence[str], slot: float) -> int:
    """Return the room that the names take."""
    if _is_flat(layers, slot):
        return _FLAT_FOOT
    return round(24 + math.sin(_SLOPE) * max(map(_name_width, layers)))


def shows_dots(network: Network) -> bool:
    """Whether every pair has a dot, or whiskers stand for all of them."""
    first = next(iter(network.series[0].layers.values()))
    layers = max(len(series.layers) for series in network.series)
    return 0 < len(first.pairs.statistic) <= _MOST_DOTS and _slot(layers) > _NARROWEST_SLOT


def _slot(n_layers: int) -> float:
    narrowest = next((width for most, width in _SLOT_WIDTHS if n_layers <= most), _NARROWEST_SLOT)
    return max(narrowest, min(_WIDEST_SLOT, _PLOT_WIDTH // max(1, n_layers)))


def _inset(layers: Sequence[str], slot: float) -> float:
    """Return the room before the first layer, so that no slanted name is cut."""
    if _is_flat(layers, slot):
        return 8.0
    reach = (math.cos(_SLOPE) * _name_width(layer) - slot * (index + 0.5) for index, layer in enumerate(layers))
    return max(8.0, *reach)


def _name_width(layer: str) -> float:
    return _CHARACTER * len(text.shortened(layer, _LONGEST_NAME))


def _is_flat(layers: Sequence[str], slot: float) -> bool:
    return slot >= _SLOT_WIDTHS[0][1] and all(len(text.visible(layer)) <= _FLAT_NAME for layer in layers)


def _axis(scale: Scale) -> str:
    parts = [
        drawing.label(text.number(value, 1), AXIS_WIDTH - 8, scale(value) + 4, "tick end")
        for value in drawing.ticks(scale.low, 1.0)
    ]
    return "".join(parts)


def _panel(network: Network, state: State, layers: Sequence[str], place: Geometry, ghost: Network | None) -> str:
    scale = place.panels[state]
    series = [found for split in SPLITS if (found := network.of(state, split))]
    parts = [
        drawing.horizontal(scale(value), 0, place.width, "zero" if abs(value) < 1e-9 else "grid")
        for value in drawing.ticks(scale.low, 1.0)
    ]
    parts.append(drawing.label(f"{wording.STATE[state]} network", 2, scale.end - 12, "panel"))
    dotted = shows_dots(network)
    for part in series:
        shift = place.offset(part.split, len(series) == 2)
        if ghost and (before := ghost.of(state, part.split)):
            parts.append(_ghost(before, layers, [x + shift for x in place.centres], place.slot, scale))
        parts.append(_series(part, layers, [x + shift for x in place.centres], place.slot, scale, dotted))
    for index, layer in enumerate(layers):
        told = _told(layer, [(part, part.layers.get(layer)) for part in series])
        parts.append(
            drawing.element(
                "rect", f"<title>{escape(told)}</title>", x=place.centres[index] - place.slot / 2, y=scale.end,
                width=place.slot, height=scale.start - scale.end, class_="slot",
            )
        )  # fmt: skip
    return "".join(parts)


def _series(
    part: Series, layers: Sequence[str], centres: Sequence[float], slot: float, scale: Scale, dotted: bool
) -> str:
    marks, means = [], []
    for layer, x in zip(layers, centres, strict=True):
        separation = part.layers.get(layer)
        if separation is None:
            continue
        marks.append(_distribution(separation, x, slot, scale, dotted))
        means.append((x, scale(separation.mean), separation))
    line = drawing.polyline([(x, y) for x, y, _ in means], "means")
    points = "".join(_mean(separation, x, y, slot, scale) for x, y, separation in means)
    return drawing.element("g", "".join(marks) + line + points, class_=part.split)


def _ghost(part: Series, layers: Sequence[str], centres: Sequence[float], slot: float, scale: Scale) -> str:
    """Draw the boxes and means of what is compared with, without colour of their own."""
    marks, means = [], []
    half = slot * 0.2
    for layer, x in zip(layers, centres, strict=True):
        separation = part.layers.get(layer)
        if separation is None:
            continue
        low, _, high = _box(separation) or (separation.min, separation.mean, separation.max)
        height = max(0.6, scale(low) - scale(high))
        marks.append(drawing.element("rect", x=x - half, y=scale(high), width=2 * half, height=height, class_="box"))
        means.append((x, scale(separation.mean)))
    ticks = "".join(drawing.horizontal(y, x - half, x + half, "mean") for x, y in means)
    return drawing.element("g", "".join(marks) + drawing.polyline(means, "means") + ticks, class_="ghost")


def _distribution(separation: Separation, x: float, slot: float, scale: Scale, dotted: bool) -> str:
    values = separation.pairs.statistic
    half = slot * 0.15
    parts = []
    if dotted:
        # The golden ratio spreads neighbours in the list apart without a random number.
        parts.append(
            drawing.dots(
                [(x + half * (2 * (index * 0.618034 % 1) - 1), scale(value)) for index, value in enumerate(values)],
                "pair",
            )
        )
    else:
        parts.append(drawing.vertical(x, scale(separation.min), scale(separation.max), "whisker"))
    if box := _box(separation):
        low, middle, high = box
        parts.append(
            drawing.element(
                "rect",
                x=x - half,
                y=scale(high),
                width=2 * half,
                height=max(0.6, scale(low) - scale(high)),
                class_="box",
            )
        )
        parts.append(drawing.horizontal(scale(middle), x - half, x + half, "median"))
    return "".join(parts)


def _box(separation: Separation) -> tuple[float, float, float] | None:
    """Return the quartiles; of a layer whose pairs are not at hand, those that it was sent with."""
    values = separation.pairs.statistic
    if len(values) >= 4:
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return low, middle, high
    known = separation.quantiles
    return (
        (known["0.25"], known["0.5"], known["0.75"]) if not values and {"0.25", "0.5", "0.75"} <= set(known) else None
    )


def _mean(separation: Separation, x: float, y: float, slot: float, scale: Scale) -> str:
    bounds = separation.interval
    bar = ""
    if bounds.low is not None and bounds.high is not None:
        bar = drawing.vertical(x, scale(bounds.low), scale(bounds.high), "interval")
    return bar + drawing.element("circle", cx=x, cy=y, r=3.4 if slot > 30 else 2.4, class_="mean")


def _told(layer: str, series: Sequence[tuple[Series, Separation | None]]) -> str:
    lines = [text.visible(layer)]
    for part, separation in series:
        if separation is None:
            continue
        bounds = text.interval(separation.interval.low, separation.interval.high)
        lines.append(
            f"{wording.SPLIT[part.split]}: mean {text.number(separation.mean)} {bounds}, "
            f"pairs {text.number(separation.min)} to {text.number(separation.max)}"
        )
    return "\n".join(lines)


def _description(network: Network, layers: Sequence[str]) -> str:
    """Say the picture in words: where each line starts and where it ends."""
    said = []
    for series in network.series:
        shown = [series.layers[layer] for layer in layers if layer in series.layers]
        first, last = shown[0], shown[-1]
        said.append(
            f"{wording.STATE[series.state]} network on {wording.SPLIT[series.split]} data: mean separation "
            f"{text.number(first.mean)} at {text.visible(first.layer)}, {text.number(last.mean)} at "
            f"{text.visible(last.layer)}."
        )
    return " ".join(said)
