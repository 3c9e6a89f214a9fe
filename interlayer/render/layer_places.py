"""Where layers stand side by side in a chart that always fits the room it is given, and how their names fit below."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from contract.schemas import Split, State
from interlayer.render import drawing, text
from interlayer.render.drawing import Scale, coordinate
from interlayer.render.networks import Network

Style = Literal["dots", "whiskers", "bands"]

AXIS_WIDTH = 44
ROOMY = 826  # width of a plot: with axis and margins it fits a window of 1000
NARROW = 290  # the same on a phone
_PANEL_HEIGHT = 240
_SECOND_PANEL_HEIGHT = 160
_PANEL_HEADING = 30
_MARGIN = 8.0
_WIDEST_SLOT = 130
_DOTTED_SLOT = 24  # in less, the dots of a layer merge
_BOXED_SLOT = 12  # in less, the boxes do
_MOST_DOTS = 200  # of one layer; above it dots merge into a blot, and box and whiskers say more
_FLAT_FOOT = 26
_LONGEST_NAME = 20
_CHARACTER = 6.0  # width of one at the size of the names
_SLOPE = math.radians(50)
_LEAST_BETWEEN_NAMES = 17.0


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
        return round(self.centres[-1] + self.slot / 2 + _MARGIN) if self.centres else 0

    def offset(self, split: Split, both: bool) -> float:
        """Return how far a split stands from the middle of its layer."""
        if not both or self.slot < _BOXED_SLOT:
            return 0.0
        return self.slot * (-0.21 if split == "train" else 0.21)

    def style(self, n_pairs: int) -> Style:
        """Return how the pairs of a layer are drawn."""
        if self.slot < _BOXED_SLOT:
            return "bands"
        return "dots" if 0 < n_pairs <= _MOST_DOTS and self.slot >= _DOTTED_SLOT else "whiskers"


def geometry(network: Network, layers: Sequence[str], room: int, ghost: Network | None = None) -> Geometry:
    """Lay out the panels, one for each state, above the names of the layers, in a plot of at most `room`."""
    slot, inset = _slot_and_inset(layers, room)
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


def layer_names(layers: Sequence[str], centres: Sequence[float], slot: float, top: float) -> str:
    """Draw the names below a plot, slanted where they would not fit side by side, every few where not even then."""
    if _is_flat(layers, slot):
        named = zip(layers, centres, strict=True)
        return "".join(drawing.label(text.visible(layer), x, top + 18, "name middle") for layer, x in named)
    every, parts = _every(slot), []
    for index, (name, x) in enumerate(zip(text.told_apart(layers, _LONGEST_NAME), centres, strict=True)):
        if (len(layers) - 1 - index) % every == 0:  # the last one always
            turned = f"rotate(-{coordinate(math.degrees(_SLOPE))} {coordinate(x + 3)} {coordinate(top + 14)})"
            parts.append(drawing.label(name, x + 3, top + 14, "name end", transform=turned))
    return "".join(parts)


def foot_height(layers: Sequence[str], slot: float) -> int:
    """Return the room that the names take."""
    if _is_flat(layers, slot):
        return _FLAT_FOOT
    return round(24 + math.sin(_SLOPE) * max(_name_widths(layers)))


def _slot_and_inset(layers: Sequence[str], room: int) -> tuple[float, float]:
    """Return the width of a layer and the room before the first one, so that no slanted name is cut."""
    slot = min(_WIDEST_SLOT, (room - 2 * _MARGIN) / max(1, len(layers)))
    if _is_flat(layers, slot):
        return slot, _MARGIN
    reach = max(
        (
            math.cos(_SLOPE) * width - slot * (index + 0.5)
            for index, width in enumerate(_name_widths(layers))
            if (len(layers) - 1 - index) % _every(slot) == 0
        ),
        default=0.0,
    )
    inset = max(_MARGIN, reach)
    return min(slot, (room - inset - _MARGIN) / len(layers)), inset


def _every(slot: float) -> int:
    return math.ceil(_LEAST_BETWEEN_NAMES / slot)


def _name_widths(layers: Sequence[str]) -> list[float]:
    return [_CHARACTER * len(name) for name in text.told_apart(layers, _LONGEST_NAME)]


def _is_flat(layers: Sequence[str], slot: float) -> bool:
    return all(_CHARACTER * len(text.visible(layer)) <= slot for layer in layers)
