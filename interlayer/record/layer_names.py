"""The layers of a PyTorch model that names and globs mean."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contract.layer_calls import module_names
from contract.layer_names import INPUT_LAYER, UnknownLayer, chosen_names
from interlayer.record.errors import RecordingError

if TYPE_CHECKING:
    from torch import nn

_MAYBE_AUTOMATIC = re.compile(r"[\d*]")  # how `1.Dense` and globs that fit it start


class ChosenLayers:
    """Modules by their names in the model; a pattern that fits none of these means automatic names, `1.Dense`.

    Automatic names are known once the model has run, so `require_all` is called then.

    Attributes
    ----------
    modules : frozenset of str
        Names of modules, and `0.Input`.

    Raises
    ------
    RecordingError
        If a pattern fits nothing; the nearest names are given.
    """

    def __init__(self, model: "nn.Module", patterns: Sequence[str]) -> None:
        if isinstance(patterns, str) or not patterns:
            raise RecordingError(f"`layers` is {patterns!r}; it may be 'auto' or a list of names, with at least one")
        self._names = [INPUT_LAYER, *filter(None, module_names(model).values())]
        self._automatic: list[str] = []
        self._is_asked: dict[str, bool] = {}
        modules: set[str] = set()
        for pattern in patterns:
            try:
                modules |= chosen_names([pattern], self._names)
            except UnknownLayer as error:
                if not _MAYBE_AUTOMATIC.match(pattern):
                    raise RecordingError(str(error)) from error
                self._automatic.append(pattern)
        self.modules = frozenset(modules)

    def is_asked(self, layer: str) -> bool:
        """Say whether a layer is meant by its automatic name."""
        if not self._automatic:
            return False
        if layer not in self._is_asked:
            self._is_asked[layer] = any(_fits(pattern, [layer]) for pattern in self._automatic)
        return self._is_asked[layer]

    def require_all(self) -> None:
        """Refuse automatic names that no layer of the pass had."""
        try:
            for pattern in self._automatic:
                if self._is_asked and not _fits(pattern, list(self._is_asked)):
                    chosen_names([pattern], [*self._is_asked, *self._names])
        except UnknownLayer as error:
            raise RecordingError(str(error)) from error


def _fits(pattern: str, names: Sequence[str]) -> bool:
    try:
        return bool(chosen_names([pattern], names))
    except UnknownLayer:
        return False
