"""From the output of a layer to the array that goes to the file."""

from collections.abc import Iterator
from dataclasses import dataclass
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
        if not forward.keeps_all:
            rows = torch.from_numpy(forward.rows)
            kept = kept[rows.to(kept.device)]
            mask = None if mask is None else mask[rows.to(mask.device)]
        return pool_tokens(kept, self.pooling, mask)

    def blocks(self, layer: str, kept: "torch.Tensor") -> "Iterator[NDArray[Any]]":
        """Give consecutive rows as contiguous arrays in host memory, in a type the file can hold.

        A block may be a view of `kept`: write it before the model goes on.
        """
        # On another device, one transfer costs less than many.
        n_rows = len(kept) if kept.device.type != "cpu" else max(1, BLOCK_BYTES * len(kept) // max(1, kept.nbytes))
        dtype = self._stored_dtype(kept.dtype)
        for start in range(0, len(kept), n_rows):
            rows = kept[start : start + n_rows]
            stored = rows.to(dtype).cpu().contiguous()
            near = rows if rows.device.type == "cpu" else stored
            if dtype.is_floating_point and not _surely_finite(near, dtype) and not stored.isfinite().all():
                overflow = " in float16" if rows.isfinite().all() else ""
                raise RecordingError(f"layer {layer!r} holds NaN or infinity{overflow}")
            array: NDArray[Any] = stored.numpy()
            if array.dtype.name not in SAFETENSORS_DTYPES:
                raise RecordingError(f"layer {layer!r} has the data type {kept.dtype}, which a file cannot hold")
            yield array

    def _stored_dtype(self, dtype: "torch.dtype") -> "torch.dtype":
        import torch

        if dtype == torch.bool:
            return torch.uint8
        if not dtype.is_floating_point:
            return dtype
        if self.dtype is not None:
            return torch.float16 if self.dtype == "float16" else torch.float32
        # NumPy knows neither bfloat16 nor the 8-bit types; float32 holds them exactly.
        return dtype if dtype in (torch.float16, torch.float32, torch.float64) else torch.float32


def _surely_finite(values: "torch.Tensor", dtype: "torch.dtype") -> bool:
    """Say whether the sum of squares alone proves that every value is finite, in `dtype` too: it bounds them all."""
    import torch

    wide = values if values.dtype in (torch.float32, torch.float64) else values.float()
    flat, largest = wide.reshape(-1), 0.9 * torch.finfo(dtype).max
    return float(torch.dot(flat, flat)) < largest * largest
