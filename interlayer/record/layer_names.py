"""Names of layers: those of the paper, made while the model runs, or those of its modules."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interlayer.record.errors import RecordingError

if TYPE_CHECKING:
    from torch import nn

INPUT_LAYER = "0.Input"


class LayerNames:
    """Names of the layers of one forward pass, in execution order.

    The order of calls alone decides them, so every pass over the same network gives the same names.
    """

    def __init__(self) -> None:
        self._n_weighted = 0
        self._used: Counter[str] = Counter()

    def by_type(self, module: "nn.Module") -> str:
        """Name a layer as the paper does: number of layers with weights so far, and type (`1.Conv`, `1.ReLU`)."""
        from torch.nn.utils.parametrize import type_before_parametrizations

        # Vectors (biases, the scales of normalization) do not make a new layer: `1.BatchNorm` belongs to `1.Conv`.
        self._n_weighted += any(parameter.ndim >= 2 for parameter in module.parameters())
        kind = re.sub(r"[123]d$", "", type_before_parametrizations(module).__name__)
        return self.numbered(f"{self._n_weighted}.{'Dense' if kind == 'Linear' else kind}")

    def numbered(self, name: str) -> str:
        """Give the name itself at its first use, and `name:2`, `name:3`, … later."""
        self._used[name] += 1
        return name if self._used[name] == 1 else f"{name}:{self._used[name]}"


def chosen_modules(model: "nn.Module", patterns: Sequence[str]) -> frozenset[str]:
    """Give the names of the modules (and `0.Input`) that `patterns` mean.

    Raises
    ------
    RecordingError
        If a pattern matches nothing; the nearest names are given.
    """
    if isinstance(patterns, str) or not patterns:
        raise RecordingError(f"`layers` is {patterns!r}; it may be 'auto' or a list of names, with at least one")
    names = [INPUT_LAYER, *(name for name, _ in model.named_modules() if name)]
    chosen: set[str] = set()
    for pattern in patterns:
        expression = re.compile(_expression(pattern))
        matches = [name for name in names if expression.fullmatch(name)]
        if not matches:
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.3) or names[:3]
            raise RecordingError(f"the model has no layer {pattern!r}; near it are {', '.join(map(repr, near))}")
        chosen.update(matches)
    return frozenset(chosen)


def _expression(pattern: str) -> str:
    """Translate a glob in which `*` stays within one part of a dotted name and `**` does not."""
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"*": r"[^.]*", "**": r".*"}.get(part, re.escape(part)) for part in parts)
