"""Few features: panels of neighbours, boxes around them, and no edge lost to either."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hpcore
from hpcore import _candidates, _mst_cpu, _near, _panels_cpu
from hpcore._approximation import Direct, FixedPoint
from hpcore._pair_counts import PairCounts, count_pairs
from hpcore._simd import LANES
from hpcore.distances import distinct_points
from hpcore.spanning_tree import Forests
from tests import oracle

Array = NDArray[Any]
N_CLASSES = 3


def forests(rows: Array, labels: Array, **options: Any) -> Forests:
    codes = np.unique(labels, return_inverse=True)[1]
    points = distinct_points(rows, "euclidean")
    settings = {"n_threads": 1, "memory_budget": None, "report": lambda *_: None} | options
    return Forests(points, codes, int(codes.max()) + 1, **settings)


def counts(rows: Array, labels: Array, **options: Any) -> PairCounts:
    return count_pairs(forests(rows, labels, **options), "average", lambda *_: None)


def softmax(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    powers = np.exp(3 * rng.standard_normal(shape))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def clusters(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Few places, many points near each, and a few points far from all."""
    places = rng.standard_normal((4, shape[1]))
    rows = places[rng.integers(0, 4, shape[0])] + 1e-4 * rng.standard_normal(shape)
    rows[:: shape[0] // 3] += 100.0
    return np.asarray(rows)


def far_from_zero(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return np.asarray(rng.standard_normal(shape) + 1e3)


def scales(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return np.asarray(rng.standard_normal(shape) * 10.0 ** rng.integers(-9, 9, (shape[0], 1)))


def curve(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """On a line, where every box is a point in all features but one."""
    rows = np.zeros(shape)
    rows[:, -1] = rng.exponential(size=shape[0])
    return rows


DATA: dict[str, Callable[[np.random.Generator, tuple[int, int]], Array]] = {
    "isotropic": lambda rng, shape: rng.standard_normal(shape),
    "softmax": softmax,
    "clusters": clusters,
    "far from zero": far_from_zero,
    "scales": scales,
    "curve": curve,
}

drawn = given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(list(DATA)),
    d=st.integers(1, 16),
    dtype=st.sampled_from([np.float32, np.float64]),
)


@drawn
def test_no_edge_of_the_reference_tree_is_filtered_out(seed: int, name: str, d: int, dtype: type) -> None:
    """Candidates hold a minimum tree: Kruskal over them reaches the total length of Prim over everything."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 80, N_CLASSES)
    labels = np.repeat(np.arange(N_CLASSES), sizes)
    rows: Array = DATA[name](rng, (len(labels), d)).astype(dtype)
    part_size = int(rng.choice([24, 64, 1024]))
    found = forests(rows, labels, part_size=part_size)
    assert found._near is not None
    row, pairs = found.nodes.row, {}
    for cross in found.run(lambda cross: cross):
        for p, (a, b) in enumerate(cross.pairs):
            ends = slice(cross.start[p], cross.start[p + 1])
            pairs[a, b] = [(cross.u[ends], cross.v[ends])] + [(found.trees[c].u, found.trees[c].v) for c in (a, b)]
    for pair in combinations(range(N_CLASSES), 2):
        squared = oracle.squared_distances(rows)
        chosen = np.flatnonzero(np.isin(labels, pair))
        reference = [squared[chosen[i], chosen[j]] for i, j in oracle.prim(squared[np.ix_(chosen, chosen)])]
        candidates = np.full(squared.shape, np.inf)
        for u, v in pairs[pair]:
            candidates[row[u], row[v]] = candidates[row[v], row[u]] = squared[row[u], row[v]]
        nodes = np.unique(np.concatenate([row[each] for ends in pairs[pair] for each in ends]))
        of_points = candidates[np.ix_(nodes, nodes)]
        own = sorted(of_points[i, j] for i, j in oracle.prim(of_points))
        expected = sorted(each for each in reference if each > 0)  # repeated rows are one node of each class
        np.testing.assert_allclose([each for each in own if each > 0], expected, rtol=1e-11)


@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(3, 16),
    dtype=st.sampled_from([np.float32, np.float64]),
    part_size=st.sampled_from([24, 1024]),
    run_panels=st.sampled_from([1, 16]),
)
def test_equal_lengths_stay_equal_however_they_are_rounded(
    seed: int, d: int, dtype: type, part_size: int, run_panels: int
) -> None:
    """Rows are permutations of a few numbers: many distances are equal, and their sums are rounded in other orders.

    Every edge that is tied with a path must stay, so nothing may be excluded by less than the rounding.
    """
    rng = np.random.default_rng(seed)
    values: Array = np.where(rng.random(d) < 0.5, rng.random(), rng.random(d)).astype(dtype)
    n = int(rng.integers(8, 120))
    rows = rng.permuted(np.tile(values, (n, 1)), axis=1)
    labels = np.repeat([0, 1], (n // 3, n - n // 3))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_near, "RUN_PANELS", run_panels)
        found = counts(rows, labels, part_size=part_size)
    assert (found.least[0], found.most[0]) == _range_of_levels(rows, labels)


def _range_of_levels(rows: Array, labels: Array) -> tuple[int, int]:
    """Least and greatest R over all minimum trees, lengths within 10⁻¹² of each other being equal."""
    squared = oracle.squared_distances(rows)
    lengths = np.unique(squared)
    level = np.cumsum(np.concatenate(([0], np.diff(lengths) > 1e-12 * lengths[1:])))
    rank = 4.0 * level[np.searchsorted(lengths, squared)]
    crosses = labels[:, None] != labels
    fewest, most = (oracle.cross_count(oracle.prim(rank + sign * crosses), labels) for sign in (1, -1))
    return fewest, most


@drawn
def test_gaps_are_no_longer_than_any_distance(seed: int, name: str, d: int, dtype: type) -> None:
    """(1 - e) gap - t < w in exact arithmetic, for all points of two boxes; every point is in one panel."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 120))
    points: Array = np.ascontiguousarray(DATA[name](rng, (n, d)) / 128.0, dtype)
    order = np.empty(n, np.int32)
    _panels_cpu.near_order(points, order)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    n_panels = -(-n // LANES)
    data: Array = np.empty((n_panels, d, LANES), dtype)
    low: Array = np.empty((d, n_panels), dtype)
    high: Array = np.empty((d, n_panels), dtype)
    gap: Array = np.empty((n_panels, n_panels), dtype)
    _panels_cpu.fill_panels(points, order, data, low, high)
    _panels_cpu.fill_gaps(low, high, (0, n_panels), (0, n_panels), gap)
    in_order = data.transpose(0, 2, 1).reshape(-1, d)
    np.testing.assert_array_equal(in_order[:n], points[order])
    np.testing.assert_array_equal(in_order[n:], np.broadcast_to(points[order[-1]], (len(in_order) - n, d)))
    squared = oracle.squared_distances(in_order).reshape(n_panels, LANES, n_panels, LANES).min(axis=(1, 3))
    _, bounds = Direct(dtype, 0).bounds(*[_packed(points)] * 2)
    lower = bounds[3, 0].astype(np.float64) * gap + 2 * float(bounds[1, 0])
    assert (lower <= squared * (1 - 1.5e-12)).all()


def _packed(points: Array) -> Any:
    return Direct(points.dtype.type, 0).pack(points, np.arange(len(points)), np.empty(0))


@given(d=st.integers(1, 16), dtype=st.sampled_from([np.float32, np.float64]), x=st.floats(0.0, 1e6))
def test_the_widening_leaves_no_doubt(d: int, dtype: type, x: float) -> None:
    """Just above the widened path the lower bound exceeds the upper bound of the path."""
    direct = Direct(dtype, 0)
    ratio, extra = direct.widening(d)
    _, bounds = direct.bounds(*[_packed(np.zeros((2, d), dtype))] * 2)
    longest = dtype(x)
    shortest = float(np.nextafter(longest * ratio + extra, dtype(np.inf)))
    lower = float(bounds[3, 0]) * shortest + 2 * float(bounds[1, 0])
    assert lower > float(bounds[2, 0]) * float(longest) + 2 * float(bounds[0, 0])


def test_the_order_of_rows_changes_nothing() -> None:
    """Not even the last bit, with ties and without."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 150)
    for rows in (softmax(rng, (600, 10)).astype(np.float32), rng.integers(0, 6, (600, 4)).astype(np.int16)):
        for ties in ("average", "first"):
            plain = hpcore.pairwise_henze_penrose(rows, labels, ties=ties)
            mixed = rng.permutation(600)
            other = hpcore.pairwise_henze_penrose(rows[mixed], labels[mixed], ties=ties)
            for field in ("cross_edges", "cross_edges_min", "cross_edges_max", "z", "p_value"):
                np.testing.assert_array_equal(getattr(other, field), getattr(plain, field))


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("part_size", [16, 50, 1024])
def test_sets_and_dearer_ways_change_nothing(name: str, part_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes in several sets, and every limit on the number of candidates, against blocks of products."""
    rng = np.random.default_rng(1)
    labels = np.concatenate([np.repeat(np.arange(2), 120), 2 + np.arange(30) // 6])
    rows = DATA[name](rng, (len(labels), 7)).astype(np.float32)
    calls: list[str] = []

    def watched(*arguments: Any) -> Any:
        calls.append("between")
        return _candidates.between_trees(*arguments)

    monkeypatch.setattr(_near, "between_trees", watched)
    expected = counts(rows, labels, approximation=FixedPoint)
    for per_point in (40, 1, 0):
        monkeypatch.setattr(_mst_cpu, "CANDIDATES_PER_POINT", per_point)
        found = counts(rows, labels, part_size=part_size, n_threads=2)
        for field in ("count", "least", "most", "squared_weights", "squared_strengths"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
    assert calls


def test_large_classes_of_several_sets() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(3), (1500, 40, 700))
    rows = softmax(rng, (len(labels), 6)).astype(np.float32)
    whole = counts(rows, labels, part_size=2048)
    parts = counts(rows, labels, part_size=256)
    np.testing.assert_array_equal(parts.count, whole.count)
    np.testing.assert_array_equal(parts.squared_strengths, whole.squared_strengths)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("run_panels", [1, 3, 8])
def test_runs_of_panels_change_nothing(name: str, run_panels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of classes by way of trees of runs, against Prim's algorithm over the whole class."""
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(3), (200, 33, 97))
    rows = DATA[name](rng, (len(labels), 5)).astype(np.float32)
    monkeypatch.setattr(_near, "RUN_PANELS", 1024)
    whole = forests(rows, labels).trees
    monkeypatch.setattr(_near, "RUN_PANELS", run_panels)
    divided: list[bool] = []
    within_runs = _near.Near._within_runs

    def watched(near: _near.Near, own: _near.NearSet) -> Any:
        ends = within_runs(near, own)
        divided.append(ends is not None)
        return ends

    monkeypatch.setattr(_near.Near, "_within_runs", watched)
    for tree, expected in zip(forests(rows, labels).trees, whole, strict=True):
        for field in ("u", "v", "weight", "in_tree", "core"):
            np.testing.assert_array_equal(getattr(tree, field), getattr(expected, field))
    assert len(divided) == 3
    assert any(divided) or name == "clusters"  # where far clusters make too many candidates, the whole class follows


@given(seed=st.integers(0, 2**32 - 1))
def test_marked_lanes_are_listed_once(seed: int) -> None:
    """Every bit of four rows of lanes; what has no room is counted."""
    rng = np.random.default_rng(seed)
    marks = rng.random((4, LANES)) < rng.choice([0.0, 0.03, 0.5, 1.0])
    bits = np.packbits(marks.reshape(-1), bitorder="little").view(np.uint64)[0]
    room = int(rng.integers(1, 70))
    points, others = np.full((2, room), -1, np.int32)
    used = _panels_cpu.append_lanes(bits, 100, 1000, points, others, 0)
    rows, columns = np.nonzero(marks)
    assert used == rows.size
    np.testing.assert_array_equal(points[:used], 100 + rows[:room])
    np.testing.assert_array_equal(others[:used], 1000 + columns[:room])
    assert (points[used:] == -1).all()


def test_the_filters_keep_little() -> None:
    """Class trees hold hardly more than their edges, pairs a small multiple of the cross edges in the end."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(3), 400)
    rows = softmax(rng, (1200, 10)).astype(np.float32)
    found = forests(rows, labels)
    assert all(tree.u.shape[0] == 399 for tree in found.trees)
    n_candidates = sum(cross.u.shape[0] for cross in found.run(lambda cross: cross))
    assert n_candidates < 10 * counts(rows, labels).count.sum()


@given(seed=st.integers(0, 2**32 - 1), most=st.integers(1, 5000), n_threads=st.integers(1, 20))
def test_runs_hold_every_pair_once_and_leave_no_thread_waiting(seed: int, most: int, n_threads: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 500, int(rng.integers(2, 30)))
    pairs = np.stack(np.triu_indices(len(sizes), 1), axis=1)
    runs = _near.runs_of_pairs(pairs, sizes, most, n_threads)
    assert [each for run in runs for each in range(len(pairs))[run]] == list(range(len(pairs)))
    points, work = sizes[pairs].sum(axis=1), sizes[pairs].prod(axis=1)
    for run in runs:
        if run.stop - run.start > 1:
            remaining = work[run.start :].sum()
            assert points[run].sum() <= most
            assert work[run].sum() <= max(remaining / 2, work.sum() / 16) / n_threads


def test_runs_are_no_smaller_than_they_must_be() -> None:
    pairs = np.stack(np.triu_indices(40, 1), axis=1)
    runs = _near.runs_of_pairs(pairs, np.full(40, 100), 10**6, 2)
    assert 12 <= len(runs) <= 40
