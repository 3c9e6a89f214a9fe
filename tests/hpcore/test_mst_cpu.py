"""The certified algorithm: no wrong count on any data, for any tiling, and each inequality that it rests on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hpcore
from hpcore import _block_cpu, _candidates, _exact_cpu, _forest_cpu, _mst_cpu, spanning_tree
from hpcore._approximation import Approximation, Direct, FixedPoint, FloatProducts
from hpcore._mst_cpu import CpuBlocks
from hpcore._pair_counts import PairCounts, count_pairs
from hpcore.distances import distinct_points
from hpcore.spanning_tree import Forests
from tests import oracle

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
    rows: Array, labels: Array, *, n_threads: int = 1, budget: int | None = None, by: str | None = None
) -> Forests:
    return Forests(
        distinct_points(rows, "euclidean"),
        np.unique(labels, return_inverse=True)[1],
        len(np.unique(labels)),
        n_threads=n_threads,
        memory_budget=budget,
        report=silent,
        approximation=APPROXIMATIONS[by] if by else None,
    )


def counts(rows: Array, labels: Array, **options: Any) -> PairCounts:
    return count_pairs(forests(rows, labels, **options), "average", silent)


# --- data: the rows of the accuracy table, and worse


def logits(rng: np.random.Generator, n: int) -> Array:
    values: Array = rng.standard_normal((4 * n, 10))
    values[np.arange(4 * n), np.repeat(np.arange(4), n)] += 2.0
    return values


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))


def relu(rng: np.random.Generator, n: int, d: int = 64) -> Array:
    basis, means = rng.standard_normal((8, d)), rng.standard_normal((4, 8)) * 0.7
    low_rank = (rng.standard_normal((4 * n, 8)) + np.repeat(means, n, axis=0)) @ basis
    return np.asarray(np.maximum(low_rank + rng.standard_normal((4 * n, d)), 0).astype(np.float32))


def near_duplicates(rng: np.random.Generator, n: int) -> Array:
    anchors = relu(rng, n)[rng.integers(0, 4 * n, 4 * n)]
    return np.asarray((anchors + 1e-4 * rng.standard_normal(anchors.shape)).astype(np.float32))


def sub_clusters(rng: np.random.Generator, n: int) -> Array:
    rows = relu(rng, n)
    rows[::2] += 500.0
    return rows


def outliers(rng: np.random.Generator, n: int) -> Array:
    rows = relu(rng, n)
    chosen = rng.choice(4 * n, 4 * n // 50, replace=False)
    rows[chosen] += 1e3 * rng.standard_normal((len(chosen), 64)).astype(np.float32)
    return rows


def as_bfloat16(rows: Array) -> Array:
    return np.asarray((rows.view(np.uint32) & 0xFFFF0000).view(np.float32))


def denormals(rng: np.random.Generator, n: int) -> Array:
    return np.asarray((relu(rng, n).astype(np.float64) * 1e-41).astype(np.float32))


def mixed_scales(rng: np.random.Generator, n: int) -> Array:
    return np.asarray(rng.standard_normal((4 * n, 24)) * 10.0 ** rng.integers(-12, 12, (4 * n, 1)))


DATA: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "softmax": lambda rng, n: softmax(logits(rng, n)),
    "softmax, logits x3": lambda rng, n: softmax(3 * logits(rng, n)),
    "softmax, logits x8": lambda rng, n: softmax(8 * logits(rng, n)),
    "relu": relu,
    "relu + 100": lambda rng, n: relu(rng, n) + np.float32(100),
    "relu + 1e4": lambda rng, n: relu(rng, n) + np.float32(1e4),
    "relu + 1e9 in float64": lambda rng, n: relu(rng, n).astype(np.float64) + 1e9,
    "near duplicates": near_duplicates,
    "sub-clusters": sub_clusters,
    "outliers": outliers,
    "bfloat16": lambda rng, n: as_bfloat16(relu(rng, n)),
    "float16": lambda rng, n: relu(rng, n).astype(np.float16),
    "denormals": denormals,
    "mixed scales": mixed_scales,
    "constant features": lambda rng, n: np.hstack(
        [rng.standard_normal((4 * n, 3)), np.full((4 * n, 40), 7e6, np.float32)]
    ),
    "wide": lambda rng, n: relu(rng, n, 3001),
    "one dimension": lambda rng, n: rng.standard_normal((4 * n, 1)),
    "isotropic": lambda rng, n: rng.standard_normal((4 * n, 512)).astype(np.float32),
    "large float32": lambda rng, n: relu(rng, n) * np.float32(1e30),
    "small float32": lambda rng, n: relu(rng, n) * np.float32(1e-30),
}


TIED = ("softmax, logits x8", "relu + 1e4", "denormals")  # rounding leaves few distinct lengths


@pytest.mark.parametrize("by", [None, "fixed_point", "bytes", "float32", "float64", "direct32"])
@pytest.mark.parametrize("name", DATA)
def test_no_wrong_count(name: str, by: str | None) -> None:
    """Every pair of 4 classes; float32 bounds hold for float64 rows as well, for they are only bounds."""
    rng = np.random.default_rng(len(name))
    n = 60
    rows = DATA[name](rng, n)
    if by == "direct32" and rows.dtype == np.float64:
        by = "direct64"
    labels = np.repeat(np.arange(4), n)
    found = counts(rows, labels, by=by)
    is_unique = found.least == found.most
    expected = oracle.pairwise_cross_edges(rows, labels)
    np.testing.assert_array_equal(found.count[is_unique], expected[is_unique])
    assert (found.least <= expected).all()
    assert (expected <= found.most).all()
    assert is_unique.all() or name in TIED


@pytest.mark.parametrize("sizes", [(2, 2), (2, 700), (3, 40, 2, 500), (1030, 5)])
@pytest.mark.parametrize("d", [3, 40])
def test_class_sizes(sizes: tuple[int, ...], d: int) -> None:
    rng = np.random.default_rng(sum(sizes))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows = rng.standard_normal((sum(sizes), d)).astype(np.float32)
    rows[:, 0] += labels
    np.testing.assert_array_equal(counts(rows, labels).count, oracle.pairwise_cross_edges(rows, labels))


@pytest.mark.parametrize("by", [None, "fixed_point", "bytes"])
def test_runs_of_columns_that_the_filter_drops_at_once(by: str | None) -> None:
    """Classes of several runs and strips, their far points sorted to the end."""
    n = 3 * _block_cpu.CHUNK
    rows, labels = softmax(2 * logits(np.random.default_rng(1), n)), np.repeat(np.arange(4), n)
    chosen = labels < 2
    found = counts(rows[chosen], labels[chosen], by=by)
    np.testing.assert_array_equal(found.count, oracle.pairwise_cross_edges(rows[chosen], labels[chosen]))


@pytest.mark.parametrize("by", ["fixed_point", "bytes", "float32", "direct32"])
@pytest.mark.parametrize("part_size", [16, 33, 100])
@pytest.mark.parametrize("name", ["relu", "sub-clusters", "softmax, logits x8", "near duplicates", "isotropic"])
def test_tiles_change_nothing(name: str, part_size: int, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes in several parts, and slabs of several classes, against one part for each class."""
    rng = np.random.default_rng(1)
    rows = DATA[name](rng, 60)[:, :64]
    labels = np.concatenate([np.repeat(np.arange(3), 60), 3 + np.arange(60) // 6])
    whole = counts(rows, labels)
    monkeypatch.setattr(spanning_tree, "PART_SIZE", part_size)
    tiled = counts(rows, labels, n_threads=2, by=by)
    for field in ("count", "least", "most", "squared_weights", "squared_strengths"):
        np.testing.assert_array_equal(getattr(tiled, field), getattr(whole, field))


@given(seed=st.integers(0, 2**32 - 1), d=st.sampled_from([1, 5, 20]), n_values=st.integers(2, 40))
def test_lattices_have_the_range_of_the_reference(seed: int, d: int, n_values: int) -> None:
    """Points with small integer coordinates: repeated points and equal lengths everywhere."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, n_values, (int(rng.integers(8, 50)), d)).astype(np.int16)
    labels = rng.integers(0, 2, len(rows))
    labels[:4] = [0, 0, 1, 1]
    found = counts(rows, labels)
    assert (found.least[0], found.most[0]) == oracle.cross_edges_range(rows, labels)
    assert found.least[0] - 1e-9 <= found.count[0] <= found.most[0] + 1e-9


# --- the inequalities


@given(seed=st.integers(0, 2**32 - 1), by=st.sampled_from(list(APPROXIMATIONS)), name=st.sampled_from(list(DATA)))
def test_bounds_hold(seed: int, by: str, name: str) -> None:
    """lower < w ≤ upper for every pair, and room below w for what counts as tied."""
    rng = np.random.default_rng(seed)
    rows = distinct_points(DATA[name](rng, 8), "euclidean").rows
    if by == "direct32" and rows.dtype == np.float64:
        by = "direct64"
    exponent = -int(np.frexp(np.abs(rows).max())[1])
    approximation = APPROXIMATIONS[by](exponent)
    centre = rows.astype(np.float64).mean(axis=0)
    chosen = np.array_split(rng.permutation(len(rows)), 2)
    packed = [approximation.pack(rows, each, centre) for each in chosen]
    block = approximation.block(packed[0], packed[1], np.empty(48 * 48, np.int32))[: len(chosen[0]), : len(chosen[1])]
    of_rows, of_columns = (each.astype(np.float64) for each in approximation.bounds(packed[0], packed[1]))
    numbers = of_columns[4] * block
    upper = of_rows[0][:, None] + of_columns[0] + of_rows[2][:, None] * numbers
    lower = of_rows[1][:, None] + of_columns[1] + of_rows[3][:, None] * numbers
    scaled = np.ldexp(rows.astype(np.float64), exponent)
    exact = ((scaled[chosen[0]][:, None] - scaled[chosen[1]][None]) ** 2).sum(axis=2)
    assert (exact <= upper).all()
    assert (lower <= exact * (1 - 1.5e-12)).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    by=st.sampled_from(["fixed_point", "bytes", "float32", "float64"]),
    apart=st.sampled_from([0.0, 0.1, 1.0, 10.0, 1e3, 1e6]),
)
def test_bounds_hold_around_two_centres(seed: int, by: str, apart: float) -> None:
    """Two sets, each around a centre of its own: the bounds are as above, and narrow however far the sets are apart."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((40, 33))
    rows[20:] += apart * rng.standard_normal(33)
    sets = (np.arange(20), np.arange(20, 40))
    centres = [rows[each].mean(axis=0) for each in sets]
    approximation = APPROXIMATIONS[by](3)
    packed = []
    for own, other in ((0, 1), (1, 0)):
        shift = np.empty(20)
        _exact_cpu.centre_shifts(rows, sets[own], centres[own], centres[other], shift)
        packed.append(replace(approximation.pack(rows, sets[own], centres[own]), shift=shift * 64.0))
    block = approximation.block(packed[0], packed[1], np.empty(48 * 48, np.int32))[:20, :20]
    of_rows, of_columns = (each.astype(np.float64) for each in approximation.bounds(packed[0], packed[1]))
    numbers = of_columns[4] * block
    upper = of_rows[0][:, None] + of_columns[0] + of_rows[2][:, None] * numbers
    lower = of_rows[1][:, None] + of_columns[1] + of_rows[3][:, None] * numbers
    exact = 64.0 * ((rows[:20, None] - rows[None, 20:]) ** 2).sum(axis=2)
    assert (exact <= upper).all()
    assert (lower <= exact * (1 - 1.5e-12)).all()
    wide = 0.2 if by == "bytes" else 1e-2
    assert (upper - lower <= wide * 64.0 * 33 + 1e-5 * exact).all()


@pytest.mark.parametrize("by", list(APPROXIMATIONS))
@pytest.mark.parametrize("name", ["relu", "softmax", "sub-clusters", "mixed scales"])
def test_no_edge_of_the_reference_tree_is_dropped(name: str, by: str) -> None:
    rng = np.random.default_rng(5)
    rows = DATA[name](rng, 50)
    if by == "direct32" and rows.dtype == np.float64:
        by = "direct64"
    labels = np.repeat(np.arange(4), 50)
    found = forests(rows, labels, by=by)
    row = found.nodes.row
    edges = {frozenset((row[u], row[v])) for tree in found.trees for u, v in zip(tree.u, tree.v, strict=True)}
    crossing: dict[tuple[int, int], set[frozenset[int]]] = {}
    for cross in found.run(lambda task: task()):
        for p, (a, b) in enumerate(cross.pairs):
            ends = slice(cross.start[p], cross.start[p + 1])
            crossing[a, b] = {frozenset((row[u], row[v])) for u, v in zip(cross.u[ends], cross.v[ends], strict=True)}
    for a, b in combinations(range(4), 2):
        chosen = np.flatnonzero((labels == a) | (labels == b))
        for i, j in oracle.prim(oracle.squared_distances(rows[chosen])):
            assert frozenset((chosen[i], chosen[j])) in edges | crossing[a, b]


def test_the_filter_keeps_little() -> None:
    """Candidates are a small multiple of the cross edges in the end: nothing is exact here but by design."""
    rng = np.random.default_rng(0)
    rows, labels = relu(rng, 300), np.repeat(np.arange(4), 300)
    found = forests(rows, labels)
    n_candidates = sum(cross.u.shape[0] for cross in found.run(lambda task: task()))
    assert n_candidates < 4 * counts(rows, labels).count.sum()


def test_core_lengths_are_longest_edges_on_paths() -> None:
    """Against a walk through the tree: from each node, the longest edge to a common core."""
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((40, 3))
    tree = forests(rows, np.arange(40) // 40).trees[0]
    neighbours: dict[int, list[tuple[int, float]]] = {i: [] for i in range(40)}
    for u, v, weight in zip(tree.u, tree.v, tree.weight, strict=True):
        neighbours[u].append((v, weight))
        neighbours[v].append((u, weight))

    def longest(start: int) -> Array:
        reached = np.full(40, -1.0)
        reached[start] = 0.0
        stack = [start]
        while stack:
            node = stack.pop()
            for other, weight in neighbours[node]:
                if reached[other] < 0:
                    reached[other] = max(reached[node], weight)
                    stack.append(other)
        return reached

    assert any(np.array_equal(longest(core), tree.core) for core in range(40))


# --- fallbacks, threads, memory


def test_fallbacks_run_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no candidates allowed every block goes through Prim on exact lengths."""
    calls: list[str] = []
    original = _candidates.between_trees

    def watched(*arguments: Any) -> Any:
        calls.append("between")
        return original(*arguments)

    rng = np.random.default_rng(3)
    rows, labels = relu(rng, 40), np.repeat(np.arange(4), 40)
    expected = counts(rows, labels)
    monkeypatch.setattr(_candidates, "between_trees", watched)
    for per_point in (0, 1):
        for part_size in (1024, 20):
            for module in (_mst_cpu, _candidates):
                monkeypatch.setattr(module, "CANDIDATES_PER_POINT", per_point)
            monkeypatch.setattr(spanning_tree, "PART_SIZE", part_size)
            np.testing.assert_array_equal(counts(rows, labels).count, expected.count)
    assert calls


@pytest.mark.parametrize("by", [None, "fixed_point", "bytes", "float32"])
@pytest.mark.parametrize("apart", [20.0, 500.0, 1e5])
def test_clusters_are_searched_one_by_one(apart: float, by: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two or three far clusters in a class, some of them shared: nothing needs Prim's algorithm over both trees."""
    rng = np.random.default_rng(7)
    n = 230
    rows, labels = relu(rng, n, 24), np.repeat(np.arange(4), n)
    places = apart * rng.standard_normal((4, 24)).astype(np.float32)
    rows += places[np.minimum(rng.integers(0, 3, 4 * n), labels)]
    monkeypatch.setattr(CpuBlocks, "between_trees", lambda *_: pytest.fail("Prim"))
    np.testing.assert_array_equal(counts(rows, labels, by=by).count, oracle.pairwise_cross_edges(rows, labels))


def test_clusters_have_cores_of_their_own() -> None:
    """The components that are left when gaps are cut, as if each had been given alone; a few points are no cluster."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((90, 3))
    rows[40:80] += 50.0
    rows[80:] -= 50.0
    tree = forests(rows, np.zeros(90)).trees[0]
    core, label = np.empty(90), np.empty(90, np.intp)
    row = np.empty(90, np.intp)
    row[:] = forests(rows, np.zeros(90)).nodes.row
    _forest_cpu.cluster_cores(tree.u, tree.v, tree.weight, 100.0, 20, core, label)
    assert len(np.unique(label)) == 2
    far = row >= 80
    for own in (row < 40) | far, (row >= 40) & ~far:
        assert len(np.unique(label[own])) == 1
        alone = forests(rows[np.sort(row[own])], np.zeros(own.sum())).trees[0]
        np.testing.assert_array_equal(np.sort(core[own]), np.sort(alone.core))
    assert (core[far] > 100.0).all()


def test_far_clusters_need_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_candidates, "between_trees", lambda *_: pytest.fail("fell back"))
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(4), 200)
    counts(relu(rng, 200), labels)
    with pytest.raises(pytest.fail.Exception, match="fell back"):
        counts(sub_clusters(rng, 200), labels)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_memory_budget_changes_nothing_but_the_plan(n_threads: int) -> None:
    rng = np.random.default_rng(4)
    rows, labels = relu(rng, 150), np.repeat(np.arange(4), 150)
    plenty = forests(rows, labels, n_threads=n_threads)
    scarce = forests(rows, labels, n_threads=n_threads, budget=2_000_000)
    assert scarce._plan != plenty._plan
    np.testing.assert_array_equal(
        count_pairs(plenty, "average", silent).count, count_pairs(scarce, "average", silent).count
    )
    with pytest.raises(hpcore.HpcoreError, match=r"`memory_budget` must be at least \d+ bytes"):
        forests(rows, labels, budget=1000)


def test_kernels_are_vectorised() -> None:
    """A lost vectorisation costs a factor of five and is otherwise silent: look for packed minima in machine code."""
    block, bounds, ends = np.zeros((8, 8), np.int32), np.zeros((5, 8), np.float32), np.empty(8, np.int32)
    lengths, span, bridge = np.zeros(8, np.float32), (0, 8, 0, 8), np.float32(0)
    lowest = np.zeros((8, 1), np.float32)
    between = (block, bounds, bounds, span, lengths, lengths, lengths, lengths, bridge)
    functions: list[tuple[Any, tuple[Any, ...]]] = [
        (_block_cpu.tree_candidates, (block, bounds, ends, ends)),
        (_block_cpu.improve_bottlenecks, (*between, lowest)),
        (_block_cpu.list_candidates, (*between, lowest, ends, ends)),
    ]
    for function, arguments in functions:
        fresh = numba.njit(fastmath=set(_block_cpu.ORDERED))(function.py_func)  # cached code cannot be looked into
        fresh(*arguments)
        code = next(iter(fresh.inspect_asm().values()))
        assert re.search(r"v?minps|fminnm|fcmgt", code)
