"""Memory beyond the input: copies are made where they must be, and counted before."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hpcore
from hpcore import _candidates, _mst_cpu
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


def least_budget(rows: NDArray[Any], labels: NDArray[Any], budget: int = 100_000) -> int:
    """What the refusal of too small a budget asks for."""
    with pytest.raises(OutOfMemory) as refused:
        hpcore.pairwise_henze_penrose(rows, labels, memory_budget=budget, n_threads=1)
    (needed,) = re.findall(r"at least (\d+) bytes", str(refused.value))
    return int(needed)


def test_axes_that_do_not_flatten_count_as_a_copy() -> None:
    points = np.moveaxis(np.ones((200, 30, 40, 3), np.float32), 3, 1)[:, :, ::-1]
    plain = least_budget(np.ascontiguousarray(points), np.arange(200) % 2)
    assert least_budget(points, np.arange(200) % 2, points.nbytes + 1) == plain + points.nbytes


@pytest.mark.parametrize(
    ("d", "n", "per_point"), [(10, 800, 40), (64, 1500, 40), (64, 300, 0), (600, 1500, 40), (3000, 200, 0)]
)
def test_the_smallest_budget_is_kept(d: int, n: int, per_point: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few points, between which most edges are candidates; with none allowed all go through float64."""
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((2 * n, d)).astype(np.float32), np.repeat([0, 1], n)
    for module in (_candidates, _mst_cpu):
        monkeypatch.setattr(module, "CANDIDATES_PER_POINT", per_point)
    needed = least_budget(rows, labels)
    few = np.arange(0, 2 * n, n // 20)
    hpcore.pairwise_henze_penrose(rows[few], labels[few], n_threads=1)  # loads the kernels
    tracemalloc.start()
    try:
        hpcore.pairwise_henze_penrose(rows, labels, memory_budget=needed, n_threads=1)
        assert tracemalloc.get_traced_memory()[1] <= needed
    finally:
        tracemalloc.stop()
