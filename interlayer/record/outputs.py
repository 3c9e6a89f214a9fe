"""The tensors in what a module returns: one, or several in a tuple or mapping, under names."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def tensors_in(output: Any) -> "dict[str, torch.Tensor]":
    """Give the tensors of an output by the suffix of their layer: none for a single one, else `.0`, `.key`, `.1.0`.

    What is no tensor (None, numbers, caches) is passed over: attention gives (values, None) without its weights.
    """
    found = _walk("", output)
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def _walk(suffix: str, output: Any) -> "dict[str, torch.Tensor]":
    import torch

    if torch.is_tensor(output):
        return {suffix: output}
    items: list[tuple[Any, Any]] = []
    if isinstance(output, Mapping):
        items = list(output.items())
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        items = list(zip(output._fields, output, strict=True))
    elif isinstance(output, list | tuple):
        items = list(enumerate(output))
    found: dict[str, torch.Tensor] = {}
    for key, value in items:
        found |= _walk(f"{suffix}.{key}", value)
    return found
