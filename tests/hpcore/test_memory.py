"""Memory beyond the input: copies are made where they must be, and counted before."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import hpcore
from hpcore.errors import OutOfMemory


@pytest.mark.parametrize(
    ("dtype", "metric", "copy"),
    [("<f2", "euclidean", 4), ("<i8", "euclidean", 8), (">f4", "euclidean", 4), ("<f4", "cosine", 8)],
)
def test_copies_count_before_they_are_made(tmp_path: Path, dtype: str, metric: str, copy: int) -> None:
    """A memory map of which a copy is larger than the budget: refused, and nothing of that size was taken."""
    np.save(tmp_path / "layer.npy", np.ones((200, 20_000), dtype))
    mapped = np.load(tmp_path / "layer.npy", mmap_mode="r")
    budget = copy * mapped.size - 1
    tracemalloc.start()
    try:
        with pytest.raises(OutOfMemory, match=f"`memory_budget` must be larger than {budget + 1} bytes"):
            hpcore.pairwise_henze_penrose(mapped, np.arange(200) % 2, metric=metric, memory_budget=budget)
        assert tracemalloc.get_traced_memory()[1] < budget // 2
    finally:
        tracemalloc.stop()


def test_axes_that_do_not_flatten_count_as_a_copy() -> None:
    points = np.moveaxis(np.ones((200, 30, 40, 3), np.float32), 3, 1)
    with pytest.raises(OutOfMemory, match="must be at least 3"):
        hpcore.pairwise_henze_penrose(points[:, :, ::-1], np.arange(200) % 2, memory_budget=2_880_000, n_threads=1)
