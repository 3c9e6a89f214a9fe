"""One forward pass under observation."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contract.layer_names import LayerNames

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn


@dataclass
class ForwardPass:
    """One announced forward pass: which rows are kept and where they go, and what was seen so far."""

    n_rows: int
    rows: "NDArray[Any]"
    places: "NDArray[Any]"
    mask: "torch.Tensor | None" = None  # (batch, token): which tokens count
    names: LayerNames = field(default_factory=LayerNames)
    calls: list["Call"] = field(default_factory=list)
    written: set[str] = field(default_factory=set)

    @property
    def keeps_all(self) -> bool:
        """Whether every row is kept, in the order in which it came."""
        return len(self.rows) == self.n_rows and not (self.rows[1:] < self.rows[:-1]).any()


class Call:
    """A module that is running, and the tensor it was given."""

    def __init__(self, value: "torch.Tensor | None") -> None:
        self.is_innermost = True
        self._memory = None if value is None else (value.data_ptr(), value.numel())
        # Counts writes in place; under `torch.inference_mode` nothing does.
        self._version = None if value is None or value.is_inference() else value._version

    def passes_through(self, module: "nn.Module", output: Any) -> bool:
        """Say whether the output is the input, at most in another shape (identity, flattening, dropout when off)."""
        from torch import Tensor, nn

        if isinstance(module, nn.Flatten | nn.Unflatten):
            return True
        if not isinstance(output, Tensor) or self._memory != (output.data_ptr(), output.numel()):
            return False
        if self._version is None:
            return not getattr(module, "inplace", False)
        return output._version == self._version
