"""Names of the modules of a PyTorch model: those of the paper, or its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contract.layer_names import INPUT_LAYER, LayerNames, UnknownLayer, chosen_names
from interlayer.record.errors import RecordingError

if TYPE_CHECKING:
    from torch import nn

_COMPILED = "_orig_mod"  # what torch.compile puts before the names of the modules it has compiled


def module_names(model: "nn.Module") -> "dict[nn.Module, str]":
    """Give the name of every module, the same whether parts of the model are compiled or not."""
    return {
        module: ".".join(part for part in name.split(".") if part != _COMPILED)
        for name, module in model.named_modules()
    }


def name_by_type(names: LayerNames, module: "nn.Module") -> str:
    """Name the next layer of a forward pass as the paper does."""
    from torch.nn.utils.parametrize import type_before_parametrizations

    has_weights = any(parameter.ndim >= 2 for parameter in module.parameters())
    return names.by_type(type_before_parametrizations(module).__name__, has_weights=has_weights)


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
