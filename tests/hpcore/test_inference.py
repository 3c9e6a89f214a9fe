"""Subsample t and class jackknife against their definitions, hand calculation and the theory of their variances."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore.errors import InvalidInput
from hpcore.inference import class_jackknife_test, subsample_test

Floats = NDArray[np.float64]


def class_pairs(n_classes: int) -> NDArray[np.int64]:
    return np.array(list(itertools.combinations(range(n_classes), 2)))


class TestSubsample:
    def test_variance_by_hand(self) -> None:
        folds = [[1.0, 3.0], [2.0, 2.0]]  # variances 2 and 0, so V = (2 + 0) / 2 / 2 = 1/2
        result = subsample_test(1.5, folds)
        assert result.standard_error == pytest.approx(math.sqrt(0.5))
        assert result.degrees_of_freedom == 2
        assert result.p_value == pytest.approx(2 * scipy.stats.t.sf(1.5 / math.sqrt(0.5), 2))

    def test_ten_degrees_of_freedom_and_the_interval(self) -> None:
        folds = np.random.default_rng(0).normal(size=(10, 5))
        result = subsample_test(0.3, folds)
        assert result.degrees_of_freedom == 10
        assert result.standard_error is not None
        assert result.low == pytest.approx(0.3 - 2.228139 * result.standard_error, rel=1e-6)
        assert result.high == pytest.approx(0.3 + 2.228139 * result.standard_error, rel=1e-6)
        edge = subsample_test(2.228139 * result.standard_error, folds)
        assert edge.p_value == pytest.approx(0.05, rel=1e-5)
        assert not edge.exact

    def test_sidedness(self) -> None:
        folds = np.random.default_rng(1).normal(size=(10, 5))
        greater = subsample_test(0.5, folds, alternative="greater").p_value
        less = subsample_test(0.5, folds, alternative="less").p_value
        both = subsample_test(0.5, folds).p_value
        assert greater is not None
        assert less is not None
        assert greater < 0.5 < less
        assert greater + less == pytest.approx(1)
        assert both == pytest.approx(2 * greater)

    def test_independent_variances_add(self) -> None:
        generator = np.random.default_rng(2)
        train, validation = generator.normal(size=(10, 5)), 3 * generator.normal(size=(10, 5))
        alone = [subsample_test(1.0, folds).standard_error for folds in (train, validation)]
        both = subsample_test(1.0, train, independent_fold_statistics=validation).standard_error
        assert both == pytest.approx(math.hypot(*[value for value in alone if value is not None]))

    def test_no_change_at_all(self) -> None:
        result = subsample_test(0.0, np.zeros((10, 5)))
        assert result.p_value == 1.0
        assert result.reason == "identical"

    def test_rounding_counts_as_no_change(self) -> None:
        folds = np.full((10, 5), 0.1 + 0.2) - 0.3
        folds[0, 0] = 0.0
        assert subsample_test(1e-16, folds).reason == "identical"

    def test_no_variance_but_a_difference(self) -> None:
        result = subsample_test(0.5, np.full((10, 5), 0.4))
        assert result.p_value is None
        assert result.low is None
        assert result.reason is not None
        assert "no variance" in result.reason

    def test_level_and_variance_for_a_mean_of_points(self) -> None:
        """For the mean of n points V is unbiased and the test keeps its level."""
        generator = np.random.default_rng(3)
        n, rejected, variances = 100, 0, []
        for _ in range(400):
            points = generator.normal(size=n)
            order = np.array([generator.permutation(n) for _ in range(10)])
            folds = points[order].reshape(10, 5, n // 5).mean(axis=2)
            result = subsample_test(float(points.mean()), folds)
            assert result.p_value is not None
            assert result.standard_error is not None
            rejected += result.p_value <= 0.05
            variances.append(result.standard_error**2)
        assert np.mean(variances) * n == pytest.approx(1.0, abs=0.06)
        assert 0.01 < rejected / 400 < 0.07

    @pytest.mark.parametrize("folds", [np.zeros(5), np.zeros((10, 1)), np.zeros((0, 5)), np.full((2, 2), np.nan)])
    def test_bad_folds_are_refused(self, folds: Floats) -> None:
        with pytest.raises(InvalidInput, match="`fold_statistics`"):
            subsample_test(0.0, folds)
        with pytest.raises(InvalidInput, match="`independent_fold_statistics`"):
            subsample_test(0.0, np.zeros((2, 2)), independent_fold_statistics=folds)

    def test_bad_statistic_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="`statistic`"):
            subsample_test(math.nan, np.zeros((2, 2)))


class TestClassJackknife:
    def test_by_hand(self) -> None:
        # Pairs (0,1) (0,2) (1,2): leaving out a class leaves one pair; theta = 5, 1, 0, mean 2.
        result = class_jackknife_test([0.0, 1.0, 5.0], [0.0] * 3, class_pairs(3))
        variance = 2 / 3 * (3**2 + 1**2 + 2**2)
        assert result.statistic == 2.0
        assert result.standard_error == pytest.approx(math.sqrt(variance))
        assert result.degrees_of_freedom == 2
        assert result.p_value == pytest.approx(2 * scipy.stats.t.sf(2 / math.sqrt(variance), 2))

    def test_two_classes_have_no_answer(self) -> None:
        result = class_jackknife_test([0.5], [0.1], [[0, 1]])
        assert result.p_value is None
        assert result.statistic == pytest.approx(0.4)
        assert result.reason is not None
        assert "3 classes" in result.reason

    def test_no_change_and_uniform_change(self) -> None:
        values = np.random.default_rng(0).random(10)
        assert class_jackknife_test(values, values, class_pairs(5)).p_value == 1.0
        assert class_jackknife_test(values + 0.25, values, class_pairs(5)).p_value is None

    @given(permutation=st.permutations(range(5)))
    def test_names_of_classes_do_not_matter(self, permutation: list[int]) -> None:
        values = np.random.default_rng(1).random(10)
        first = class_jackknife_test(values, np.zeros(10), class_pairs(5), alternative="greater")
        renamed = np.array(permutation)[class_pairs(5)]
        second = class_jackknife_test(values, np.zeros(10), renamed, alternative="greater")
        assert first.p_value == pytest.approx(second.p_value, rel=1e-9)

    @pytest.mark.parametrize(("n_classes", "ratio"), [(3, 2.41), (4, 1.74), (5, 1.51), (10, 1.21), (20, 1.10)])
    def test_conservative_by_the_known_factor(self, n_classes: int, ratio: float) -> None:
        """V over the true variance for exchangeable classes whose pairs correlate .18, as HP does under the null."""
        generator = np.random.default_rng(n_classes)
        pairs = class_pairs(n_classes)
        rho, repeats = 0.18, 1500
        effects = generator.normal(scale=math.sqrt(rho), size=(repeats, n_classes))
        noise = generator.normal(scale=math.sqrt(1 - 2 * rho), size=(repeats, len(pairs)))
        values = effects[:, pairs[:, 0]] + effects[:, pairs[:, 1]] + noise
        truth = 4 * rho / n_classes + 2 * (1 - 2 * rho) / (n_classes * (n_classes - 1))
        results = [class_jackknife_test(row, 0.0, pairs) for row in values]
        variance = np.mean([result.standard_error**2 for result in results if result.standard_error is not None])
        assert variance / truth == pytest.approx(ratio, rel=0.1)
        size = np.mean([result.p_value is not None and result.p_value <= 0.05 for result in results])
        assert 0.01 < size < 0.055

    @pytest.mark.parametrize(
        ("a", "b", "pairs"),
        [
            ([0.1, 0.2], [0.0, 0.0], class_pairs(3)),
            ([0.1, math.nan, 0.3], [0.0] * 3, class_pairs(3)),
            ([], [], np.empty((0, 2))),
        ],
    )
    def test_bad_shapes_are_refused(self, a: list[float], b: list[float], pairs: NDArray[np.int64]) -> None:
        with pytest.raises(InvalidInput):
            class_jackknife_test(a, b, pairs)
