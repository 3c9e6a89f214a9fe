"""Whole layers against trees over single rows: no points are merged, no edge is left out, and nothing is cut."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _candidates, _clusters, _mst_cpu, _near, spanning_tree
from hpcore.layer import measure_pairs
from hpcore.separation import friedman_rafsky_test
from tests import oracle

KINDS = ("normal", "grid", "binary", "copies", "softmax", "near", "shifted", "scales", "one-hot", "equal", "clusters")
NARROW = ("near", "shifted", "clusters")
"""Kinds with angles so small that the rounding of unit rows decides which are equal."""
TOLERANCE = 1e-12


def rows_of(kind: str, rng: np.random.Generator, n: int, d: int) -> NDArray[Any]:
    values: NDArray[Any] = rng.standard_normal((n, d))
    if kind == "grid":
        return rng.integers(-2, 3, (n, d)).astype(np.int8)
    if kind == "binary":
        return rng.random((n, d)) < 0.3
    if kind == "copies":
        return values[rng.integers(0, n // 3, n)].astype(np.float32)
    if kind == "softmax":
        powers = np.exp(20 * values - 20 * values.max(axis=1, keepdims=True))
        return np.asarray((powers / powers.sum(axis=1, keepdims=True)).astype(np.float16))
    if kind == "near":
        return np.asarray(values[rng.integers(0, n // 3, n)] + 1e-7 * values)
    if kind == "shifted":
        return np.asarray((values + 1e4).astype(np.float32))
    if kind == "scales":
        return np.asarray(values * 10.0 ** rng.integers(-30, 30, (n, 1)))
    if kind == "one-hot":
        return np.eye(d, dtype=np.float32)[rng.integers(0, d, n)]
    if kind == "equal":
        return np.where(rng.random((n, 1)) < 0.5, 1.0, values)
    return np.asarray(values + 1e3 * rng.integers(0, 3, (n, 1))) if kind == "clusters" else values


def ranks_and_uses(lengths: NDArray[np.float64]) -> tuple[list[list[int]], NDArray[np.float64]]:
    ranks = oracle.levels(lengths, TOLERANCE)
    return ranks, oracle.edge_uses(ranks)


@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    d=st.sampled_from([1, 3, 16, 17, 40, 130]),
    metric=st.sampled_from(["euclidean", "cosine"]),
    part_size=st.sampled_from([2, 5, 1024]),
    most=st.sampled_from([0, 1, 40]),
)
def test_whole_layers(kind: str, seed: int, d: int, metric: str, part_size: int, most: int) -> None:
    """Mean, range and test of every pair, and the test over all classes; with parts and limits of every size."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([0, 1, 2], rng.integers(2, 11, 3)))
    rows = rows_of(kind, rng, labels.size, d)
    metric = "euclidean" if kind in NARROW else metric
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spanning_tree, "PART_SIZE", part_size)
        patch.setattr(_clusters, "SMALLEST_CLUSTER", 3)
        patch.setattr(_near, "RUN_PANELS", 1)
        for module in (_mst_cpu, _candidates):
            patch.setattr(module, "CANDIDATES_PER_POINT", most)
        found, overall = measure_pairs(rows, labels, metric=metric, n_threads=2)
    lengths = oracle.squared_distances(rows, metric)
    lengths[lengths < 1e-29 * (metric == "cosine")] = 0.0  # parallel rows are at no distance, but for rounding
    for p, pair in enumerate(combinations(range(3), 2)):
        own = np.flatnonzero(np.isin(labels, pair))
        is_first = labels[own] == pair[0]
        ranks, uses = ranks_and_uses(lengths[np.ix_(own, own)])
        crosses = is_first[:, None] != is_first
        count = uses[crosses].sum()
        assert found.cross_edges[p] == pytest.approx(count, rel=1e-9)
        least, most_edges = (
            oracle.cross_count(oracle.prim(2.0 * np.array(ranks) + sign * crosses), is_first) for sign in (1.0, -1.0)
        )
        assert (found.cross_edges_min[p], found.cross_edges_max[p]) == (least, most_edges)
        strengths = uses.sum(axis=0) + uses.sum(axis=1)
        counts = found.counts[p : p + 1]
        of_uses = np.array([(uses**2).sum()]), np.array([(strengths**2).sum()])
        z, _ = friedman_rafsky_test(np.array([count]), counts, *of_uses)
        assert found.z[p] == pytest.approx(z[0], abs=1e-6)
    _, uses = ranks_and_uses(lengths)
    unequal = labels[:, None] != labels
    expected = (labels.size - 1) * unequal.sum() / (labels.size * (labels.size - 1))
    assert overall.statistic == pytest.approx(1.0 - uses[unequal].sum() / expected, abs=1e-9)
