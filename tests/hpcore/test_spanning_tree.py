"""Layout, memory plans, and the two ways to count the edges of a pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hpcore
from hpcore._layout import lay_out, slabs
from hpcore._pair_counts import count_pairs
from hpcore._plan import make_plan
from hpcore.distances import distinct_points
from hpcore.errors import OutOfMemory
from hpcore.spanning_tree import Forests, minimal_edges
from tests import oracle
from tests.hpcore.hard_data import relu
from tests.hpcore.made_forests import forests, silent


def nodes_of(sizes: list[int]) -> Any:
    rows = np.arange(float(sum(sizes)))[:, None]
    points = distinct_points(rows, "euclidean")
    return points, lay_out(points, np.repeat(np.arange(len(sizes)), sizes), len(sizes))


@pytest.mark.parametrize("sizes", [[5], [3, 3, 3], [100, 2, 2, 30, 7, 7, 7, 64], [2] * 50, [31, 33, 32], [10, 2, 2]])
@pytest.mark.parametrize("part_size", [1, 8, 32, 1000])
def test_slabs_cover_all_nodes_once(sizes: list[int], part_size: int) -> None:
    _, nodes = nodes_of(sizes)
    found = slabs(nodes, part_size)
    covered = [i for slab in found for part in slab.parts for i in range(part.start, part.stop)]
    assert covered == list(range(sum(sizes)))
    assert [label for slab in found for label in range(slab.first, slab.stop)] == list(range(len(sizes)))
    for slab in found:
        assert len(slab.parts) == 1 or slab.stop - slab.first == 1
        assert all(part.stop - part.start <= part_size for part in slab.parts)
        assert slab.stop - slab.first == 1 or max(sizes[slab.first : slab.stop]) <= part_size / 4
    assert len(found) < max(2, len(sizes)) or max(sizes) > part_size / 4


def test_nodes_collapse_copies_within_a_class_only() -> None:
    rows = np.array([[1.0], [1.0], [2.0], [1.0], [2.0], [2.0]])
    nodes = lay_out(distinct_points(rows, "euclidean"), np.array([0, 0, 0, 1, 1, 1]), 2)
    assert nodes.start.tolist() == [0, 2, 4]
    assert sorted(zip(rows[nodes.row, 0], nodes.copies, strict=True)) == [(1.0, 1), (1.0, 2), (2.0, 1), (2.0, 2)]


def test_plans_shrink_with_the_budget() -> None:
    points, nodes = nodes_of([2000, 2000])
    whole = make_plan(points, nodes, 4, None, 1024)
    assert (whole.part_size, whole.n_threads, whole.keep_packed) == (1024, 4, True)
    sizes = []
    for budget in (200_000_000, 40_000_000, 10_000_000, 5_000_000):
        plan = make_plan(points, nodes, 4, budget, 1024)
        sizes.append(plan.part_size * plan.n_threads)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]
    with pytest.raises(OutOfMemory, match="`memory_budget`"):
        make_plan(points, nodes, 4, 100_000, 1024)


@pytest.mark.parametrize("seed", range(4))
def test_bulk_and_single_counts_agree(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair through the path for ties, against Kruskal in bulk."""
    rng = np.random.default_rng(seed)
    rows, labels = rng.standard_normal((90, 6)), np.arange(90) % 5
    forests = Forests(
        distinct_points(rows, "euclidean"), labels, 5, n_threads=1, memory_budget=None, report=lambda *_: None
    )
    bulk = count_pairs(forests, "average", lambda *_: None)
    monkeypatch.setattr("hpcore._pair_forests_cpu.pair_forests", lambda *arguments: arguments[-1].fill(True))
    for ties in ("average", "first"):
        single = count_pairs(forests, ties, lambda *_: None)
        for field in ("count", "least", "most", "squared_weights", "squared_strengths"):
            np.testing.assert_allclose(getattr(single, field), getattr(bulk, field), rtol=1e-13, err_msg=field)


@pytest.mark.parametrize("n", [2, 3, 60])
def test_edges_of_one_set(n: int) -> None:
    rows = np.random.default_rng(n).standard_normal((n, 4))
    edges = minimal_edges(rows, 1e-12)
    found = set(zip(edges.u.tolist(), edges.v.tolist(), strict=True))
    assert found == {(min(e), max(e)) for e in oracle.prim(oracle.squared_distances(rows))}
    assert (np.diff(edges.weight) >= 0).all()


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
