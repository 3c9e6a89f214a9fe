"""Counts of cross edges by the device path, the devices that there are to count on, and data to count."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpcore._mst_cuda import CudaBlocks
from hpcore._pair_counts import PairCounts, count_pairs
from hpcore._products_cuda import Precision
from hpcore.distances import distinct_points
from hpcore.spanning_tree import Forests

PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bf16")
# "meta" would compute nothing; "cpu:0" is a torch device like any other, but not the word for our own kernels
DEVICES = ["cpu:0", "cuda"] if torch.cuda.is_available() else ["cpu:0"]


def counts(
    rows: NDArray[Any],
    labels: NDArray[Any],
    device: str,
    part_size: int = 4096,
    precisions: tuple[Precision, ...] | None = None,
) -> PairCounts:
    points = distinct_points(rows, "euclidean")
    forests = Forests(
        points,
        np.unique(labels, return_inverse=True)[1],
        len(np.unique(labels)),
        n_threads=1,
        memory_budget=None,
        report=lambda *_: None,
        device=device,
        part_size=part_size,
        blocks=None if precisions is None else lambda exponent: CudaBlocks(points.rows, exponent, device, precisions),
    )
    return count_pairs(forests, "average", lambda *_: None)


def data(name: str) -> NDArray[Any]:
    rng = np.random.default_rng(1)
    rows = np.maximum(rng.standard_normal((240, 40)) + np.repeat(rng.standard_normal((4, 40)) * 0.4, 60, axis=0), 0)
    if name == "sub-clusters":
        rows[::2] += 500.0
    elif name == "offset":
        rows += 1e4
    elif name == "near duplicates":
        rows = rows[rng.integers(0, 240, 240)] + 1e-4 * rows
    elif name == "lattice":
        return rng.integers(0, 3, (240, 5))
    return rows.astype(np.float32)
