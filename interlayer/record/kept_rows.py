"""From the output of a layer to the array that goes to the file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from interlayer.record.activation_file import SAFETENSORS_DTYPES
from interlayer.record.errors import RecordingError
from interlayer.record.forward_pass import ForwardPass
from interlayer.record.token_pooling import Pooling, pool_tokens

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


BLOCK_BYTES = 2**20  # a block is still in the cache of the processor when it is written


@dataclass(frozen=True)
class Storage:
    """In which form activations are kept."""

    dtype: Literal["float16", "float32"] | None
    pooling: Pooling

    def kept_rows(self, output: "torch.Tensor", forward: ForwardPass) -> "torch.Tensor":
        """Give the rows that are kept, pooled, where and in the type in which they are."""
        import torch

        kept, mask = output.detach(), forward.mask
        if forward.rows is not None:
            rows = torch.from_numpy(forward.rows)
            kept = kept[rows.to(kept.device)]
            mask = None if mask is None else mask[rows.to(mask.device)]
        return pool_tokens(kept, self.pooling, mask)

    def blocks(self, layer: str, kept: "torch.Tensor") -> "Iterator[NDArray[Any]]":
        """Give consecutive rows as contiguous arrays in host memory, in a type the file can hold."""
        dtype = _stored_dtype(kept.dtype, self.dtype)
        if dtype is None:
            raise RecordingError(f"layer {layer!r} has the data type {kept.dtype}, which a file cannot hold")
        if kept.device.type != "cpu":  # one transfer costs less than many
            kept = kept.to(dtype).cpu()
        n_rows = kept.shape[0]
        n_block = max(1, min(n_rows, BLOCK_BYTES * n_rows // max(1, kept.nbytes)))
        for start in range(0, n_rows, n_block):
            rows = kept if n_block == n_rows else kept[start : start + n_block]
            stored = rows.to(dtype).contiguous()
            if dtype.is_floating_point and not _is_finite(stored):
                overflow = " in float16" if rows.isfinite().all() else ""
                raise RecordingError(f"layer {layer!r} holds NaN or infinity{overflow}")
            array: NDArray[Any] = stored.numpy()
            yield array


@cache
def _stored_dtype(dtype: "torch.dtype", asked: Literal["float16", "float32"] | None) -> "torch.dtype | None":
    """Give the type in which the file holds values of a type; None where it cannot."""
    import torch

    if dtype == torch.bool:
        return torch.uint8
    if not dtype.is_floating_point:
        return dtype if str(dtype).removeprefix("torch.") in SAFETENSORS_DTYPES else None
    if asked is not None:
        return torch.float16 if asked == "float16" else torch.float32
    # NumPy knows neither bfloat16 nor the 8-bit types; float32 holds them exactly.
    return dtype if dtype in (torch.float16, torch.float32, torch.float64) else torch.float32


def _is_finite(values: "torch.Tensor") -> bool:
    """Look at each value only where their sum is not finite: NaN and infinity stay in a sum, whatever else is in it."""
    import torch

    total = values.sum(dtype=torch.float32 if values.dtype == torch.float16 else None).item()
    return math.isfinite(total) or bool(values.isfinite().all())
