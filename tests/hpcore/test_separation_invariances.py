"""What must not change the statistic: the order of rows, rigid motions, scale, the names of the samples."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hpcore

seeds = st.integers(0, 2**32 - 1)


def draw_points(seed: int, lattice: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(6, 40)), int(rng.integers(1, 5)))
    points = rng.integers(0, 3, shape).astype(np.float64) if lattice else rng.standard_normal(shape)
    labels = rng.integers(0, 3, shape[0])
    labels[:6] = [0, 0, 1, 1, 2, 2]
    return points, labels


def assert_same(first: hpcore.PairwiseSeparation, second: hpcore.PairwiseSeparation) -> None:
    for name in ("statistic", "cross_edges", "cross_edges_min", "cross_edges_max", "counts", "z", "p_value"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


@given(
    seed=seeds,
    lattice=st.booleans(),
    ties=st.sampled_from(["average", "first"]),
    metric=st.sampled_from(["euclidean", "cosine"]),
)
def test_row_order_changes_nothing(seed: int, lattice: bool, ties: str, metric: str) -> None:
    points, labels = draw_points(seed, lattice)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert_same(
        hpcore.pairwise_henze_penrose(points, labels, ties=ties, metric=metric, n_threads=1),
        hpcore.pairwise_henze_penrose(points[order], labels[order], ties=ties, metric=metric, n_threads=2),
    )


@given(seed=seeds, lattice=st.booleans())
def test_rigid_motions_and_scaling_change_nothing(seed: int, lattice: bool) -> None:
    """Motions that float64 carries out exactly: so the result is the same to the last bit."""
    points, labels = draw_points(seed, lattice)
    points = np.round(points * 64) / 64
    rng = np.random.default_rng(seed)
    moved = points[:, rng.permutation(points.shape[1])] * rng.choice([-0.25, 4.0]) + rng.integers(
        -9, 9, points.shape[1]
    )
    before, after = (hpcore.pairwise_henze_penrose(each, labels) for each in (points, moved))
    np.testing.assert_array_equal(before.cross_edges_min, after.cross_edges_min)
    np.testing.assert_array_equal(before.cross_edges_max, after.cross_edges_max)
    np.testing.assert_allclose(before.cross_edges, after.cross_edges, atol=1e-9)


@given(seed=seeds)
def test_rotation_changes_nothing(seed: int) -> None:
    points, labels = draw_points(seed, lattice=False)
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((points.shape[1],) * 2))[0]
    before, after = (hpcore.pairwise_henze_penrose(each, labels) for each in (points, points @ rotation))
    np.testing.assert_array_equal(before.cross_edges, after.cross_edges)


@given(seed=seeds)
def test_cosine_ignores_the_length_of_rows(seed: int) -> None:
    points, labels = draw_points(seed, lattice=True)
    lengths = np.random.default_rng(seed).choice([0.5, 1.0, 3.0, 7.0], (len(labels), 1))
    before, after = (
        hpcore.pairwise_henze_penrose(each, labels, metric="cosine") for each in (points, points * lengths)
    )
    assert_same(before, after)


@given(seed=seeds, lattice=st.booleans(), ties=st.sampled_from(["average", "first"]))
def test_swapping_the_samples_changes_nothing(seed: int, lattice: bool, ties: str) -> None:
    points, labels = draw_points(seed, lattice)
    x, y = points[labels == 0], points[labels != 0]
    one, other = hpcore.henze_penrose(x, y, ties=ties), hpcore.henze_penrose(y, x, ties=ties)
    assert one.cross_edges == pytest.approx(other.cross_edges, abs=1e-12)
    assert (one.cross_edges_min, one.cross_edges_max) == (other.cross_edges_min, other.cross_edges_max)
    if ties == "average":  # one tree through repeated points is laid out class by class
        assert one.z == pytest.approx(other.z, abs=1e-9)


@given(seed=seeds)
def test_mean_over_all_labellings_is_zero(seed: int) -> None:
    """E[HP] = 0 for a fixed tree: averaged over every way to call three of six points the first class."""
    points = np.random.default_rng(seed).integers(0, 3, (6, 2))
    values = []
    for first in combinations(range(6), 3):
        is_first = np.isin(np.arange(6), first)
        values.append(hpcore.henze_penrose(points[is_first], points[~is_first]).statistic)
    assert np.mean(values) == pytest.approx(0.0, abs=1e-12)
