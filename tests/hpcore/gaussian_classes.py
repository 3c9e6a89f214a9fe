"""Gaussian classes, each further along the first axis than the one before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def blobs(n: int, d: int, shift: float, seed: int, n_classes: int = 2) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), n)
    points = rng.standard_normal((n * n_classes, d))
    points[:, 0] += shift * labels
    return points.astype(np.float32), labels
