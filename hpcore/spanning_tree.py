"""Edges of the minimum spanning trees over class pairs: which kernel runs where, and on how many threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcore.errors import DeviceUnavailable
from hpcore.ties import Edges, sorted_edges

Task = TypeVar("Task")
Answer = TypeVar("Answer")


def resolve_device(device: str) -> str:
    """Return the device that will compute; ``"auto"`` takes the first that exists.

    Raises
    ------
    DeviceUnavailable
        ``"cuda"`` was asked for and is missing.
    """
    if device == "cuda":
        raise DeviceUnavailable(
            "`device`: 'cuda' was asked for, but no CUDA device can be used here; allowed: 'cpu', 'auto'."
        )
    return "cpu"


def available_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[Task], Answer], tasks: Sequence[Task], n_threads: int) -> Iterator[Answer]:
    """Yield ``work(task)`` in the order of the tasks; leaving early drops the tasks that have not begun."""
    if n_threads == 1 or len(tasks) == 1:
        yield from map(work, tasks)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(work, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def minimal_edges(coordinates: NDArray[np.float64], tolerance: float) -> Edges:
    """Every edge of every minimum spanning tree over distinct points, by Prim on the full matrix.

    Memory: 8 n² bytes.
    """
    from hpcore import _mst_dense

    n = coordinates.shape[0]
    squared = np.empty((n, n))
    _mst_dense.squared_distances(coordinates, squared)
    capacity = 4 * n
    while True:
        u, v, weight = np.empty(capacity, np.intp), np.empty(capacity, np.intp), np.empty(capacity)
        n_found = _mst_dense.minimal_edges(squared, tolerance, u, v, weight)
        if n_found <= capacity:
            return sorted_edges(u[:n_found], v[:n_found], weight[:n_found])
        capacity = n_found
