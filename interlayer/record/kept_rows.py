"""From the output of a layer to the array that goes to the file."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from interlayer.record.activation_file import SAFETENSORS_DTYPES
from interlayer.record.errors import RecordingError
from interlayer.record.forward_pass import ForwardPass
from interlayer.record.token_pooling import Pooling, pool_tokens

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Storage:
    """In which form activations are kept."""

    dtype: Literal["float16", "float32"] | None
    pooling: Pooling

    def kept_rows(self, layer: str, output: "torch.Tensor", forward: ForwardPass) -> "NDArray[Any]":
        """Give the kept rows as a contiguous array in host memory, in a type the file can hold."""
        import torch

        kept, mask = output.detach(), forward.mask
        if not forward.keeps_all:
            rows = torch.from_numpy(forward.rows)
            kept = kept[rows.to(kept.device)]
            mask = None if mask is None else mask[rows.to(mask.device)]
        kept = pool_tokens(kept, self.pooling, mask)
        if kept.is_floating_point():
            kept = kept.to(self._stored_dtype(output.dtype))
            # Cheap first: a finite sum proves finite values. A sum that overflows by itself is looked into.
            if not kept.sum().isfinite() and not kept.isfinite().all():
                overflow = " in float16" if torch.isfinite(output).all() else ""
                raise RecordingError(f"layer {layer!r} holds NaN or infinity{overflow}")
        elif kept.dtype == torch.bool:
            kept = kept.to(torch.uint8)
        array: NDArray[Any] = kept.cpu().contiguous().numpy()
        if array.dtype.name not in SAFETENSORS_DTYPES:
            raise RecordingError(f"layer {layer!r} has the data type {output.dtype}, which a file cannot hold")
        return array

    def _stored_dtype(self, dtype: "torch.dtype") -> "torch.dtype":
        import torch

        if self.dtype is not None:
            return torch.float16 if self.dtype == "float16" else torch.float32
        # NumPy knows neither bfloat16 nor the 8-bit types; float32 holds them exactly.
        return dtype if dtype in (torch.float16, torch.float32, torch.float64) else torch.float32
