"""MNIST as it is distributed: four files in the IDX format."""

import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.schemas import Split
from interlayer.errors import UsageError
from interlayer.reproduce import packed_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

MNIST_FILES: dict[Split, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "validation": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_UNSIGNED_BYTE = 0x08


def read_mnist(folder: Path, split: Split) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Return images (N, 1, height, width) uint8 and labels (N,) int64 of a split.

    Raises
    ------
    UsageError
        If a file is missing, or is not what its name says.
    """
    import numpy as np

    expected = [name for names in MNIST_FILES.values() for name in names]
    paths = [packed_files.find([folder], name, "MNIST", expected) for name in MNIST_FILES[split]]
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if len(images) != len(labels):
        raise UsageError(f"{paths[0]} holds {len(images)} images, but {paths[1].name} {len(labels)} labels")
    if labels.size and labels.max() > 9:
        raise UsageError(f"{paths[1]} holds the label {labels.max()}; digits are 0 to 9")
    return images[:, np.newaxis], labels.astype(np.int64)


def read_idx(path: Path, n_axes: int) -> "NDArray[Any]":
    """Return the unsigned bytes of an IDX file with so many axes.

    The format: two zero bytes, the type of the values, the number of axes, the extent of each axis as a big-endian
    32-bit integer, then the values, last axis fastest.
    """
    import numpy as np

    stored = packed_files.content(path)
    header = 4 + 4 * n_axes
    start = bytes([0, 0, _UNSIGNED_BYTE, n_axes])
    if stored[:4] != start or len(stored) < header:
        raise UsageError(
            f"{path} is no IDX file of bytes with {n_axes} axes: its header is {stored[:4].hex(' ') or 'missing'} "
            f"where {start.hex(' ')} is expected"
        )
    shape = struct.unpack(f">{n_axes}I", stored[4:header])
    if len(stored) - header != math.prod(shape):
        raise UsageError(
            f"{path} holds {len(stored) - header} values, but its header says {' x '.join(map(str, shape))}"
        )
    return np.frombuffer(stored, np.uint8, offset=header).reshape(shape)
