"""Batch after batch through a model into a file, with smaller batches where memory runs out."""

import errno
import json
import math
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from contract.layer_names import INPUT_LAYER
from contract.schemas import ProblemError
from worker.arrays import Array

DTYPES = {
    "float16": "F16", "float32": "F32", "float64": "F64", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
}  # fmt: skip


RESERVED_NAMES = frozenset({"labels", "__metadata__"})
LEFT_GPU = "the model ran on the CPU, for the GPU's memory is too small for a few rows"


class LayeredModel(Protocol):
    """What ONNX and PyTorch models have in common."""

    device: str

    def names(self, batch: Mapping[str, Array]) -> tuple[list[str], list[str]]:
        """Return the names of layers, and further names that may be asked for."""
        ...

    def run(self, batch: Mapping[str, Array], layers: Sequence[str], put: Callable[[str, Array], None]) -> None:
        """Compute layers of a batch and hand over each."""
        ...

    def is_out_of_memory(self, error: Exception) -> bool:
        """Tell whether an error of `run` means that a smaller batch may do."""
        ...

    def to_cpu(self) -> bool:
        """Go on without the GPU; False where there was none."""
        ...


class LayerFile:
    """A .safetensors file of known layout, whose layers are filled row by row: no layer is ever in memory."""

    def __init__(self, path: Path, labels: Array, rows: Mapping[str, Array], numbers: Array) -> None:
        """`labels` (N,) int64; `rows` has some rows of every layer, for their shape and type; `numbers` (N,) are those
        of the rows in the data.
        """
        self._numbers = numbers
        # Wider types first, so that every array starts on a multiple of its item size.
        order = sorted(rows, key=lambda name: -rows[name].dtype.itemsize)
        header: dict[str, object] = {"__metadata__": {"layers": json.dumps(list(rows))}}
        end = labels.nbytes
        header["labels"] = {"dtype": "I64", "shape": [len(labels)], "data_offsets": [0, end]}
        places = {}
        for name in order:
            shape = (len(labels), *rows[name].shape[1:])
            places[name] = (end, shape, rows[name].dtype)
            size = math.prod(shape) * rows[name].dtype.itemsize
            dtype = DTYPES[rows[name].dtype.name]
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        start = 8 + len(text)
        with path.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + labels.astype("<i8").tobytes())
            try:
                os.posix_fallocate(file.fileno(), 0, start + end)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                raise ProblemError(
                    "insufficient_storage",
                    f"the layers take {end} bytes, more than there is room for; choose fewer",
                ) from error
        self._layers = {
            name: np.memmap(path, dtype, "r+", start + offset, shape) for name, (offset, shape, dtype) in places.items()
        }

    def write(self, name: str, first_row: int, rows: Array) -> None:
        """Fill rows of a layer."""
        layer = self._layers[name]
        if rows.shape[1:] != layer.shape[1:] or rows.dtype != layer.dtype:
            raise ProblemError(
                "layer_unusable",
                f"layer {name!r} gave rows of {list(rows.shape[1:])} after rows of {list(layer.shape[1:])}; "
                "every row needs the same shape, so pad or crop the inputs",
            )
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            bad = self._numbers[first_row + int(np.flatnonzero(~np.isfinite(rows.reshape(len(rows), -1)).all(1))[0])]
            if name == INPUT_LAYER:
                raise ProblemError("non_finite", f"the `inputs` of the data hold NaN or infinity in row {bad}")
            raise ProblemError(
                "non_finite", f"the model returns NaN or infinity in layer {name!r}, for row {bad} of the data"
            )
        layer[first_row : first_row + len(rows)] = rows


def run_all(
    model: LayeredModel,
    layers: Sequence[str],
    n_rows: int,
    batch_size: int,
    take: Callable[[int, int], Mapping[str, Array]],
    write: Callable[[str, int, Array], None],
    *,
    may_leave_gpu: bool,
    on_rows: Callable[[int], None],
) -> list[str]:
    """Run a model over all rows and return what had to be done because memory ran out.

    A batch that does not fit is halved, down to one row; then the model moves to the CPU if it may.
    """
    notes: list[str] = []
    first, size = 0, min(batch_size, n_rows)
    while first < n_rows:
        batch, start = take(first, min(first + size, n_rows)), first
        count = min(size, n_rows - first)
        try:
            model.run(batch, layers, lambda name, rows: write(name, start, _one_a_row(name, rows, count)))  # noqa: B023 - called before the next turn
        except ProblemError:
            raise
        except Exception as error:
            if not model.is_out_of_memory(error):
                raise
            if size > 1:
                size //= 2
                continue
            if may_leave_gpu and model.to_cpu():
                notes.append(LEFT_GPU)
                size = min(batch_size, n_rows)
                continue
            detail = "a single row does not fit into memory; choose fewer layers or a smaller model"
            raise ProblemError("out_of_memory", detail) from error
        first += count
        on_rows(first)
    if size < min(batch_size, n_rows):
        notes.append(f"the model ran on {size} rows at a time, for {batch_size} did not fit into memory")
    return notes


def _one_a_row(name: str, rows: Array, count: int) -> Array:
    if rows.ndim == 0 or len(rows) != count:
        raise ProblemError("layer_unusable", f"layer {name!r} has shape {list(rows.shape)}, not one entry for each row")
    return rows
