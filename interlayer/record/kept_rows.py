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
        if forward.rows is not None:
            rows = torch.from_numpy(forward.rows)
            kept = kept[rows.to(kept.device)]
            mask = None if mask is None else mask[rows.to(mask.device)]
        return pool_tokens(kept, self.pooling, mask)

    def blocks(self, layer: str, kept: "torch.Tensor") -> "Iterator[NDArray[Any]]":
        """Give consecutive rows as contiguous arrays in host memory, in a type the file can hold.

        A block is a view of `kept`, or lies where the next will lie: write it before you ask for another.
        """
        import torch

        dtype = self._stored_dtype(kept.dtype)
        if str(dtype).removeprefix("torch.") not in SAFETENSORS_DTYPES:
            raise RecordingError(f"layer {layer!r} has the data type {kept.dtype}, which a file cannot hold")
        if kept.device.type != "cpu":  # one transfer costs less than many
            kept = kept.to(dtype).cpu()
        n_rows = kept.shape[0]
        n_block = max(1, min(n_rows, BLOCK_BYTES * n_rows // max(1, kept.nbytes)))
        converted = None
        if kept.dtype != dtype or not kept.is_contiguous():
            converted = torch.empty((n_block, *kept.shape[1:]), dtype=dtype)
        for start in range(0, n_rows, n_block):
            rows = kept[start : start + n_block]
            stored = rows if converted is None else converted[: rows.shape[0]].copy_(rows)
            near = rows if rows.is_contiguous() else stored
            if dtype.is_floating_point and not _surely_finite(near, dtype) and not stored.isfinite().all():
                overflow = " in float16" if rows.isfinite().all() else ""
                raise RecordingError(f"layer {layer!r} holds NaN or infinity{overflow}")
            array: NDArray[Any] = stored.numpy()
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
