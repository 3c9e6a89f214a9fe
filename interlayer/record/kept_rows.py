"""From the output of a layer to the arrays that go to the file."""

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

    def blocks(self, layer: str, output: "torch.Tensor", forward: ForwardPass) -> "Iterator[NDArray[Any]]":
        """Give the rows that are kept, pooled, as contiguous arrays in host memory, in a type the file can hold.

        An array is a view of `output`, or lies where the next will lie: write it before you ask for another.
        """
        import torch

        kept = output.detach()
        if forward.rows is not None or self.pooling != "none":
            kept = self._kept(kept, forward)
        dtype = _stored_dtype(kept.dtype, self.dtype)
        if dtype is None:
            raise RecordingError(f"layer {layer!r} has the data type {kept.dtype}, which a file cannot hold")
        if kept.device.type != "cpu":  # one transfer costs less than many
            kept = kept.to(dtype).cpu()
        n_rows = kept.shape[0]
        n_block = max(1, min(n_rows, BLOCK_BYTES * n_rows // max(1, kept.nbytes)))
        block = None
        if not kept.is_contiguous() or (kept.dtype != dtype and n_block < n_rows):
            block = torch.empty((n_block, *kept.shape[1:]), dtype=dtype)
        for start in range(0, n_rows, n_block):
            rows = kept if n_block == n_rows else kept[start : start + n_block]
            stored = rows.to(dtype) if block is None else block[: rows.shape[0]].copy_(rows)
            if dtype.is_floating_point and not _is_finite(stored):
                overflow = " in float16" if rows.isfinite().all() else ""
                raise RecordingError(f"layer {layer!r} holds NaN or infinity{overflow}")
            array: NDArray[Any] = stored.numpy()
            yield array

    def _kept(self, output: "torch.Tensor", forward: ForwardPass) -> "torch.Tensor":
        import torch

        mask = forward.mask
        if forward.rows is not None:
            rows = torch.from_numpy(forward.rows)
            output = output[rows.to(output.device)]
            mask = None if mask is None else mask[rows.to(mask.device)]
        return pool_tokens(output, self.pooling, mask)


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
    """Say whether all values are finite, as fast as memory gives them."""
    if values.itemsize == 2:
        # As integers, the bits of NaN and infinity are the largest there are, of positive and of negative numbers.
        bits = values.numpy()
        return bool(bits.view("i2").max() < 0x7C00 and bits.view("u2").max() < 0xFC00)
    # NaN and infinity stay in a sum, whatever else is in it; finite values may overflow it.
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())
