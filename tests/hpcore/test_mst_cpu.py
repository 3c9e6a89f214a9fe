"""The certified algorithm: no wrong count on any data, for any tiling, and each inequality that it rests on."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _block_cpu, _exact_cpu, spanning_tree
from hpcore.distances import distinct_points
from tests import oracle
from tests.hpcore.hard_data import HARD_DATA, logits, relu, softmax
from tests.hpcore.made_forests import APPROXIMATIONS, counts, forests

Array = NDArray[Any]
TIED = ("softmax, logits x8", "relu + 1e4", "denormals")  # rounding leaves few distinct lengths


@pytest.mark.parametrize("by", [None, "fixed_point", "bytes", "float32", "float64", "direct32"])
@pytest.mark.parametrize("name", HARD_DATA)
def test_no_wrong_count(name: str, by: str | None) -> None:
    """Every pair of 4 classes; float32 bounds hold for float64 rows as well, for they are only bounds."""
    rng = np.random.default_rng(len(name))
    n = 60
    rows = HARD_DATA[name](rng, n)
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
    rows = HARD_DATA[name](rng, 60)[:, :64]
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


@given(seed=st.integers(0, 2**32 - 1), by=st.sampled_from(list(APPROXIMATIONS)), name=st.sampled_from(list(HARD_DATA)))
def test_bounds_hold(seed: int, by: str, name: str) -> None:
    """lower < w ≤ upper for every pair, and room below w for what counts as tied."""
    rng = np.random.default_rng(seed)
    rows = distinct_points(HARD_DATA[name](rng, 8), "euclidean").rows
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
    rows = HARD_DATA[name](rng, 50)
    if by == "direct32" and rows.dtype == np.float64:
        by = "direct64"
    labels = np.repeat(np.arange(4), 50)
    found = forests(rows, labels, by=by)
    row = found.nodes.row
    edges = {frozenset((row[u], row[v])) for tree in found.trees for u, v in zip(tree.u, tree.v, strict=True)}
    crossing: dict[tuple[int, int], set[frozenset[int]]] = {}
    for cross in found.run(lambda cross: cross):
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
    n_candidates = sum(cross.u.shape[0] for cross in found.run(lambda cross: cross))
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
