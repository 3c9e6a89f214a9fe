"""scikit-learn's handwritten digits (1797 images of 8 by 8 pixels) and what each study does to them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

SPLIT_SEED = 1907


@dataclass(frozen=True)
class Study:
    """One data set on which networks are trained.

    `random_labels` permutes the labels of each split, anew for each instance; `noise` is the standard deviation of
    Gaussian noise added, once, to pixels in [0, 1].
    """

    name: str
    description: str
    random_labels: bool = False
    noise: float = 0.0
    n_instances: int = 2


STUDIES = (
    Study("digits-true", "handwritten digits as they are, nearly separable at the input"),
    Study("digits-random", "random labels: nothing can be learned, only memorized", random_labels=True),
    Study("digits-noisy", "digits under noise, where the layers have work to do", noise=0.9),
)


@dataclass(frozen=True)
class Split:
    """Images (N, 1, 8, 8) float32 and labels (N,) int64."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def digits(study: Study, instance: int) -> dict[str, Split]:
    """Give the `train` and the `validation` split of an instance: half of each class, and equally many, in each."""
    images, labels = load_digits(return_X_y=True)
    noise = np.random.default_rng([SPLIT_SEED, 1]).normal(0.0, 1.0, images.shape)
    images = (images / 16.0 + study.noise * noise).astype(np.float32).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    members = [order[labels[order] == digit] for digit in range(10)]
    rows = {
        "train": np.concatenate([member[: len(member) // 2] for member in members]),
        "validation": np.concatenate([member[len(member) // 2 :][: len(member) // 2] for member in members]),
    }
    permutation = np.random.default_rng([SPLIT_SEED, 2, instance])
    return {
        split: Split(
            images[index], permutation.permutation(labels[index]) if study.random_labels else labels[index].copy()
        )
        for split, index in rows.items()
    }
