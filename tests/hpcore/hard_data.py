"""Data that are hard for a filter with bounds: the rows of the accuracy table, and worse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def logits(rng: np.random.Generator, n: int) -> Array:
    values: Array = rng.standard_normal((4 * n, 10))
    values[np.arange(4 * n), np.repeat(np.arange(4), n)] += 2.0
    return values


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))


def relu(rng: np.random.Generator, n: int, d: int = 64) -> Array:
    basis, means = rng.standard_normal((8, d)), rng.standard_normal((4, 8)) * 0.7
    low_rank = (rng.standard_normal((4 * n, 8)) + np.repeat(means, n, axis=0)) @ basis
    return np.asarray(np.maximum(low_rank + rng.standard_normal((4 * n, d)), 0).astype(np.float32))


def near_duplicates(rng: np.random.Generator, n: int) -> Array:
    anchors = relu(rng, n)[rng.integers(0, 4 * n, 4 * n)]
    return np.asarray((anchors + 1e-4 * rng.standard_normal(anchors.shape)).astype(np.float32))


def sub_clusters(rng: np.random.Generator, n: int) -> Array:
    rows = relu(rng, n)
    rows[::2] += 500.0
    return rows


def outliers(rng: np.random.Generator, n: int) -> Array:
    rows = relu(rng, n)
    chosen = rng.choice(4 * n, 4 * n // 50, replace=False)
    rows[chosen] += 1e3 * rng.standard_normal((len(chosen), 64)).astype(np.float32)
    return rows


def as_bfloat16(rows: Array) -> Array:
    return np.asarray((rows.view(np.uint32) & 0xFFFF0000).view(np.float32))


def denormals(rng: np.random.Generator, n: int) -> Array:
    return np.asarray((relu(rng, n).astype(np.float64) * 1e-41).astype(np.float32))


def mixed_scales(rng: np.random.Generator, n: int) -> Array:
    return np.asarray(rng.standard_normal((4 * n, 24)) * 10.0 ** rng.integers(-12, 12, (4 * n, 1)))


HARD_DATA: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "softmax": lambda rng, n: softmax(logits(rng, n)),
    "softmax, logits x3": lambda rng, n: softmax(3 * logits(rng, n)),
    "softmax, logits x8": lambda rng, n: softmax(8 * logits(rng, n)),
    "relu": relu,
    "relu + 100": lambda rng, n: relu(rng, n) + np.float32(100),
    "relu + 1e4": lambda rng, n: relu(rng, n) + np.float32(1e4),
    "relu + 1e9 in float64": lambda rng, n: relu(rng, n).astype(np.float64) + 1e9,
    "near duplicates": near_duplicates,
    "sub-clusters": sub_clusters,
    "outliers": outliers,
    "bfloat16": lambda rng, n: as_bfloat16(relu(rng, n)),
    "float16": lambda rng, n: relu(rng, n).astype(np.float16),
    "denormals": denormals,
    "mixed scales": mixed_scales,
    "constant features": lambda rng, n: np.hstack(
        [rng.standard_normal((4 * n, 3)), np.full((4 * n, 40), 7e6, np.float32)]
    ),
    "wide": lambda rng, n: relu(rng, n, 3001),
    "one dimension": lambda rng, n: rng.standard_normal((4 * n, 1)),
    "isotropic": lambda rng, n: rng.standard_normal((4 * n, 512)).astype(np.float32),
    "large float32": lambda rng, n: relu(rng, n) * np.float32(1e30),
    "small float32": lambda rng, n: relu(rng, n) * np.float32(1e-30),
}
