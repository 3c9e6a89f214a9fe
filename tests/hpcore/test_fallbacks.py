"""Prim's algorithm where bounds leave too many candidates, clusters that spare it, and counts that stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpcore import _candidates, _forest_cpu, _mst_cpu, spanning_tree
from hpcore._mst_cpu import CpuBlocks
from tests import oracle
from tests.hpcore.hard_data import relu, sub_clusters
from tests.hpcore.made_forests import counts, forests


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
