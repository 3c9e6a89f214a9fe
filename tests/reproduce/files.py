"""Data sets of a few images, written byte by byte as the formats say."""

import gzip
import struct
from pathlib import Path

import numpy as np


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(struct.pack(">I", extent) for extent in values.shape)
    return header + values.astype(np.uint8).tobytes()


def mnist_splits(n_per_class: int = 6, size: int = 28) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(10), n_per_class)
    return {split: (rng.integers(0, 256, (len(labels), size, size)), labels) for split in ("train", "t10k")}


def write_mnist(folder: Path, *, packed: bool = False) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    splits = mnist_splits()
    for split, (images, labels) in splits.items():
        for name, values in ((f"{split}-images-idx3-ubyte", images), (f"{split}-labels-idx1-ubyte", labels)):
            path, content = folder / name, idx(values)
            if packed:
                path, content = path.with_name(f"{name}.gz"), gzip.compress(content)
            path.write_bytes(content)
    return splits


def write_cifar(folder: Path) -> list[tuple[int, bytes]]:
    """Write six batches of ten records, and give the records of the training batches in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    records = []
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        batch = [(int(label), rng.bytes(3072)) for label in rng.permutation(10)]
        (folder / name).write_bytes(b"".join(bytes([label]) + pixels for label, pixels in batch))
        records += batch
    return records[:50]
