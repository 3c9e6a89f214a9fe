"""The main picture alone, of a report or of as many layers as are known so far."""

from collections.abc import Sequence

from contract.schemas import Separation
from interlayer.render.figure import key, layers_figure
from interlayer.render.networks import grouped


def overview(layers: Sequence[str], separations: Sequence[Separation]) -> str:
    """Return the chart of the first network as markup, empty where nothing is known yet."""
    found = grouped(layers, separations)
    if not found:
        return ""
    return key(found[0], layers, "layers") + layers_figure(found[0], layers)
