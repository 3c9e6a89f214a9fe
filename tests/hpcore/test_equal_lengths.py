"""Lengths that are equal but for rounding: nothing is excluded by less than that, with and without panels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _near, spanning_tree
from hpcore._pair_counts import count_pairs
from hpcore._simd import LANES
from hpcore.distances import distinct_points
from hpcore.spanning_tree import Forests
from tests import oracle


def forests(rows: NDArray[Any], labels: NDArray[np.intp]) -> Forests:
    points, n_classes = distinct_points(rows, "euclidean"), int(labels.max()) + 1
    return Forests(points, labels, n_classes, n_threads=1, memory_budget=None, report=lambda *_: None)


@given(
    seed=st.integers(0, 2**32 - 1),
    sides=st.sampled_from([(13, 11), (40, 4), (7, 6, 4), (90, 2), (3, 4, 4, 3)]),
    step=st.sampled_from([0.1, 0.3, 0.7, 1e-3 / 3]),
    offset=st.sampled_from([0.0, 0.1, 10.0]),
    n_constant=st.sampled_from([0, 0, 20]),
    part_size=st.sampled_from([40, 1024]),
    run_panels=st.sampled_from([1, 4, 16]),
)
def test_multiples_of_a_rounded_step_have_the_range_of_whole_numbers(
    seed: int,
    sides: tuple[int, ...],
    step: float,
    offset: float,
    n_constant: int,
    part_size: int,
    run_panels: int,
) -> None:
    """Sides of boxes are edges of the grid, so that gaps are equal to lengths and to paths, but for their last bits."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, sides), indexing="ij"), axis=-1).reshape(-1, len(sides))
    grid = grid[rng.random(len(grid)) < rng.choice([0.7, 1.0])]
    labels = (grid[:, 0] > sides[0] // 2).astype(np.intp) if rng.random() < 0.5 else rng.integers(0, 2, len(grid))
    rows = np.hstack([grid * step + offset * step, np.full((len(grid), n_constant), offset)])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_near, "RUN_PANELS", run_panels)
        patched.setattr(spanning_tree, "PART_SIZE", part_size)
        found = count_pairs(forests(rows, labels), "first", lambda *_: None)
    assert (found.least[0], found.most[0]) == oracle.cross_edges_range(grid, labels)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_values=st.integers(2, 14),
    n_groups=st.integers(2, 9),
    dtype=st.sampled_from([np.float32, np.float64]),
    run_panels=st.sampled_from([1, 4, 16]),
    classes=st.sampled_from(["one", "sides", "mixed"]),
)
def test_groups_that_face_each_other(
    seed: int, n_values: int, n_groups: int, dtype: type, run_panels: int, classes: str
) -> None:
    """Boxes without extent but along one axis: gap, edge and path are one length, summed in another order.

    Group k of the far side lies where the permuted values put it, all groups of a side form a chain of shorter steps,
    and each point has its partner at the same length as every other: all these edges lie in some minimum tree.
    """
    rng = np.random.default_rng(seed)
    values: NDArray[Any] = (1.0 + 0.02 * rng.random(n_values)).astype(dtype)
    apart = float(np.sqrt((values.astype(np.float64) ** 2).sum()))
    places, n = np.arange(n_groups), n_groups * LANES
    near_side: NDArray[Any] = np.zeros((n, n_values + 2), dtype)
    near_side[:, -2] = np.repeat(0.5 * apart * rng.permutation(n_groups), LANES)
    near_side[:, -1] = np.tile(np.arange(LANES) * apart / 64, n_groups)
    far_side = near_side.copy()
    far_side[:, :-2] = np.repeat([rng.permutation(values) for _ in places], LANES, axis=0)
    rows = np.concatenate((near_side, far_side))
    of_groups = {
        "one": np.zeros(2 * n_groups, np.intp),
        "sides": np.repeat([0, 1], n_groups),
        "mixed": np.concatenate(([0], rng.integers(0, 2, 2 * n_groups - 2), [1])),
    }
    labels = np.repeat(of_groups[classes], LANES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_near, "RUN_PANELS", run_panels)
        found = forests(rows, labels)
    edges = [(tree.u, tree.v) for tree in found.trees]
    edges += [(cross.u, cross.v) for cross in found.run(lambda cross: cross)] if classes != "one" else []
    row = found.nodes.row
    listed = {frozenset((row[i], row[j])) for u, v in edges for i, j in zip(u, v, strict=True)}
    assert all(frozenset((i, i + n)) in listed for i in range(n))
