"""One forward pass under observation."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contract.layer_names import LayerNames
from interlayer.record.activation_file import Places

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass
class ForwardPass:
    """One announced forward pass: which rows are kept and where they go, and what was seen so far."""

    n_rows: int
    rows: "NDArray[Any] | None"  # None: all
    places: Places
    mask: "torch.Tensor | None" = None  # (batch, token): which tokens count
    names: LayerNames = field(default_factory=LayerNames)  # of modules that were chosen by name
    written: set[str] = field(default_factory=set)
    is_over: bool = False  # what modules still do, a backward pass that computes them again say, is none of it
