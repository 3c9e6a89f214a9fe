"""CIFAR-10 in its binary version: records of one label byte and 3072 pixels."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.schemas import Split
from interlayer.errors import UsageError
from interlayer.reproduce import packed_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

CIFAR_FILES: dict[Split, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "validation": ("test_batch.bin",),
}
CIFAR_FOLDER = "cifar-10-batches-bin"
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32


def read_cifar(folder: Path, split: Split) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Return images (N, 3, 32, 32) uint8 and labels (N,) int64 of a split.

    `folder` holds the files, or the folder that the archive unpacks to.

    Raises
    ------
    UsageError
        If a file is missing, or is not made of records.
    """
    import numpy as np

    folders = [folder, folder / CIFAR_FOLDER]
    expected = [name for names in CIFAR_FILES.values() for name in names]
    paths = [packed_files.find(folders, name, "CIFAR-10", expected) for name in CIFAR_FILES[split]]
    records = np.concatenate([_records(path) for path in paths])
    return records[:, 1:].reshape(-1, *_SHAPE), records[:, 0].astype(np.int64)


def _records(path: Path) -> "NDArray[Any]":
    import numpy as np

    stored = packed_files.content(path)
    if not stored or len(stored) % _RECORD:
        raise UsageError(
            f"{path} is no batch of CIFAR-10 in its binary version: {len(stored)} bytes are not records of {_RECORD}"
        )
    records = np.frombuffer(stored, np.uint8).reshape(-1, _RECORD)
    if (largest := int(records[:, 0].max())) > 9:
        raise UsageError(f"{path} is no batch of CIFAR-10: a record has the label {largest}, not 0 to 9")
    return records
