"""The main picture: the separation of every class pair at every layer, with the mean and its interval."""

import json
from collections.abc import Sequence
from html import escape

from contract.schemas import Separation, State
from interlayer.render import drawing, text, wording
from interlayer.render.drawing import Chart, Scale
from interlayer.render.layer_marks import ghost_marks, series_marks
from interlayer.render.layer_places import AXIS_WIDTH, NARROW, ROOMY, Geometry, Style, geometry, layer_names
from interlayer.render.networks import SPLITS, Network, Series


def layers_chart(network: Network, layers: Sequence[str], ghost: Network | None = None, *, room: int = ROOMY) -> Chart:
    """Draw the distribution of class separation at every layer, one panel for each state; `ghost` stands behind it."""
    place = geometry(network, layers, room, ghost)
    axis, plot = [], []
    for state, scale in place.panels.items():
        axis.append(_axis(scale))
        plot.append(_panel(network, state, layers, place, ghost, told=room > NARROW))
    plot.append(layer_names(layers, place.centres, place.slot, place.foot))
    return Chart(
        name=wording.SECTIONS["layers"].title,
        description=_description(network, layers),
        axis="".join(axis),
        plot="".join(plot),
        axis_width=AXIS_WIDTH,
        plot_width=place.width,
        height=place.height,
        places=_places(network, place),
    )


def pair_style(network: Network, layers: Sequence[str], room: int = ROOMY) -> Style:
    """Return how the chart shows the pairs of a layer."""
    first = next(iter(network.series[0].layers.values()))
    return geometry(network, layers, room).style(len(first.pairs.statistic))


def _places(network: Network, place: Geometry) -> str:
    """Return for each series where the script draws a pair: first layer, width of a layer, zero, unit."""
    found = []
    for series in network.series:
        scale = place.panels[series.state]
        shift = place.offset(series.split, len(_of_state(network, series.state)) == len(SPLITS))
        first = place.centres[0] + shift if place.centres else shift
        found.append([round(number, 2) for number in (first, place.slot, scale(0), scale(1) - scale(0))])
    return json.dumps(found, separators=(",", ":"))


def _of_state(network: Network, state: State) -> list[Series]:
    return [found for split in SPLITS if (found := network.of(state, split))]


def _axis(scale: Scale) -> str:
    return "".join(
        drawing.label(text.number(value, 1), AXIS_WIDTH - 8, scale(value) + 4, "tick end")
        for value in drawing.ticks(scale.low, 1.0)
    )


def _panel(
    network: Network, state: State, layers: Sequence[str], place: Geometry, ghost: Network | None, *, told: bool
) -> str:
    scale = place.panels[state]
    series = _of_state(network, state)
    parts = [
        drawing.horizontal(scale(value), 0, place.width, "zero" if abs(value) < 1e-9 else "grid")
        for value in drawing.ticks(scale.low, 1.0)
    ]
    parts.append(drawing.label(f"{wording.STATE[state]} network", 2, scale.end - 12, "panel"))
    for part in series:
        shift = place.offset(part.split, len(series) == len(SPLITS))
        if ghost and (before := ghost.of(state, part.split)):
            parts.append(ghost_marks(before, layers, place, scale, shift))
        parts.append(series_marks(part, layers, place, scale, shift))
    if told:
        parts += [_hover(layer, x, series, place.slot, scale) for layer, x in zip(layers, place.centres, strict=True)]
    return "".join(parts)


def _hover(layer: str, x: float, series: Sequence[Series], slot: float, scale: Scale) -> str:
    """Return the area of a layer, which tells its numbers where a pointer rests."""
    told = escape(_told(layer, [(part, part.layers.get(layer)) for part in series]))
    return drawing.element(
        "rect", f"<title>{told}</title>", x=x - slot / 2, y=scale.end, width=slot, height=scale.start - scale.end,
        class_="slot",
    )  # fmt: skip


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
