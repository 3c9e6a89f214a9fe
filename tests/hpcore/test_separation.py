"""The pinned API against hand examples and slow references; its progress, refusals and imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr

import hpcore
from hpcore.distances import distinct_points
from hpcore.separation import friedman_rafsky_test
from tests import oracle
from tests.hpcore.gaussian_classes import blobs


@pytest.mark.parametrize(
    ("x", "y", "cross_edges", "statistic"),
    [
        ([[0], [2]], [[1], [3]], 3, -0.5),
        ([[0], [1]], [[2], [3]], 1, 0.5),
        ([[1, 1], [3, 3], [5, 5], [7, 7]], [[2, 2], [4, 4], [6, 6], [8, 8]], 7, -0.75),
        (np.ones((32, 4)), np.full((32, 4), 5.0), 1, 0.96875),
        (np.tile([1.0, 0.0], (50, 1)), np.tile([0.0, 1.0], (50, 1)), 1, 0.98),
        (np.tile([1, 0], (10, 1)), np.tile([0, 1], (10, 1)), 1, 0.9),
    ],
)
@pytest.mark.parametrize("ties", ["average", "first"])
def test_hand_examples(x: Any, y: Any, cross_edges: int, statistic: float, ties: str) -> None:
    found = hpcore.henze_penrose(x, y, ties=ties)
    assert found.cross_edges == cross_edges
    assert found.statistic == pytest.approx(statistic, abs=1e-15)


def test_square_has_four_trees() -> None:
    corners = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    in_order = hpcore.henze_penrose(corners[:2], corners[2:])
    assert (in_order.cross_edges_min, in_order.cross_edges_max) == (1, 2)
    assert in_order.cross_edges == pytest.approx(1.5, abs=1e-12)
    alternating = hpcore.henze_penrose(corners[::2], corners[1::2])
    assert (alternating.cross_edges_min, alternating.cross_edges_max, alternating.cross_edges) == (3, 3, 3.0)


def test_repeated_observations_closed_form() -> None:
    """Chen & Zhang's average over trees: 0 (2A, 1B), 1 (1A, 2B), 3 (2B); z agrees with R's gTests."""
    found = hpcore.henze_penrose([[0], [0], [1]], [[0], [1], [1], [3], [3]])
    assert found.cross_edges == pytest.approx(32 / 9, abs=1e-12)
    assert found.z == pytest.approx(-0.2467395, abs=5e-8)
    assert found.n_duplicates == 5
    first = hpcore.henze_penrose([[0], [0], [1]], [[0], [1], [1], [3], [3]], ties="first")
    assert first.cross_edges == int(first.cross_edges)
    assert found.cross_edges_min <= first.cross_edges <= found.cross_edges_max


@pytest.mark.parametrize(
    ("edges", "n_first", "mean", "variance"),
    [
        ([(i, i + 1) for i in range(7)], 4, 4.0, 12 / 7),
        ([(0, i) for i in range(1, 8)], 4, 4.0, 0.0),
        ([(0, i) for i in range(1, 8)], 3, 15 / 4, 15 / 16),
        ([(0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (2, 6), (2, 7), (3, 8)], 4, 40 / 9, 860 / 567),
    ],
)
def test_null_moments_of_known_trees(edges: list[tuple[int, int]], n_first: int, mean: float, variance: float) -> None:
    n_points = len(edges) + 1
    degree = np.bincount(np.array(edges).ravel())
    counts = np.array([[n_first, n_points - n_first]])
    arguments = (counts, np.array([len(edges) * 1.0]), np.array([(degree**2).sum() * 1.0]))
    z, p_value = friedman_rafsky_test(np.array([mean - 1.0]), *arguments)
    if variance == 0.0:
        assert (z[0], p_value[0]) == (0.0, 1.0)
    else:
        assert -1.0 / z[0] == pytest.approx(np.sqrt(variance), rel=1e-12)
        assert p_value[0] == pytest.approx(oracle.normal_cdf(z[0]), rel=1e-12)


def test_null_distribution_of_a_path() -> None:
    """The oracle itself: 70 labellings of a path of 8."""
    path = [(i, i + 1) for i in range(7)]
    assert oracle.null_distribution(path, 8, 4) == {1: 2, 2: 6, 3: 18, 4: 18, 5: 18, 6: 6, 7: 2}


@pytest.mark.parametrize(
    ("metric", "d"), [("euclidean", 1), ("euclidean", 3), ("euclidean", 40), ("cosine", 2), ("cosine", 40)]
)
def test_cross_edges_equal_reference(metric: str, d: int) -> None:
    rng = np.random.default_rng(d)
    points = rng.standard_normal((150, d))
    labels = np.array(["one", "two", "three"])[rng.choice(3, 150, p=[0.2, 0.3, 0.5])]
    found = hpcore.pairwise_henze_penrose(points, labels, metric=metric)
    np.testing.assert_array_equal(found.cross_edges, oracle.pairwise_cross_edges(points, labels, metric))
    np.testing.assert_array_equal(found.cross_edges_min, found.cross_edges_max)
    m, n = found.counts.T
    np.testing.assert_allclose(found.statistic, 1 - found.cross_edges * (m + n) / (2 * m * n), rtol=0, atol=1e-15)
    assert list(found.classes) == ["one", "three", "two"]
    assert found.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool", ">f4"])
def test_every_number_type_gives_the_same(dtype: str) -> None:
    rng = np.random.default_rng(0)
    points = rng.integers(0, 2, (40, 6)).astype(dtype)
    labels = np.arange(40) % 2
    found = hpcore.pairwise_henze_penrose(points, labels)
    reference = hpcore.pairwise_henze_penrose(points.astype(np.float64), labels)
    assert found.cross_edges[0] == reference.cross_edges[0]
    assert found.n_duplicates == reference.n_duplicates == 40 - len(np.unique(points, axis=0))


def test_more_dimensions_flatten_and_memory_maps_work(tmp_path: Any) -> None:
    points, labels = blobs(20, 12, 1.0, 5)
    path = tmp_path / "activations.npy"
    np.save(path, points.reshape(40, 3, 2, 2))
    mapped = np.load(path, mmap_mode="r")
    expected = hpcore.pairwise_henze_penrose(points, labels)
    np.testing.assert_array_equal(hpcore.pairwise_henze_penrose(mapped, labels).cross_edges, expected.cross_edges)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_extreme_float64_scales(scale: float) -> None:
    points, labels = blobs(30, 4, 1.0, 9)
    expected = hpcore.pairwise_henze_penrose(points, labels)
    found = hpcore.pairwise_henze_penrose(points.astype(np.float64) * scale, labels)
    np.testing.assert_array_equal(found.cross_edges, expected.cross_edges)
    cosine = hpcore.pairwise_henze_penrose(points.astype(np.float64) * scale, labels, metric="cosine")
    np.testing.assert_array_equal(
        cosine.cross_edges, hpcore.pairwise_henze_penrose(points, labels, metric="cosine").cross_edges
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("d", [2, 20])
def test_squares_of_small_differences_do_not_vanish(metric: str, d: int) -> None:
    """Beside 1, as in saturated softmax outputs: 1e-170 is as good as 1e-140, whose squares float64 holds."""
    rng = np.random.default_rng(3)
    small, labels = rng.standard_normal((40, d)), np.arange(40) % 2
    small[:, 0] += labels

    def beside_one(scale: float) -> hpcore.PairwiseSeparation:
        rows = np.hstack([np.ones((40, 1)), small * scale])
        rows[:4] *= -1.0
        return hpcore.pairwise_henze_penrose(rows, labels, metric=metric)

    expected, found = beside_one(1e-140), beside_one(1e-170)
    assert expected.cross_edges_min[0] > 1
    np.testing.assert_allclose(found.cross_edges, expected.cross_edges, rtol=1e-12)
    np.testing.assert_array_equal(found.cross_edges_max, expected.cross_edges_max)


def test_cosine_zero_rows() -> None:
    """Zero rows: 0 from each other, 1 from the rest; orthogonal rows are also at 1 from each other."""
    points = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 3, 0.0]])
    labels = np.array([0, 1, 0, 0, 1, 1])
    found = hpcore.pairwise_henze_penrose(points, labels, metric="cosine")
    assert (found.n_zero_rows, found.n_duplicates) == (2, 3)
    # Three nodes, all at distance 1, with 2 copies each: (1A 1B), (2A), (2B). Every edge copy has resistance 1/6.
    assert found.cross_edges[0] == pytest.approx(1 + (2 + 2 + 4) / 6, abs=1e-12)
    assert hpcore.pairwise_henze_penrose(points, labels).n_zero_rows == 0


def test_two_against_many() -> None:
    rng = np.random.default_rng(1)
    points, labels = rng.standard_normal((402, 5)), np.repeat([0, 1], [2, 400])
    found = hpcore.pairwise_henze_penrose(points, labels)
    assert found.cross_edges[0] == oracle.cross_edges(points, labels)
    assert found.counts.tolist() == [[2, 400]]


class Stop(Exception):
    """Raised by a callback that wants the computation to end."""


@pytest.mark.parametrize("n_threads", [1, 2])
def test_progress_counts_to_the_end_and_may_stop(n_threads: int) -> None:
    points, labels = blobs(10, 3, 1.0, 0, n_classes=5)
    seen: list[tuple[str, int, int]] = []
    quiet = hpcore.pairwise_henze_penrose(points, labels, n_threads=n_threads)
    watched = hpcore.pairwise_henze_penrose(
        points, labels, n_threads=n_threads, on_progress=lambda *event: seen.append(event)
    )
    np.testing.assert_array_equal(watched.cross_edges, quiet.cross_edges)
    np.testing.assert_array_equal(watched.statistic, quiet.statistic)
    assert seen[-1] == ("class_pairs", 10, 10)
    for stage in {stage for stage, _, _ in seen}:
        done = [event[1] for event in seen if event[0] == stage]
        assert done == sorted(done)
        assert done[0] == 0

    def stop(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        hpcore.pairwise_henze_penrose(points, labels, n_threads=n_threads, on_progress=stop)


def test_missing_device_is_refused() -> None:
    with pytest.raises(hpcore.HpcoreError, match="`device`"):
        hpcore.henze_penrose([[0], [1]], [[2], [3]], device="cuda")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"metric": "manhattan"}, "metric"),
        ({"ties": "random"}, "ties"),
        ({"device": "tpu"}, "device"),
        ({"n_threads": 0}, "n_threads"),
        ({"memory_budget": -1}, "memory_budget"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], name: str) -> None:
    points, labels = blobs(3, 2, 1.0, 0)
    with pytest.raises(hpcore.InvalidInput, match=f"`{name}` must be") as caught:
        hpcore.pairwise_henze_penrose(points, labels, **options)
    assert repr(next(iter(options.values()))) in str(caught.value)


HEAVY = ("numba", "torch", "triton")
LOADED = f"import json, sys; {{code}}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"


@pytest.mark.parametrize(
    ("code", "loaded"),
    [
        ("import hpcore", []),
        ("import hpcore.separation, hpcore.multiclass, hpcore.ties, hpcore.spanning_tree", []),
        ("import hpcore; hpcore.henze_penrose([[0], [1]], [[2], [3]])", ["numba"]),
        ("import hpcore._mst_cuda", ["numba", "torch"]),
    ],
)
def test_imports_stay_light(code: str, loaded: list[str]) -> None:
    """The last cases show that the check can fail; not even the code for devices needs Triton."""
    answer = subprocess.run([sys.executable, "-c", LOADED.format(code=code)], capture_output=True, check=True)
    assert json.loads(answer.stdout) == loaded


def test_lower_tail() -> None:
    points, labels = blobs(40, 2, 3.0, 0)
    found = hpcore.pairwise_henze_penrose(points, labels)
    assert found.z[0] < -5
    assert found.p_value[0] == ndtr(found.z[0]) < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_maps_are_read_in_place(tmp_path: Path, dtype: type) -> None:
    points, labels = blobs(40, 3, 2.0, 0)
    file = tmp_path / "layer.npy"
    np.save(file, points.astype(dtype))
    mapped = np.load(file, mmap_mode="r")
    embedded = distinct_points(mapped, "euclidean")
    assert embedded.copied_bytes == 0
    assert np.shares_memory(embedded.rows, mapped)
    found = hpcore.pairwise_henze_penrose(mapped, labels)
    expected = hpcore.pairwise_henze_penrose(points.astype(dtype), labels)
    np.testing.assert_array_equal(found.cross_edges, expected.cross_edges)
