"""Files of activations for end-to-end tests."""

from pathlib import Path
from typing import Any

import numpy as np


def write_study(path: Path, *, n_per_class: int = 40, n_classes: int = 3, layers: int = 2, dimension: int = 8) -> Path:
    """Write a `.npz` in which each layer separates the classes better than the one before."""
    rng = np.random.default_rng(7)
    labels = np.repeat(np.arange(n_classes), n_per_class)
    arrays: dict[str, Any] = {}
    for layer in range(layers):
        values = rng.normal(size=(len(labels), dimension))
        values[:, 0] += 1.5 * (layer + 1) * labels
        arrays[f"{layer}.Dense"] = values.astype(np.float32)
    np.savez(path, labels=labels, **arrays)
    return path


def write_long_study(path: Path) -> Path:
    """Write a study that keeps a worker busy for several seconds: many layers rather than large ones."""
    return write_study(path, n_per_class=160, n_classes=8, layers=24, dimension=64)
