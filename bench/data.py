"""Synthetic activations: overlapping classes, float32, seeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def labels(n_classes: int, n: int) -> NDArray[np.int64]:
    """`n` points of each class."""
    return np.repeat(np.arange(n_classes), n)


def softmax(d: int, n_classes: int, n: int, sharpness: float = 1.0, seed: int = 0) -> Array:
    """Outputs of a classifier; the larger the logits, the more they saturate."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((n_classes * n, d))
    logits[np.arange(n_classes * n), labels(n_classes, n) % d] += 1.5
    powers = np.exp(sharpness * (logits - logits.max(axis=1, keepdims=True)))
    return np.asarray((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))


def relu(d: int, n_classes: int, n: int, seed: int = 0) -> Array:
    """A low-dimensional signal and noise behind a ReLU."""
    rng = np.random.default_rng(seed)
    rank = min(32, d)
    mixing = rng.standard_normal((rank, d), dtype=np.float32) / np.float32(np.sqrt(rank))
    means = 0.5 * rng.standard_normal((n_classes, rank), dtype=np.float32)
    signal = rng.standard_normal((n_classes * n, rank), dtype=np.float32) + means[labels(n_classes, n)]
    rows = signal @ mixing
    rows += 0.3 * rng.standard_normal(rows.shape, dtype=np.float32)
    return np.asarray(np.maximum(rows, 0, out=rows))


def isotropic(d: int, n_classes: int, n: int, seed: int = 0) -> Array:
    """Nothing but noise: distances concentrate."""
    return np.random.default_rng(seed).standard_normal((n_classes * n, d), dtype=np.float32)


def near_duplicates(n_classes: int, n: int) -> Array:
    """Few places, many points around each."""
    rng = np.random.default_rng(0)
    anchors = relu(64, n_classes, n)[rng.integers(0, n_classes * n, n_classes * n)]
    return np.asarray((anchors + 1e-4 * rng.standard_normal(anchors.shape)).astype(np.float32))


def sub_clusters(n_classes: int, n: int) -> Array:
    """Two far clusters in each class."""
    rows = relu(64, n_classes, n)
    rows[::2] += 500.0
    return rows


def outliers(n_classes: int, n: int) -> Array:
    """Two percent of the points far away."""
    rng = np.random.default_rng(0)
    rows = relu(64, n_classes, n)
    chosen = rng.choice(len(rows), len(rows) // 50, replace=False)
    rows[chosen] += 1e3 * rng.standard_normal((len(chosen), 64)).astype(np.float32)
    return rows


ACCURACY: dict[str, Callable[[int, int], Array]] = {
    "softmax d=10, logits x1": lambda k, n: softmax(10, k, n),
    "softmax, logits x3": lambda k, n: softmax(10, k, n, 3.0),
    "softmax, logits x8": lambda k, n: softmax(10, k, n, 8.0),
    "relu 64": lambda k, n: relu(64, k, n),
    "relu 64 + 100": lambda k, n: relu(64, k, n) + np.float32(100),
    "relu 64 + 1e4": lambda k, n: relu(64, k, n) + np.float32(1e4),
    "near-duplicates 1e-4": near_duplicates,
    "2 far sub-clusters": sub_clusters,
    "2 % outliers": outliers,
    "relu rounded to bf16": lambda k, n: np.asarray((relu(64, k, n).view(np.uint32) & 0xFFFF0000).view(np.float32)),
}
