"""The modules of a PyTorch model that names mean."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contract.layer_calls import module_names
from contract.layer_names import INPUT_LAYER, UnknownLayer, chosen_names
from interlayer.record.errors import RecordingError

if TYPE_CHECKING:
    from torch import nn


def chosen_modules(model: "nn.Module", patterns: Sequence[str]) -> frozenset[str]:
    """Give the names of the modules (and `0.Input`) that `patterns` mean.

    Raises
    ------
    RecordingError
        If a pattern matches nothing; the nearest names are given.
    """
    if isinstance(patterns, str) or not patterns:
        raise RecordingError(f"`layers` is {patterns!r}; it may be 'auto' or a list of names, with at least one")
    try:
        return chosen_names(patterns, [INPUT_LAYER, *filter(None, module_names(model).values())])
    except UnknownLayer as error:
        raise RecordingError(str(error)) from error
