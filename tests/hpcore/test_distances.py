"""The embedding of rows and the collapse of repeated ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hpcore import _rows_cpu
from hpcore.distances import distinct_points
from tests import oracle


def test_cosine_embedding_orders_like_cosine_distance() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20, 5))
    rows[[3, 7]] = 0.0
    points = distinct_points(rows, "cosine")
    embedded = points.rows
    direct = ((embedded[:, None] - embedded[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(direct, 2 * oracle.squared_distances(rows, "cosine"), atol=1e-14)
    assert points.n_zero_rows == 2


def test_negative_zero_is_zero() -> None:
    rows = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 2.0]])
    points = distinct_points(rows, "euclidean")
    assert points.n_duplicates == 1
    assert points.index[0] == points.index[1] != points.index[2]


@pytest.mark.parametrize("seed", range(3))
def test_order_of_points_depends_on_content_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 3, (50, 3)).astype(np.float64)
    order = rng.permutation(50)
    first, second = distinct_points(rows, "euclidean"), distinct_points(rows[order], "euclidean")
    np.testing.assert_array_equal(rows[first.representative], rows[order][second.representative])
    np.testing.assert_array_equal(first.index[order], second.index)
    np.testing.assert_array_equal(rows[first.representative][first.index], rows)
    assert len(first.representative) == len(np.unique(rows, axis=0))


def test_colliding_hashes_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def poor_hash(rows: NDArray[np.float64], hashes: NDArray[np.uint64]) -> None:
        hashes[:] = rows[:, 0].astype(np.uint64) % np.uint64(2)

    monkeypatch.setattr(_rows_cpu, "row_hashes", poor_hash)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, (60, 3)).astype(np.float64)
    points = distinct_points(rows, "euclidean")
    np.testing.assert_array_equal(rows[points.representative][points.index], rows)
    assert len(points.representative) == len(np.unique(rows, axis=0))
