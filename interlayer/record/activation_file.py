"""Write a safetensors file of activations as rows arrive, without ever holding a layer in memory."""

import errno
import json
import math
import os
import struct
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from interlayer.record.errors import RecordingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Places: TypeAlias = "range | NDArray[np.int64]"  # of rows in the file, ascending; a range where they are neighbours

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
COPY_BLOCK = 16 * 2**20  # bytes held while a layer is copied
PAGE = 4096  # the data start on a page


@dataclass
class _Layer:
    """The rows of one layer so far: in a file of their own, or where they stay."""

    row_shape: tuple[int, ...]
    dtype: "np.dtype[np.generic]"
    stream: IO[bytes]
    start: int = 0
    row_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.row_bytes = math.prod(self.row_shape) * self.dtype.itemsize

    def write(self, rows: "np.ndarray", places: Places) -> None:
        """Put `rows` at positions `places` (ascending); neighbours go out in one write."""
        import numpy as np

        if isinstance(places, range):
            return _write_fully(self.stream, rows.data.cast("B"), self.start + places[0] * self.row_bytes)
        ends = [*(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
        for start, stop in zip([0, *ends[:-1]], ends, strict=True):
            _write_fully(self.stream, rows[start:stop].data.cast("B"), self.start + int(places[start]) * self.row_bytes)
        return None

    def move(self, n_rows: int, target: IO[bytes], start: int) -> None:
        """Copy the first `n_rows` rows to a position of another file, and go on there."""
        _copy(self.stream, self.start, n_rows * self.row_bytes, target, start)
        if self.start == 0:  # a file of its own, of which nothing else is needed
            self.stream.truncate(0)
        self.stream, self.start = target, start


def _write_fully(stream: IO[bytes], content: memoryview, position: int) -> None:
    """Write bytes at a position; one call of the system may write less than it was given."""
    while (written := os.pwrite(stream.fileno(), content, position)) < len(content):
        content, position = content[written:], position + written


def _reserve(stream: IO[bytes], start: int, n_bytes: int) -> bool:
    """Take room on the disk, so that writing it is cheap; say whether there is so much."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(stream.fileno(), start, n_bytes)
        except OSError as error:  # others mean that the file system cannot tell
            return error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return True


def _copy(source: IO[bytes], at: int, n_bytes: int, target: IO[bytes], to: int) -> None:
    """Copy a part of a file, inside the kernel where it can: no byte comes to this process, or is copied at all."""
    done = 0
    if hasattr(os, "copy_file_range"):
        with suppress(OSError):  # a file system that cannot
            while done < n_bytes and (
                copied := os.copy_file_range(source.fileno(), target.fileno(), n_bytes - done, at + done, to + done)
            ):
                done += copied
    while done < n_bytes and (content := os.pread(source.fileno(), min(COPY_BLOCK, n_bytes - done), at + done)):
        done += os.pwrite(target.fileno(), content, to + done)


def checked_path(path: Path) -> Path:
    """Give the path of a recording back, if there can be one."""
    if path.suffix == ".npz":
        raise RecordingError(f"a recording is a .safetensors file, and `path` is {path.name!r}: give it that ending")
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"names a file in {str(path.parent)!r}, which is no folder"
        raise RecordingError(f"`path` {what}; give the path of the file to write")
    return path


class ActivationWriter:
    """Write every layer to where its rows stay, or to a file of its own where nobody knows how many rows will come.

    The rows of a layer may be overwritten until `finish`, which moves the file into place; until it returns, `path` is
    untouched. Memory is one block of `COPY_BLOCK` bytes. Disk is the size of the file plus its largest layer; twice
    the size of the file where more or fewer rows came than was said.

    Parameters
    ----------
    path : Path
        The file to make.
    n_rows : int, optional
        How many rows will come. A wrong number costs time only.
    header_bytes : int
        What the header will take, about: layers that are written behind it need not be moved if that is enough.
    """

    def __init__(self, path: Path, n_rows: int | None = None, header_bytes: int = 0) -> None:
        self._path = path
        self._stack = ExitStack()
        directory = self._stack.enter_context(
            tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True)
        )
        self._directory = Path(directory)
        self._numbers = count()
        self._layers: dict[str, _Layer] = {}
        self._n_rows = 0
        self._header_bytes = header_bytes + -header_bytes % PAGE
        self._room = _Room(n_rows, self._new_file(), self._header_bytes + 8 * n_rows) if n_rows else None

    def expect(self, n_rows: int) -> None:
        """Make room where more rows will come than was said; `n_rows` is how many there will be with these."""
        if self._room is not None and n_rows > self._room.n_rows:
            if self._layers:
                self._lay_out(2 * n_rows, {})
            else:
                self._room = _Room(2 * n_rows, self._room.stream, self._header_bytes + 16 * n_rows)
        self._n_rows = max(self._n_rows, n_rows)

    def row_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each layer, in the order in which the layers first came."""
        return {name: layer.row_shape for name, layer in self._layers.items()}

    def row_shape(self, layer: str) -> tuple[int, ...] | None:
        """Shape of one row of a layer; None where the layer has not come yet."""
        known = self._layers.get(layer)
        return None if known is None else known.row_shape

    def add_layer(self, layer: str, row_shape: tuple[int, ...], dtype: "np.dtype[np.generic]") -> None:
        """Open a layer; its rows are written later."""
        if self._room is None:
            self._layers[layer] = _Layer(row_shape, dtype, self._new_file())
        else:
            added = self._layers[layer] = _Layer(row_shape, dtype, self._room.stream, self._room.end)
            n_bytes = self._room.n_rows * added.row_bytes
            if not _reserve(added.stream, added.start, n_bytes):
                raise RecordingError(
                    f"{self._room.n_rows} rows of layer {layer!r} take {n_bytes} bytes, for which there is no room in "
                    f"{self._path.parent} beside the {self._room.end} bytes of the layers before: record fewer layers "
                    "(`layers=`) or rows (`per_class=`), or in float16 (`dtype=`)"
                )
            self._room.end += n_bytes

    def write(self, layer: str, rows: "np.ndarray", places: Places) -> None:
        """Put `rows` of `layer` at the ascending row positions `places`, which `expect` was told of."""
        self._layers[layer].write(rows, places)

    def finish(self, labels: "np.ndarray", metadata: dict[str, str]) -> None:
        """Complete the file with `labels` (int64, one per row), move it into place, and clean up."""
        with self._stack:
            header, starts = self._header(len(labels), metadata)
            if starts != {name: layer.start for name, layer in self._layers.items()}:
                self._lay_out(len(labels), metadata)
            file = next(iter(self._layers.values())).stream
            _write_fully(file, memoryview(header), 0)
            _write_fully(file, labels.data.cast("B"), len(header))
            Path(file.name).replace(self._path)

    def discard(self) -> None:
        """Forget everything; `path` stays as it was."""
        self._stack.close()

    def _lay_out(self, n_rows: int, metadata: dict[str, str]) -> None:
        """Move the layers into one file with room for `n_rows`."""
        header, starts = self._header(n_rows, metadata)
        target, former = self._new_file(), next(iter(self._layers.values())).stream
        for name, layer in self._layers.items():
            layer.move(self._n_rows, target, starts[name])
        former.truncate(0)
        end = len(header) + n_rows * (8 + sum(layer.row_bytes for layer in self._layers.values()))
        self._room = _Room(n_rows, target, end)

    def _new_file(self) -> IO[bytes]:
        return self._stack.enter_context((self._directory / str(next(self._numbers))).open("w+b", buffering=0))

    def _header(self, n_rows: int, metadata: dict[str, str]) -> tuple[bytes, dict[str, int]]:
        """Give what stands before the labels, and where in the file each layer starts."""
        header: dict[str, object] = {"__metadata__": metadata}
        header["labels"] = {"dtype": "I64", "shape": [n_rows], "data_offsets": [0, 8 * n_rows]}
        offsets = self._offsets(n_rows)
        for name, layer in self._layers.items():
            place = [offsets[name], offsets[name] + n_rows * layer.row_bytes]
            dtype = SAFETENSORS_DTYPES[layer.dtype.name]
            header[name] = {"dtype": dtype, "shape": [n_rows, *layer.row_shape], "data_offsets": place}
        encoded = json.dumps(header, ensure_ascii=False).encode()
        size = max(self._header_bytes, 8 + len(encoded) + -(8 + len(encoded)) % PAGE)
        encoded = struct.pack("<Q", size - 8) + encoded.ljust(size - 8)
        return encoded, {name: size + offset for name, offset in offsets.items()}

    def _offsets(self, n_rows: int) -> dict[str, int]:
        """Give where each layer starts behind the header: at a multiple of its item size, so that it can be mapped."""
        wider_first = sorted(self._layers, key=lambda name: -self._layers[name].dtype.itemsize)
        for order in (list(self._layers), wider_first):
            offsets, end = {}, 8 * n_rows
            for name in order:
                offsets[name], end = end, end + n_rows * self._layers[name].row_bytes
            if all(offset % self._layers[name].dtype.itemsize == 0 for name, offset in offsets.items()):
                break
        return offsets


@dataclass
class _Room:
    """One file for all layers: how many rows it has room for, and where the next layer starts."""

    n_rows: int
    stream: IO[bytes]
    end: int
