"""Forests and counts of rows and labels by every approximation that there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore._approximation import Approximation, Direct, FixedPoint, FloatProducts
from hpcore._pair_counts import PairCounts, count_pairs
from hpcore.distances import distinct_points
from hpcore.spanning_tree import Forests

Array = NDArray[Any]
APPROXIMATIONS: dict[str, Callable[[int], Approximation]] = {
    "fixed_point": FixedPoint,
    "bytes": lambda exponent: FixedPoint(exponent, np.int8),
    "float32": FloatProducts,
    "float64": lambda exponent: FloatProducts(exponent, np.float64),
    "direct32": lambda exponent: Direct(np.float32, exponent),
    "direct64": lambda exponent: Direct(np.float64, exponent),
}


def silent(*_: object) -> None:
    """Report to nobody."""


def forests(
    rows: Array,
    labels: Array,
    *,
    n_threads: int = 1,
    budget: int | None = None,
    by: str | None = None,
    report: Callable[[str, int, int], None] = silent,
) -> Forests:
    return Forests(
        distinct_points(rows, "euclidean"),
        np.unique(labels, return_inverse=True)[1],
        len(np.unique(labels)),
        n_threads=n_threads,
        memory_budget=budget,
        report=report,
        approximation=APPROXIMATIONS[by] if by else None,
    )


def counts(rows: Array, labels: Array, **options: Any) -> PairCounts:
    return count_pairs(forests(rows, labels, **options), "average", silent)
