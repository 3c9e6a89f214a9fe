"""Permutation tests by random draws against exact ones, SciPy and theory; max-T over the same draws."""

import math

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from hpcore import permutation
from hpcore.permutation import max_t_p_values, permutation_test, permutation_tests
from tests.hpcore.enumeration import TAILS

Floats = NDArray[np.float64]


class TestMonteCarlo:
    def test_agrees_with_exact_within_its_standard_error(self) -> None:
        generator = np.random.default_rng(3)
        a, b = generator.integers(0, 300, 45) / 1000 + 0.02, generator.integers(0, 300, 45) / 1000
        for paired in (False, True):
            for alternative in TAILS:
                exact = permutation_test(a, b, paired=paired, alternative=alternative, method="exact").p_value
                drawn = permutation_test(
                    a, b, paired=paired, alternative=alternative, method="monte_carlo", n_resamples=20_000, rng=4
                ).p_value
                assert exact is not None
                assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000) + 1e-4)

    def test_smallest_p_value_counts_the_observed_division(self) -> None:
        result = permutation_test(
            np.arange(30) + 100, np.arange(30), alternative="greater", method="monte_carlo", n_resamples=199, rng=0
        )
        assert result.p_value == 1 / 200

    def test_float_ties_are_counted(self) -> None:
        """Off the lattice the sums of the same values in another order differ in the last place."""
        values = np.array([0.1, math.pi, math.e, math.sqrt(2)])
        # With equal samples every draw that splits the twins evenly ties with the observed difference of zero.
        p_value = permutation_test(values, values, method="monte_carlo", n_resamples=500, rng=0).p_value
        assert p_value == 1.0

    def test_what_a_sum_in_another_order_can_differ_by_is_a_tie(self) -> None:
        """A sum of n terms is wrong by at most n u Σ|x|: many values off the lattice need more room than few."""
        values = np.random.default_rng(0).normal(size=5000)
        problem = permutation._problem(values, values[:500], paired=False)
        most = 5500 * np.finfo(np.float64).eps / 2 * np.abs(problem.values).sum()
        assert problem.integers is None
        within, beyond = problem.observed + most * np.array([[-0.9, 0.9], [-1.1, 1.1]])
        for alternative, place in zip(TAILS[1:], (0, 1), strict=True):
            assert permutation._monte_carlo_p_value(problem, within[place : place + 1], alternative) == 1.0
            assert permutation._monte_carlo_p_value(problem, beyond[place : place + 1], alternative) == 0.5
        assert permutation._monte_carlo_p_value(problem, within, "two-sided") == 1.0

    def test_same_seed_same_draws_and_a_generator_moves_on(self) -> None:
        generator = np.random.default_rng(0)
        a, b = generator.normal(size=20), generator.normal(size=20)
        first = permutation_test(a, b, n_resamples=300, rng=7)
        assert first == permutation_test(a, b, n_resamples=300, rng=7)
        assert first == permutation_test(a, b, n_resamples=300, rng=np.random.default_rng(7))
        assert first == permutation_test(a, b, n_resamples=300, rng=np.random.PCG64(7))

    def test_against_scipy(self) -> None:
        generator = np.random.default_rng(8)
        a, b = generator.normal(0.4, 1, 12), generator.normal(size=9)

        def difference(x: Floats, y: Floats, axis: int) -> Floats:
            return np.asarray(x.mean(axis=axis) - y.mean(axis=axis))

        for alternative in ("greater", "less"):
            theirs = scipy.stats.permutation_test(
                (a, b), difference, vectorized=True, n_resamples=20_000, alternative=alternative, rng=1
            )
            ours = permutation_test(a, b, alternative=alternative, n_resamples=20_000, rng=2)
            assert ours.p_value == pytest.approx(float(theirs.pvalue), abs=0.015)

    def test_many_tests_share_one_draw(self) -> None:
        generator = np.random.default_rng(9)
        a, b = generator.normal(size=(4, 15)), generator.normal(size=(4, 15))
        together = permutation_tests(a, b, n_resamples=400, rng=11)
        alone = tuple(permutation_test(x, y, n_resamples=400, rng=11) for x, y in zip(a, b, strict=True))
        assert together == alone

    def test_null_p_values_are_uniform(self) -> None:
        generator = np.random.default_rng(10)
        a, b = generator.normal(size=(1000, 8)), generator.normal(size=(1000, 8))
        p_values = [result.p_value for result in permutation_tests(a, b, n_resamples=999, rng=12)]
        rejected = np.mean(np.array(p_values, dtype=float) <= 0.05)
        assert 0.03 < rejected < 0.07


class TestMaxT:
    def test_familywise_error_and_resolution(self) -> None:
        generator = np.random.default_rng(20)
        a, b = generator.normal(size=(6, 30)), generator.normal(size=(6, 30))
        a[0] += 2.0
        adjusted = max_t_p_values(a, b, n_resamples=199, rng=0)
        raw = np.array([result.p_value for result in permutation_tests(a, b, n_resamples=199, rng=0)], dtype=float)
        assert adjusted[0] == 1 / 200  # Holm could reach no less than 6/200
        assert (adjusted >= raw - 1e-12).all()
        assert (adjusted[1:] > 0.05).all()

    def test_one_test_is_its_own_family(self) -> None:
        generator = np.random.default_rng(21)
        a, b = generator.normal(size=(1, 12)), generator.normal(size=(1, 12))
        for alternative in TAILS:
            raw = permutation_tests(a, b, alternative=alternative, n_resamples=500, rng=3)[0].p_value
            assert max_t_p_values(a, b, alternative=alternative, n_resamples=500, rng=3)[0] == pytest.approx(raw)
