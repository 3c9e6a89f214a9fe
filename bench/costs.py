"""What the units of an analysis cost: a grid of real runs, and the constants of `contract.costs` fitted to it.

Times are those that one thread spends on a processor, so a busy machine hardly matters.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bench import data
from contract import costs

Case = tuple[int, int, int, str, str, str]  # rows of a class, classes, features, type, metric, kind of data

_SHAPES = [
    *[(n, 10, 64) for n in (10, 30, 90, 200, 500, 1000, 2000)],
    *[(n, 2, 64) for n in (10, 100, 1000, 5000)],
    *[(50, k, 64) for k in (3, 30, 100, 300)],
    *[(20, k, 512) for k in (30, 100, 400)],
    *[(200, 10, d) for d in (2, 4, 10, 16, 17, 32, 128, 512, 2048, 8192)],
    *[(50, 10, d) for d in (2, 16, 512, 30_000)],
    *[(1000, 10, d) for d in (4, 10, 256)],
    (1000, 5, 3072),
    (10, 1000, 10),
    (10, 600, 64),
    (50, 1000, 16),
    (300, 2, 30_000),
    (18, 10, 64),
    (18, 10, 3072),
    (18, 100, 10),
    (40, 100, 256),
]


def cases() -> list[Case]:
    """The grid: all shapes in float32, and some of them in other types, metrics and kinds of data."""
    grid: list[Case] = [(*shape, "float32", "euclidean", "relu") for shape in _SHAPES]
    for shape in [(200, 10, 8), (200, 10, 512), (1000, 10, 64), (50, 100, 64)]:
        grid += [(*shape, dtype, "euclidean", "relu") for dtype in ("float16", "float64")]
        grid += [(*shape, "float32", "cosine", "relu"), (*shape, "float32", "euclidean", "isotropic")]
        grid += [(*shape, "float32", "euclidean", "apart")]
    grid += [(500, 10, 10, "float32", "euclidean", "saturated"), (100, 30, 30, "float32", "euclidean", "saturated")]
    return grid


def rows_of(case: Case) -> data.Array:
    """Synthetic activations of a case."""
    n, k, d, dtype, _, kind = case
    if kind == "saturated":
        rows = data.softmax(d, k, n, sharpness=4.0)
    elif kind == "isotropic":
        rows = data.isotropic(d, k, n)
    else:
        rows = data.relu(d, k, n)
        if kind == "apart":
            rows += 20 * np.random.default_rng(1).standard_normal((k, d), np.float32)[data.labels(k, n)]
    rows = rows.astype(dtype)
    rows.flags.writeable = False
    return rows


def shape_of(case: Case) -> costs.Shape:
    """The same as the cost model sees it."""
    n, k, d, dtype, metric, _ = case
    return costs.Shape(rows=n * k, classes=k, features=d, smallest=n, dtype=dtype, metric=metric)


def processor_seconds(work: Callable[[], object], least: float = 0.3) -> float:
    """Median seconds of the processor; short works are repeated until they add up to something."""
    found: list[float] = []
    while not found or (sum(found) < least and len(found) < 50):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return float(np.median(found))
