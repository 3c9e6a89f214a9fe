"""Candidates of panels: no edge of any minimum tree is missing, where runs, sets and last panels are small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _near, _panels_cpu
from hpcore._simd import LANES
from hpcore.distances import distinct_points
from hpcore.spanning_tree import Forests
from tests.hpcore.single_linkage import minimal


def simplices(rng: np.random.Generator, n: int, d: int) -> NDArray[np.float64]:
    """Corners of a simplex at a few places, all at one length from each other: as many candidates as there can be."""
    return np.asarray(20.0 * (np.arange(n) // d)[:, None] + np.eye(d)[np.arange(n) % d] * rng.integers(1, 3))


def scattered(rng: np.random.Generator, n: int, d: int) -> NDArray[np.float64]:
    """Whole numbers: in a few features many lengths are equal, and all are exact in every arithmetic."""
    return rng.integers(0, int(rng.choice([3, 12, 60])), (n, d)).astype(np.float64)


def stones(rng: np.random.Generator, n: int, d: int) -> NDArray[np.float64]:
    """A panel at each of a few places: the way from one to the next often leads through the other class."""
    n_places = max(1, n // LANES)
    at, step = rng.integers(-200, 200, (n_places, d)), rng.integers(1, 12, n_places)
    square = np.zeros((LANES, d))
    square[:, 0], square[:, 1] = np.divmod(np.arange(LANES), 4)
    return np.asarray((at[:, None] + step[:, None, None] * square).reshape(-1, d))


def stars(rng: np.random.Generator, n: int, d: int) -> NDArray[np.float64]:
    """A dense middle, or that with points at all distances from it."""
    reach = np.exp(rng.uniform(0.0, float(rng.choice([1.0, 5.0])), (n, 1)))
    return np.rint(rng.standard_normal((n, d)) * reach)


def quadrant_by_quadrant(points: NDArray[Any], order: NDArray[np.int32]) -> None:
    """An order that is as good as any: here core and outskirts share panels that the middle is not in."""
    signs = (points > 0).astype(int) @ (1 << np.arange(points.shape[1]))
    order[:] = np.lexsort(((points.astype(np.float64) ** 2).sum(axis=1), signs))


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from([scattered, stones, stars, simplices]),
    sizes=st.lists(st.integers(2, 4 * LANES), min_size=1, max_size=2),
    d=st.sampled_from([2, 3, 7, 16]),
    dtype=st.sampled_from([np.float32, np.float64]),
    run_panels=st.sampled_from([1, 2, 16]),
    part_size=st.sampled_from([LANES + 3, 40, 1024]),
    has_own_order=st.booleans(),
)
@example(seed=0, kind=simplices, sizes=[64], d=16, dtype=np.float32, run_panels=1, part_size=1024, has_own_order=True)
def test_every_edge_of_every_tree_is_found(
    seed: int,
    kind: Any,
    sizes: list[int],
    d: int,
    dtype: type,
    run_panels: int,
    part_size: int,
    has_own_order: bool,
) -> None:
    """Within a class and between two: all candidates together hold all edges of all minimum trees."""
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_near, "RUN_PANELS", run_panels)
        if not has_own_order:
            patched.setattr(_panels_cpu, "near_order", quadrant_by_quadrant)
        check([np.unique(kind(rng, n, d), axis=0).astype(dtype) for n in sizes], part_size)


def check(classes: list[NDArray[Any]], part_size: int) -> None:
    rows, labels = np.concatenate(classes), np.repeat(np.arange(len(classes)), [len(each) for each in classes])
    forests = Forests(
        distinct_points(rows, "euclidean"),
        labels,
        len(classes),
        n_threads=1,
        memory_budget=None,
        report=lambda *_: None,
        part_size=part_size,
    )
    edges = [(tree.u, tree.v) for tree in forests.trees]
    if len(classes) > 1:
        edges += [(cross.u, cross.v) for cross in forests.run(lambda cross: cross)]
    listed = np.eye(len(rows), dtype=np.bool_)
    for u, v in edges:
        listed[u, v] = listed[v, u] = True
    assert not (minimal(rows[forests.nodes.row]) & ~listed).any()


def test_a_far_point_may_share_a_panel_with_near_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own core length, not that of another lane, says which tiles matter: its only short edge leads far away."""
    monkeypatch.setattr(_panels_cpu, "near_order", quadrant_by_quadrant)
    one, four, three = np.arange(1, LANES + 1)[:, None], np.divmod(np.arange(LANES), 4), np.divmod(np.arange(15), 4)
    middle = np.stack(four, axis=1) + 1.0
    chain = np.hstack((4 + one / 4, 4 + 2.875 * one))
    end = np.stack(three, axis=1)[:, ::-1] + (8.0, 51.0)
    first = np.concatenate((middle, chain, end, [[56.0, 8.0]]))
    second = np.stack(four, axis=1) / 4 + (5.0, 1.0)
    check([first, second], 1024)
