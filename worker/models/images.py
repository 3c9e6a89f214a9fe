"""Images on disk: MNIST and CIFAR-10 as they are distributed, and folders with a folder for each class."""

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contract.schemas import ProblemError, Split
from worker.arrays import Array

_MNIST = {"train": "train", "validation": "t10k"}
_CIFAR = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "validation": ["test_batch.bin"]}
_CIFAR_RECORD = 1 + 3 * 32 * 32
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
_MOST_PIXELS = 2**26


def read_mnist(folder: Path, split: Split) -> tuple[Array, Array]:
    """Return images (N, 1, height, width) uint8 and labels (N,) of a split from the four IDX files."""
    images = _idx(_content(folder / f"{_MNIST[split]}-images-idx3-ubyte"), 3)
    labels = _idx(_content(folder / f"{_MNIST[split]}-labels-idx1-ubyte"), 1)
    if len(images) != len(labels):
        raise _unavailable(f"MNIST has {len(images)} images but {len(labels)} labels")
    return images[:, np.newaxis], labels


def read_cifar10(folder: Path, split: Split) -> tuple[Array, Array]:
    """Return images (N, 3, 32, 32) uint8 and labels (N,) of a split from the binary batches."""
    inner = folder / "cifar-10-batches-bin"
    content = b"".join(_content((inner if inner.is_dir() else folder) / name) for name in _CIFAR[split])
    if not content or len(content) % _CIFAR_RECORD:
        raise _unavailable(f"the batches of CIFAR-10 are not records of {_CIFAR_RECORD} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def list_images(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images of all classes, and the class of each: the name of its folder. Links are not followed."""
    found = [
        (path, group.name)
        for group in sorted(folder.iterdir() if folder.is_dir() else [])
        if group.is_dir() and not group.is_symlink()
        for path in sorted(group.iterdir())
        if path.suffix.lower() in _SUFFIXES and path.is_file() and not path.is_symlink()
    ]
    if not found:
        raise _unavailable("there is no folder with a folder of images for each class")
    return [path for path, _ in found], [name for _, name in found]


def read_images(paths: Sequence[Path], size: Sequence[int], mode: str) -> Array:
    """Return images (N, channels, height, width) uint8, each brought to one size."""
    from PIL import Image, UnidentifiedImageError

    images = []
    for path in paths:
        try:
            with Image.open(path) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise _unavailable(f"{path.parent.name}/{path.name} has more than {_MOST_PIXELS} pixels")
                resized = image.convert(mode).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        except (OSError, UnidentifiedImageError, SyntaxError) as error:
            raise _unavailable(f"{path.parent.name}/{path.name} is no image that can be read") from error
        images.append(np.asarray(resized).reshape(size[0], size[1], -1).transpose(2, 0, 1))
    return np.stack(images)


def _content(path: Path) -> bytes:
    packed = path.with_name(path.name + ".gz")
    try:
        return path.read_bytes() if path.is_file() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise _unavailable(f"the file {path.name} (or {packed.name}) is not there") from error
    except (OSError, EOFError, zlib.error) as error:
        raise _unavailable(f"{packed.name} cannot be unpacked") from error


def _idx(content: bytes, n_axes: int) -> Array:
    header = 4 + 4 * n_axes
    if content[:4] != bytes([0, 0, 8, n_axes]) or len(content) < header:
        raise _unavailable(f"a file of MNIST is no IDX file of bytes with {n_axes} axes")
    shape = struct.unpack(f">{n_axes}I", content[4:header])
    if len(content) - header != int(np.prod(shape, dtype=object)):
        raise _unavailable("a file of MNIST holds another number of values than its header says")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _unavailable(reason: str) -> ProblemError:
    return ProblemError("data_unavailable", f"the registered data set cannot be read: {reason}; tell the administrator")
