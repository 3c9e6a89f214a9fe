"""Inputs and labels of one split, by row."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contract.registry import RegisteredData
from contract.schemas import ProblemError, Split
from worker.activations import ActivationFile, open_activations
from worker.arrays import Array
from worker.models.images import list_images, read_cifar10, read_images, read_mnist

Batch = dict[str, Array]


@dataclass(frozen=True)
class DataSet:
    """`codes` (N,) index into `classes`; `take` returns the arrays of some rows, `inputs` and what goes with them."""

    classes: tuple[str, ...]
    codes: Array
    take: Callable[[Array], Batch]

    def labels(self) -> ActivationFile:
        """Return the data as a file of which only the labels are known yet."""
        return ActivationFile(self.classes, self.codes, {})


class RowDigest:
    """What identifies labels and inputs, made while rows are taken in order: each counts once, however often it is.

    It depends neither on how many are taken at a time nor on what becomes of them: the SHA-256 of the labels (int64)
    and, for every array by name, of its name, type, shape of a row and SHA-256.
    """

    def __init__(self, codes: Array) -> None:
        self._labels = codes.astype("<i8").tobytes()
        self._arrays: dict[str, hashlib._Hash] = {}
        self._n_rows = 0

    def update(self, first: int, batch: Batch) -> None:
        """Note rows from `first` on, which may have been noted before."""
        n_rows = len(batch["inputs"])
        for name, array in batch.items():
            kind = f"{name} {array.dtype.str} {array.shape[1:]} "
            new = np.ascontiguousarray(array[self._n_rows - first :])
            self._arrays.setdefault(kind, hashlib.sha256()).update(new.data)
        self._n_rows = max(self._n_rows, first + n_rows)

    def hexdigest(self) -> str:
        """Return the digest of the rows so far."""
        whole = hashlib.sha256(self._labels)
        for kind, digest in sorted(self._arrays.items()):
            whole.update(kind.encode() + digest.digest())
        return whole.hexdigest()


def open_data(path: Path, max_unpacked_bytes: int) -> DataSet:
    """Open a file with `inputs` and `labels`; further arrays, an `attention_mask` say, go to inputs of their name."""
    file = open_activations(path, max_unpacked_bytes=max_unpacked_bytes)
    if "inputs" not in file.layers:
        raise ProblemError("inputs_missing", f"the data have no array `inputs`, only {list(file.layers)[:5]}")
    loaded: Batch = {}

    def take(rows: Array) -> Batch:
        if not loaded:
            loaded.update({name: array.load() for name, array in file.layers.items()})
        return {name: np.ascontiguousarray(array[rows]) for name, array in loaded.items()}

    return DataSet(file.classes, file.codes, take)


def open_registered(entry: RegisteredData, split: Split, max_unpacked_bytes: int) -> DataSet:
    """Open a registered data set.

    Raises
    ------
    ProblemError
        `data_unavailable` where a file is absent or is not what it should be.
    """
    file = entry.file(split)
    if file is not None:
        if not file.is_file():
            raise ProblemError("data_unavailable", f"the file {file.name} of the registered data set is not there")
        whole = open_data(file, max_unpacked_bytes)
        return whole if entry.validation is not None else _part(whole, entry, split)
    if entry.images is not None:
        return _image_folder(entry, entry.images, split)
    if entry.sklearn is not None:
        return _part(_data_set(*_bundled(entry.sklearn)), entry, split)
    if entry.mnist is not None:
        return _data_set(*read_mnist(entry.mnist, split))
    assert entry.cifar10 is not None
    return _data_set(*read_cifar10(entry.cifar10, split))


def _data_set(inputs: Array, labels: Array) -> DataSet:
    values, codes = np.unique(labels, return_inverse=True)
    return DataSet(
        tuple(str(value) for value in values), codes, lambda rows: {"inputs": np.ascontiguousarray(inputs[rows])}
    )


def _bundled(name: str) -> tuple[Array, Array]:
    try:
        import sklearn.datasets
    except ModuleNotFoundError as error:
        raise ProblemError("library_missing", f"{name} comes with scikit-learn: pip install scikit-learn") from error
    found: Any = getattr(sklearn.datasets, f"load_{name}")()
    inputs = found.data.astype(np.float32)
    return (inputs.reshape(-1, 1, 8, 8) if name == "digits" else inputs), found.target_names[found.target]


def _image_folder(entry: RegisteredData, folder: Path, split: Split) -> DataSet:
    own_splits = (folder / "train").is_dir() and (folder / "validation").is_dir()
    paths, labels = list_images(folder / split if own_splits else folder)
    values, codes = np.unique(np.array(labels), return_inverse=True)
    assert entry.size is not None, "the registry asks for it"
    size, mode = entry.size, entry.mode
    data = DataSet(
        tuple(str(value) for value in values),
        codes,
        lambda rows: {"inputs": read_images([paths[row] for row in rows], size, mode)},
    )
    return data if own_splits else _part(data, entry, split)


def _part(whole: DataSet, entry: RegisteredData, split: Split) -> DataSet:
    """Return a split of data that have none: a seeded share of every class is the validation data."""
    held_out = np.zeros(len(whole.codes), bool)
    for code in range(len(whole.classes)):
        members = np.flatnonzero(whole.codes == code)
        order = np.random.default_rng([entry.seed, code]).permutation(members)
        held_out[order[: round(entry.validation_fraction * len(members))]] = True
    rows = np.flatnonzero(held_out == (split == "validation"))
    return DataSet(whole.classes, whole.codes[rows], lambda some: whole.take(rows[some]))
