"""The picture of memorization: mean separation on training minus validation data, at every layer, with its interval."""

from collections.abc import Sequence
from html import escape

from contract.schemas import State
from interlayer.render import drawing, text, wording
from interlayer.render.drawing import Chart, Scale
from interlayer.render.layer_places import AXIS_WIDTH, ROOMY, foot_height, geometry, layer_names
from interlayer.render.networks import Gap, Network, gaps

_HEIGHT = 190
_HEADING = 16
_FINE_RADIUS = 2.4


def gap_chart(network: Network, layers: Sequence[str], *, room: int = ROOMY) -> Chart | None:
    """Draw the gap of every state; nothing where no state was analysed on both splits."""
    found = gaps(network)
    if not found:
        return None
    place = geometry(network, layers, room)
    scale = _scale(found)
    x_of = dict(zip(layers, place.centres, strict=True))
    axis, plot = [], []
    for value in drawing.ticks(scale.low, scale.high):
        axis.append(drawing.label(_tick(value, scale), AXIS_WIDTH - 8, scale(value) + 4, "tick end"))
        plot.append(drawing.horizontal(scale(value), 0, place.width, "zero" if abs(value) < 1e-9 else "grid"))
    states = [state for state in network.states if any(gap.state == state for gap in found)]
    for state in states:
        shift = place.slot * 0.12 * (0 if len(states) == 1 else -1 if state == "trained" else 1)
        radius = max(1.4, min(3.8, place.slot * 0.22))
        plot.append(_marks(state, [gap for gap in found if gap.state == state], x_of, shift, scale, radius))
    plot.append(layer_names(layers, place.centres, place.slot, _HEADING + _HEIGHT))
    return Chart(
        name=wording.SECTIONS["gap"].title,
        description=_description(found, states),
        axis="".join(axis),
        plot="".join(plot),
        axis_width=AXIS_WIDTH,
        plot_width=place.width,
        height=_HEADING + _HEIGHT + foot_height(layers, place.slot),
    )


def _scale(found: Sequence[Gap]) -> Scale:
    ends = [0.0, 0.1, -0.05]  # so that noise about zero looks like noise
    for gap in found:
        ends.append(gap.difference)
        bounds = gap.interval
        if bounds is not None:
            ends += [end for end in (bounds.low, bounds.high) if end is not None]
    room = 0.05 * (max(ends) - min(ends))
    return Scale(min(ends) - room, max(ends) + room, _HEADING + _HEIGHT, _HEADING)


def _tick(value: float, scale: Scale) -> str:
    return text.number(value, 1 if scale.high - scale.low > 0.5 else 2)


def _marks(
    state: State, found: Sequence[Gap], x_of: dict[str, float], shift: float, scale: Scale, radius: float
) -> str:
    points = [(x_of[gap.layer] + shift, scale(gap.difference)) for gap in found]
    parts = [drawing.polyline(points, "means")]
    for gap, (x, y) in zip(found, points, strict=True):
        bounds = gap.interval
        if bounds is not None and bounds.low is not None and bounds.high is not None:
            parts.append(drawing.vertical(x, scale(bounds.low), scale(bounds.high), "interval"))
        told = f"{text.visible(gap.layer)}, {state}: {text.signed(gap.difference)}"
        if bounds is not None:
            told += f" {text.interval(bounds.low, bounds.high)}"
        title = drawing.element("title", escape(told))
        parts.append(drawing.element("circle", title, cx=x, cy=y, r=radius, class_="mean"))
    fine = " fine" if radius < _FINE_RADIUS else ""
    return drawing.element("g", "".join(parts), class_=f"gap {state}{fine}")


def _description(found: Sequence[Gap], states: Sequence[State]) -> str:
    said = []
    for state in states:
        largest = max((gap for gap in found if gap.state == state), key=lambda gap: abs(gap.difference))
        said.append(
            f"{wording.STATE[state]} network: the largest gap is {text.signed(largest.difference)} "
            f"at {text.visible(largest.layer)}."
        )
    return " ".join(said)
