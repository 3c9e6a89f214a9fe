"""Folds: balanced, shared by layers, and their means those of an independent tree."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from hpcore.errors import InvalidInput
from hpcore.folds import FoldPlan, fold_assignment, fold_means, fold_plan

Floats = NDArray[np.float64]


def scipy_mean_statistic(points: Floats, labels: NDArray[np.int64]) -> float:
    """Mean of 1 - R (m+n) / (2mn) from SciPy's tree, which is right where no distance is zero."""
    values = []
    for i, j in itertools.combinations(np.unique(labels), 2):
        chosen = np.isin(labels, (i, j))
        tree = minimum_spanning_tree(cdist(points[chosen], points[chosen])).tocoo()
        codes = labels[chosen]
        m, n = np.sum(codes == i), np.sum(codes == j)
        values.append(1 - np.sum(codes[tree.row] != codes[tree.col]) * (m + n) / (2 * m * n))
    return float(np.mean(values))


class TestFolds:
    @pytest.mark.parametrize(
        ("n_min", "expected"),
        [(31, None), (32, (10, 2)), (47, (10, 2)), (48, (10, 3)), (79, (10, 4)), (80, (10, 5)), (5000, (10, 5))],
    )
    def test_plan_follows_the_smallest_class(self, n_min: int, expected: tuple[int, int] | None) -> None:
        assert fold_plan(n_min) == (None if expected is None else FoldPlan(*expected))

    @given(sizes=st.lists(st.integers(10, 40), min_size=2, max_size=4), seed=st.integers(0, 9))
    def test_every_class_is_spread_evenly(self, sizes: list[int], seed: int) -> None:
        labels = np.repeat([f"class {i}" for i in range(len(sizes))], sizes)
        labels = np.random.default_rng(seed).permutation(labels)
        folds = fold_assignment(labels, n_repeats=3, n_folds=5, rng=seed)
        for division in folds:
            for name in np.unique(labels):
                counts = np.bincount(division[labels == name], minlength=5)
                assert counts.max() - counts.min() <= 1
        assert not np.array_equal(folds[0], folds[1])

    def test_equal_classes_meet_in_equal_numbers(self) -> None:
        labels = np.repeat(np.arange(3), 83)
        for division in fold_assignment(labels, n_repeats=4, n_folds=5):
            table = np.array([np.bincount(division[labels == k], minlength=5) for k in range(3)])
            assert (table == table[0]).all()

    def test_means_are_those_of_the_folds(self) -> None:
        generator = np.random.default_rng(0)
        labels = np.repeat(np.arange(3), [24, 20, 22])
        points = generator.normal(size=(66, 3)) + labels[:, None]
        folds = fold_assignment(labels, n_repeats=2, n_folds=4, rng=5)
        means = fold_means(points.reshape(66, 3, 1), labels, n_repeats=2, n_folds=4, rng=5, device="cpu")
        expected = [[scipy_mean_statistic(points[d == f], labels[d == f]) for f in range(4)] for d in folds]
        np.testing.assert_allclose(means, expected, rtol=0, atol=1e-12)

    def test_layers_share_their_folds(self) -> None:
        generator = np.random.default_rng(1)
        labels = np.repeat(["a", "b"], 30)
        points = generator.normal(size=(60, 4))
        first = fold_means(points, labels, n_repeats=2, n_folds=3, device="cpu")
        np.testing.assert_array_equal(first, fold_means(2 * points + 1, labels, n_repeats=2, n_folds=3, device="cpu"))
        assert not np.array_equal(first, fold_means(points, labels, n_repeats=2, n_folds=3, rng=1, device="cpu"))

    def test_progress_is_told_and_may_stop(self) -> None:
        labels = np.repeat([0, 1], 10)
        points = np.random.default_rng(2).normal(size=(20, 2))
        seen: list[tuple[str, int, int]] = []
        fold_means(points, labels, n_repeats=2, n_folds=2, device="cpu", on_progress=lambda *step: seen.append(step))
        assert seen == [("folds", i, 4) for i in (1, 2, 3, 4)]

        def stop(stage: str, done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fold_means(points, labels, n_repeats=2, n_folds=2, device="cpu", on_progress=stop)

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"n_folds": 6}, "class 1"), ({"n_folds": 1}, "`n_folds`"), ({"n_repeats": 0}, "`n_repeats`")],
    )
    def test_impossible_folds_are_refused(self, options: dict[str, int], message: str) -> None:
        with pytest.raises(InvalidInput, match=message):
            fold_means(np.zeros((31, 2)), np.repeat([0, 1], [20, 11]), **options)  # type: ignore[arg-type]  # only counts

    def test_labels_must_match_rows(self) -> None:
        with pytest.raises(InvalidInput, match="`labels`"):
            fold_means(np.zeros((30, 2)), np.repeat([0, 1], 20))
