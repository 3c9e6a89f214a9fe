"""The separation of all class pairs at every layer, drawn: dots, boxes and whiskers, or bands where layers are many."""

import statistics
from collections.abc import Sequence

from contract.schemas import Separation
from interlayer.render import drawing
from interlayer.render.drawing import Scale, coordinate
from interlayer.render.layer_places import Geometry
from interlayer.render.networks import Series

_Placed = Sequence[tuple[float, Separation]]  # where a layer stands, and what was measured there


def series_marks(part: Series, layers: Sequence[str], place: Geometry, scale: Scale, shift: float) -> str:
    """Draw a series: the distribution at every layer, the line of means, and their intervals."""
    placed = _placed(part, layers, place, shift)
    style = place.style(max((len(found.pairs.statistic) for _, found in placed), default=0))
    line = drawing.polyline([(x, scale(found.mean)) for x, found in placed], "means")
    if style == "bands":
        bars = "".join(_interval(found, x, scale) for x, found in placed)
        return drawing.element("g", _bands(placed, scale) + bars + line, class_=f"{part.split} fine")
    half = place.slot * 0.15
    marks = "".join(_distribution(found, x, half, scale, dotted=style == "dots") for x, found in placed)
    radius = 3.4 if place.slot > 30 else 2.4
    means = "".join(
        _interval(found, x, scale) + drawing.element("circle", cx=x, cy=scale(found.mean), r=radius, class_="mean")
        for x, found in placed
    )
    return drawing.element("g", marks + line + means, class_=part.split)


def ghost_marks(part: Series, layers: Sequence[str], place: Geometry, scale: Scale, shift: float) -> str:
    """Draw the boxes and means of what is compared with, without colour of their own."""
    placed = _placed(part, layers, place, shift)
    means = [(x, scale(found.mean)) for x, found in placed]
    line = drawing.polyline(means, "means")
    if place.style(0) == "bands":
        middle = _band([(x, *_middle_half(found)) for x, found in placed], scale, "box")
        return drawing.element("g", middle + line, class_="ghost")
    half = place.slot * 0.2
    boxes = "".join(_rectangle(x, half, *_middle_half(found), scale) for x, found in placed)
    ticks = "".join(drawing.horizontal(y, x - half, x + half, "mean") for x, y in means)
    return drawing.element("g", boxes + line + ticks, class_="ghost")


def _placed(part: Series, layers: Sequence[str], place: Geometry, shift: float) -> _Placed:
    centres = zip(layers, place.centres, strict=True)
    return [(x + shift, found) for layer, x in centres if (found := part.layers.get(layer)) is not None]


def _bands(placed: _Placed, scale: Scale) -> str:
    whole = _band([(x, found.min, found.max) for x, found in placed], scale, "whole")
    return whole + _band([(x, *_middle_half(found)) for x, found in placed], scale, "half")


def _band(ends: Sequence[tuple[float, float, float]], scale: Scale, class_: str) -> str:
    """Draw the area between two lines, each point given as (x, low, high)."""
    if len(ends) < 2:
        return ""
    outline = [(x, high) for x, _, high in ends] + [(x, low) for x, low, _ in reversed(ends)]
    points = "L".join(f"{coordinate(x)} {coordinate(scale(value))}" for x, value in outline)
    return drawing.element("path", d=f"M{points}Z", class_=class_)


def _distribution(found: Separation, x: float, half: float, scale: Scale, *, dotted: bool) -> str:
    values = found.pairs.statistic
    parts = []
    if dotted:
        # The golden ratio spreads neighbours in the list apart without a random number.
        places = [(x + half * (2 * (index * 0.618034 % 1) - 1), scale(value)) for index, value in enumerate(values)]
        parts.append(drawing.dots(places, "pair"))
    else:
        parts.append(drawing.vertical(x, scale(found.min), scale(found.max), "whisker"))
    if box := _box(found):
        low, middle, high = box
        parts += [
            _rectangle(x, half, low, high, scale),
            drawing.horizontal(scale(middle), x - half, x + half, "median"),
        ]
    return "".join(parts)


def _rectangle(x: float, half: float, low: float, high: float, scale: Scale) -> str:
    height = max(0.6, scale(low) - scale(high))
    return drawing.element("rect", x=x - half, y=scale(high), width=2 * half, height=height, class_="box")


def _box(found: Separation) -> tuple[float, float, float] | None:
    """Return the quartiles; of a layer whose pairs are not at hand, those that it was sent with."""
    values = found.pairs.statistic
    if len(values) >= 4:
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return low, middle, high
    known = found.quantiles
    if values or not {"0.25", "0.5", "0.75"} <= set(known):
        return None
    return known["0.25"], known["0.5"], known["0.75"]


def _middle_half(found: Separation) -> tuple[float, float]:
    """Return the ends of the box; of very few pairs the lowest and the highest."""
    low, _, high = _box(found) or (found.min, found.mean, found.max)
    return low, high


def _interval(found: Separation, x: float, scale: Scale) -> str:
    bounds = found.interval
    if bounds.low is None or bounds.high is None:
        return ""
    return drawing.vertical(x, scale(bounds.low), scale(bounds.high), "interval")
