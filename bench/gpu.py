"""One layer on a CUDA device: time ÷ the bare product there, and ÷ the CPU beside it; the integers must agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import torch

from bench import data, measure
from hpcore._mst_cuda import CudaBlocks
from hpcore._pair_counts import PairCounts, count_pairs
from hpcore._products_cuda import Precision, product, rounded
from hpcore.distances import distinct_points
from hpcore.spanning_tree import DEVICE_PART_SIZE, PART_SIZE, Forests
from hpcore.threads import available_threads


def figures(quick: bool) -> dict[str, Any]:
    """Seconds of the bare products, of the whole job in each precision, and of the job on the CPU."""
    has_gpu = torch.cuda.is_available()
    device = "cuda" if has_gpu else "cpu:0"
    n, d = (1000, 3072) if has_gpu else (60, 64)
    rows, labels = data.relu(d, 10, n), data.labels(10, n)
    on_device = torch.from_numpy(rows).to(device)
    works: dict[str, Callable[[], object]] = {"job on the CPU": lambda: _job(rows, labels, "cpu")}
    for precision in get_args(Precision):
        factors = rounded(on_device, precision)
        works[f"product, {precision}"] = lambda f=factors, p=precision: _finished(product(f, f, p))  # type: ignore[misc]
        works[f"job, {precision}"] = lambda p=precision: _job(rows, labels, device, (p,))  # type: ignore[misc]
    works["job"] = lambda: _job(rows, labels, device)
    if has_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = measure.interleaved(works, 3 if quick else 9)
    expected = _job(rows, labels, "cpu").count
    differing = {
        name: int((work().count != expected).sum())  # type: ignore[attr-defined]  # PairCounts
        for name, work in works.items()
        if name.startswith("job")
    }
    product_seconds = seconds["product, tf32"]["median"]
    return {
        "device": torch.cuda.get_device_name() if has_gpu else "none: CPU tensors",
        "shape": list(rows.shape),
        "threads": available_threads(),
        "seconds": seconds,
        "job_over_product": seconds["job"]["median"] / product_seconds,
        "cpu_over_job": seconds["job on the CPU"]["median"] / seconds["job"]["median"],
        "peak_device_megabytes": torch.cuda.max_memory_allocated() / 2**20 if has_gpu else None,
        "pairs_that_differ": differing,
    }


def _finished(value: torch.Tensor) -> torch.Tensor:
    if value.is_cuda:
        torch.cuda.synchronize()
    return value


def _job(
    rows: data.Array, labels: data.Array, device: str, precisions: tuple[Precision, ...] | None = None
) -> PairCounts:
    points = distinct_points(rows, "euclidean")
    forests = Forests(
        points,
        np.asarray(labels),
        len(np.unique(labels)),
        n_threads=available_threads(),
        memory_budget=None,
        report=lambda *_: None,
        device=device,
        part_size=PART_SIZE if device == "cpu" else DEVICE_PART_SIZE,
        blocks=None if precisions is None else lambda exponent: CudaBlocks(points.rows, exponent, device, precisions),
    )
    return count_pairs(forests, "average", lambda *_: None)
