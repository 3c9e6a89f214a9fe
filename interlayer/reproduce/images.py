"""The images of an experiment, and which of them are analysed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.schemas import Split
from interlayer.errors import UsageError
from interlayer.reproduce.cifar_files import read_cifar
from interlayer.reproduce.experiments import SPLITS, Experiment
from interlayer.reproduce.idx_files import read_mnist

if TYPE_CHECKING:
    from numpy.typing import NDArray

_READERS = {"cifar10": read_cifar, "mnist": read_mnist}
# What is drawn, as the second number of a seed.
_SPLIT, _NOISE, _LABELS, _ROWS = range(4)


@dataclass(frozen=True)
class Images:
    """Images (N, channels, height, width) float32, pixels in [0, 1] before noise, and labels (N,) int64."""

    images: "NDArray[Any]"
    labels: "NDArray[Any]"

    def rows(self, rows: "NDArray[Any]") -> "Images":
        """Return some of the images, in the order of `rows`."""
        return Images(self.images[rows], self.labels[rows])


def load(experiment: Experiment, folder: Path | None, seed: int) -> dict[Split, Images]:
    """Return the two splits with their true labels.

    Raises
    ------
    UsageError
        If the data are not there; the message says what is expected where.
    """
    import numpy as np

    if experiment.source == "digits":
        splits = _digits(seed)
    elif folder is None:
        raise UsageError(f"{experiment.name} needs --data: the folder that holds the files of {experiment.source}")
    else:
        read = _READERS[experiment.source]
        splits = {split: read(folder, split) for split in SPLITS}
    rng = np.random.default_rng([seed, _NOISE])
    found = {}
    for split, (images, labels) in splits.items():
        pixels = images.astype(np.float32) / (16 if experiment.source == "digits" else 255)
        if experiment.noise:
            pixels += experiment.noise * rng.standard_normal(pixels.shape, np.float32)
        found[split] = Images(pixels, labels)
    return found


def labelled(splits: Mapping[Split, Images], experiment: Experiment, instance: int, seed: int) -> dict[Split, Images]:
    """Return the splits with the labels of an instance: random ones are permuted within each split."""
    import numpy as np

    if not experiment.random_labels:
        return dict(splits)
    rng = np.random.default_rng([seed, _LABELS, instance])
    return {split: Images(part.images, rng.permutation(part.labels)) for split, part in splits.items()}


def analysed(splits: Mapping[Split, Images], per_class: int, seed: int) -> dict[Split, Images]:
    """Return `per_class` images of every class of both splits, or as many as the smallest class has."""
    import numpy as np

    count = min(per_class, *(int(np.bincount(part.labels).min()) for part in splits.values()))
    found = {}
    for number, (split, part) in enumerate(splits.items()):
        rng = np.random.default_rng([seed, _ROWS, number])
        rows = [
            rng.choice(np.flatnonzero(part.labels == label), count, replace=False) for label in np.unique(part.labels)
        ]
        found[split] = part.rows(np.sort(np.concatenate(rows)))
    return found


def _digits(seed: int) -> "dict[Split, tuple[NDArray[Any], NDArray[Any]]]":
    """Return half of the images of each digit as training, the other half as validation data."""
    import numpy as np

    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise UsageError('the digits ship with scikit-learn: pip install "interlayer[dev]"') from error
    flat, labels = load_digits(return_X_y=True)
    images, labels = flat.reshape(-1, 1, 8, 8), labels.astype(np.int64)
    order = np.random.default_rng([seed, _SPLIT]).permutation(len(labels))
    members = [order[labels[order] == digit] for digit in range(10)]
    rows: dict[Split, NDArray[Any]] = {
        "train": np.concatenate([member[: len(member) // 2] for member in members]),
        "validation": np.concatenate([member[len(member) // 2 :] for member in members]),
    }
    return {split: (images[index], labels[index]) for split, index in rows.items()}
