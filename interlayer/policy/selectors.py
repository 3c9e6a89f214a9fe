"""Which layers of a report a rule means."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

Selector = str | int


def selected_layers(
    selectors: Selector | Sequence[Selector], layers: Sequence[str]
) -> tuple[list[str], list[Selector]]:
    """Return the layers that any selector means, in forward order, and the selectors that mean none."""
    wanted = [selectors] if isinstance(selectors, str | int) else list(selectors)
    matches = [_matching(selector, layers) for selector in wanted]
    chosen = set().union(*matches)
    missing = [selector for selector, found in zip(wanted, matches, strict=True) if not found]
    return [layer for layer in layers if layer in chosen], missing


def _matching(selector: Selector, layers: Sequence[str]) -> set[str]:
    if isinstance(selector, str) and selector in layers:  # a name always means itself
        return {selector}
    position = {"first": 0, "last": -1}.get(selector, selector) if isinstance(selector, str) else selector
    if isinstance(position, int):
        return {layers[position]} if -len(layers) <= position < len(layers) else set()
    return {layer for layer in layers if fnmatchcase(layer, position)}
