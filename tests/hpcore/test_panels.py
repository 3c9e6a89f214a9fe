"""Candidates of panels: no edge of any minimum tree is missing, where runs, sets and last panels are small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _near
from hpcore._simd import LANES
from hpcore.distances import distinct_points
from hpcore.spanning_tree import Forests
from tests.hpcore.test_blocks import minimal


def simplices(rng: np.random.Generator, n: int, d: int) -> NDArray[np.float64]:
    """Corners of a simplex at a few places, all at one length from each other: as many candidates as there can be."""
    return np.asarray(20.0 * (np.arange(n) // d)[:, None] + np.eye(d)[np.arange(n) % d] * rng.integers(1, 3))


def scattered(rng: np.random.Generator, n: int, d: int) -> NDArray[np.float64]:
    """Whole numbers: in a few features many lengths are equal, and all are exact in every arithmetic."""
    return rng.integers(0, int(rng.choice([3, 12, 60])), (n, d)).astype(np.float64)


def places(rng: np.random.Generator, n: int, d: int) -> NDArray[np.float64]:
    """Dense and sparse clusters: the way from one to the next often leads through the other class."""
    n_places = int(rng.integers(1, 4))
    at, width = rng.integers(-100, 100, (n_places, d)), rng.integers(2, 30, n_places)
    of_row = np.sort(rng.integers(0, n_places, n))
    return np.rint(at[of_row] + width[of_row, None] * rng.uniform(-1.0, 1.0, (n, d)))


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from([scattered, places, places, simplices]),
    sizes=st.lists(st.integers(2, 4 * LANES), min_size=1, max_size=2),
    d=st.sampled_from([2, 3, 7, 16]),
    dtype=st.sampled_from([np.float32, np.float64]),
    run_panels=st.sampled_from([1, 2, 16]),
    part_size=st.sampled_from([LANES + 3, 40, 1024]),
)
def test_every_edge_of_every_tree_is_found(
    seed: int, kind: Any, sizes: list[int], d: int, dtype: type, run_panels: int, part_size: int
) -> None:
    """Within a class and between two: all candidates together hold all edges of all minimum trees."""
    rng = np.random.default_rng(seed)
    classes = [np.unique(kind(rng, n, d), axis=0) for n in sizes]
    rows, labels = np.concatenate(classes), np.repeat(np.arange(len(sizes)), [len(each) for each in classes])
    points = distinct_points(rows.astype(dtype), "euclidean")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_near, "RUN_PANELS", run_panels)
        forests = Forests(
            points,
            labels,
            len(sizes),
            n_threads=1,
            memory_budget=None,
            report=lambda *_: None,
            part_size=part_size,
        )
        edges = [(tree.u, tree.v) for tree in forests.trees]
        if len(sizes) > 1:
            edges += [(cross.u, cross.v) for cross in forests.run(lambda task: task())]
    listed = np.eye(len(rows), dtype=np.bool_)
    for u, v in edges:
        listed[u, v] = listed[v, u] = True
    assert not (minimal(rows[forests.nodes.row]) & ~listed).any()
