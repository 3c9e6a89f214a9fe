"""Write a safetensors file of activations as rows arrive, without ever holding a layer in memory."""

import json
import os
import shutil
import struct
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# Data types as safetensors spells them; bfloat16 has no NumPy type and is widened before it gets here.
SAFETENSORS_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
}
COPY_BLOCK = 16 * 2**20  # bytes held while a spooled layer is copied into the final file


@dataclass
class _Spool:
    """The rows of one layer so far, raw, in a file of their own."""

    stream: IO[bytes]
    row_shape: tuple[int, ...]
    dtype: "np.dtype[np.generic]"

    @property
    def row_bytes(self) -> int:
        size = self.dtype.itemsize
        for length in self.row_shape:
            size *= length
        return size

    def write(self, rows: "np.ndarray", places: "np.ndarray") -> None:
        """Put `rows` at positions `places` (ascending); neighbours go out in one write."""
        import numpy as np

        ends = [*(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        for start, stop in zip([0, *ends[:-1]], ends, strict=True):
            _write_fully(self.stream, rows[start:stop], int(places[start]) * self.row_bytes)


def _write_fully(stream: IO[bytes], rows: "np.ndarray", position: int) -> None:
    """Write an array at a position; one call of the system may write less than it was given."""
    content = rows.reshape(-1).data.cast("B")
    while content:
        written = os.pwrite(stream.fileno(), content, position)
        content, position = content[written:], position + written


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Append a file to another, inside the kernel where it can: no byte comes to this process, or is copied at all."""
    source.seek(0)
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(source.fileno(), target.fileno(), COPY_BLOCK):
                pass
        except OSError:  # a file system that cannot; both positions say how far it came
            pass
        else:
            return
    shutil.copyfileobj(source, target, COPY_BLOCK)


class ActivationWriter:
    """Spool every layer beside `path`, then assemble the safetensors file and move it into place.

    The rows of a layer may be overwritten until `finish`. Memory is one block of `COPY_BLOCK` bytes; disk is the size
    of the file plus its largest layer. Until `finish` returns, `path` is untouched.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        directory = self._stack.enter_context(
            tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True)
        )
        self._directory = Path(directory)
        self._spools: dict[str, _Spool] = {}

    def row_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each layer, in the order in which the layers first came."""
        return {layer: spool.row_shape for layer, spool in self._spools.items()}

    def row_shape(self, layer: str) -> tuple[int, ...] | None:
        """Shape of one row of a layer; None where the layer has not come yet."""
        spool = self._spools.get(layer)
        return None if spool is None else spool.row_shape

    def add_layer(self, layer: str, row_shape: tuple[int, ...], dtype: "np.dtype[np.generic]") -> None:
        """Open a layer; its rows are written later."""
        stream = self._stack.enter_context((self._directory / str(len(self._spools))).open("w+b", buffering=0))
        self._spools[layer] = _Spool(stream, row_shape, dtype)

    def write(self, layer: str, rows: "np.ndarray", places: "np.ndarray") -> None:
        """Put `rows` of `layer` at the ascending row positions `places`."""
        self._spools[layer].write(rows, places)

    def finish(self, labels: "np.ndarray", metadata: dict[str, str]) -> None:
        """Assemble the file from `labels` (int64, one per row) and the spooled layers, and clean up."""
        # Wider types first, so that every array starts on a multiple of its item size.
        by_width = sorted(self._spools.items(), key=lambda item: -item[1].dtype.itemsize)
        header: dict[str, object] = {"__metadata__": metadata}
        offset = labels.nbytes
        header["labels"] = {"dtype": "I64", "shape": [len(labels)], "data_offsets": [0, offset]}
        for layer, spool in by_width:
            end = offset + len(labels) * spool.row_bytes
            dtype = SAFETENSORS_DTYPES[spool.dtype.name]
            header[layer] = {"dtype": dtype, "shape": [len(labels), *spool.row_shape], "data_offsets": [offset, end]}
            offset = end
        encoded = json.dumps(header, ensure_ascii=False).encode()
        encoded += b" " * (-len(encoded) % 8)
        with self._stack:
            assembled = self._directory / "assembled"
            with assembled.open("wb") as out:
                out.write(struct.pack("<Q", len(encoded)) + encoded)
                out.write(labels.data)
                for _, spool in by_width:
                    out.flush()
                    _copy(spool.stream, out)
                    spool.stream.truncate(0)
            assembled.replace(self._path)

    def discard(self) -> None:
        """Forget everything; `path` stays as it was."""
        self._stack.close()
