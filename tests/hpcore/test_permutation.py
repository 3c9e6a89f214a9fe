"""Exact permutation tests against enumeration, big integers and published numbers; what is refused."""

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _lattice
from hpcore.errors import InvalidInput
from hpcore.permutation import permutation_test
from tests.hpcore.enumeration import TAILS, Tail, big_integer_tail, enumerate_sign_flip, enumerate_two_sample

Floats = NDArray[np.float64]


class TestPublishedNumbers:
    @pytest.mark.parametrize(("alternative", "expected"), [("greater", (1, 35)), ("two-sided", (2, 35))])
    def test_two_sample_of_four(self, alternative: Tail, expected: tuple[int, int]) -> None:
        result = permutation_test([6, 9, 9, 12], [3, 5, 5, 8], alternative=alternative)
        assert result.p_value == pytest.approx(expected[0] / expected[1], rel=1e-14)
        assert result.exact
        assert result.n_resamples is None
        assert result.statistic == 3.75

    @pytest.mark.parametrize(("alternative", "expected"), [("greater", 3 / 32), ("two-sided", 3 / 16)])
    def test_sign_flip_keeps_the_zero(self, alternative: Tail, expected: float) -> None:
        result = permutation_test([1, 2, 0, -1, 3, 4], [0] * 6, paired=True, alternative=alternative)
        assert result.p_value == expected

    @pytest.mark.parametrize("scale", [1, 1000])
    def test_ten_against_ten(self, scale: int) -> None:
        a = np.array([1000, 985, 1012, 1003, 978, 996, 1021, 990, 1007, 999]) / scale
        b = np.array([970, 960, 1001, 955, 980, 962, 990, 948, 975, 968]) / scale
        expected = {
            (False, "greater"): 35 / 92378,
            (False, "two-sided"): 35 / 46189,
            (True, "greater"): 1 / 512,
            (True, "two-sided"): 1 / 256,
        }
        for (paired, alternative), p_value in expected.items():
            result = permutation_test(a, b, paired=paired, alternative=alternative, method="exact")  # type: ignore[arg-type]  # keys of the dict are plain strings
            assert result.p_value == pytest.approx(p_value, rel=1e-13)


small = st.lists(st.integers(-4, 4), min_size=1, max_size=5)


class TestEnumeration:
    @given(a=small, b=small, alternative=st.sampled_from(TAILS))
    def test_two_sample(self, a: list[int], b: list[int], alternative: Tail) -> None:
        result = permutation_test(a, b, alternative=alternative, method="exact")
        assert result.p_value == pytest.approx(float(enumerate_two_sample(a, b, alternative)), rel=1e-13)

    @given(differences=st.lists(st.integers(-4, 4), min_size=1, max_size=8), alternative=st.sampled_from(TAILS))
    def test_sign_flip(self, differences: list[int], alternative: Tail) -> None:
        zeros = [0] * len(differences)
        result = permutation_test(differences, zeros, paired=True, alternative=alternative, method="exact")
        assert result.p_value == pytest.approx(float(enumerate_sign_flip(differences, alternative)), rel=1e-13)

    @given(
        a=st.lists(st.integers(1, 40), min_size=2, max_size=4),
        b=st.lists(st.integers(1, 40), min_size=2, max_size=4),
        m=st.integers(40, 1500),
        n=st.integers(40, 1500),
    )
    def test_henze_penrose_values_are_found_on_their_lattice(self, a: list[int], b: list[int], m: int, n: int) -> None:
        """1 - R(m+n)/(2mn) in floats gives the p-value of the integers R, with the sign of R turned."""

        def statistic(cross_edges: list[int]) -> Floats:
            return np.array([1 - r * (m + n) / (2 * m * n) for r in cross_edges])

        result = permutation_test(statistic(a), statistic(b), alternative="greater", method="exact")
        assert result.p_value == pytest.approx(float(enumerate_two_sample(a, b, "less")), rel=1e-13)


class TestLargeExact:
    def test_every_tail_of_45_against_45_equals_big_integers(self) -> None:
        generator = np.random.default_rng(5)
        for shift in (0, 3, 25):
            a = (generator.integers(0, 25, 45) + shift).tolist()
            b = generator.integers(0, 25, 45).tolist()
            truth = big_integer_tail(a, b)
            result = permutation_test(np.array(a) / 1000, np.array(b) / 1000, alternative="greater", method="exact")
            assert result.p_value == pytest.approx(float(truth), rel=1e-13)

    def test_complete_separation_is_one_over_the_number_of_divisions(self) -> None:
        a, b = 1 - np.arange(45) / 1000, 0.5 - np.arange(45) / 1000
        assert permutation_test(a, b, alternative="greater").p_value == pytest.approx(1 / math.comb(90, 45), rel=1e-12)
        paired = permutation_test(a, b, paired=True, alternative="greater").p_value
        assert paired == pytest.approx(2.0**-45, rel=1e-14)

    def test_unequal_sample_sizes_choose_the_smaller_sample(self) -> None:
        generator = np.random.default_rng(6)
        a, b = generator.integers(0, 9, 12).tolist(), generator.integers(0, 9, 4).tolist()
        for alternative in TAILS:
            p_value = permutation_test(a, b, alternative=alternative, method="exact").p_value
            assert p_value == pytest.approx(float(enumerate_two_sample(a, b, alternative)), rel=1e-13)

    def test_unequal_class_sizes_with_a_common_denominator_stay_exact(self) -> None:
        # Pairs of (60, 40) and (50, 50) points: steps 1/48 and 1/50, both multiples of 1/1200.
        a = [1 - 3 * 100 / (2 * 60 * 40), 1 - 4 / 50, 1 - 7 / 50]
        b = [1 - 20 * 100 / (2 * 60 * 40), 1 - 11 / 50, 1 - 20 / 50]
        assert permutation_test(a, b, alternative="greater").exact
        assert permutation_test(a, b, alternative="greater").p_value == pytest.approx(1 / 20, rel=1e-13)


class TestDegenerate:
    @pytest.mark.parametrize("method", ["exact", "monte_carlo"])
    @pytest.mark.parametrize("paired", [False, True])
    def test_equal_values_have_p_one(self, method: Literal["exact", "monte_carlo"], paired: bool) -> None:
        a = [0.1 + 0.2] * 5
        for alternative in TAILS:
            result = permutation_test(
                a, [0.3] * 5, paired=paired, alternative=alternative, method=method, n_resamples=50, rng=0
            )
            assert result.p_value == 1.0

    def test_two_against_two(self) -> None:
        assert permutation_test([1.0, 0.9], [0.2, 0.1], alternative="greater").p_value == pytest.approx(1 / 6)
        assert permutation_test([1.0, 0.9], [0.2, 0.1]).p_value == pytest.approx(1 / 3)

    def test_one_against_one(self) -> None:
        assert permutation_test([1.0], [0.0], alternative="greater").p_value == pytest.approx(1 / 2)
        assert permutation_test([1.0], [0.0]).p_value == 1.0

    @given(a=small, b=small)
    def test_one_sided_tails_overlap_in_the_observed_value_alone(self, a: list[int], b: list[int]) -> None:
        greater = permutation_test(a, b, alternative="greater", method="exact").p_value
        less = permutation_test(a, b, alternative="less", method="exact").p_value
        turned = permutation_test(b, a, alternative="less", method="exact").p_value
        assert greater is not None
        assert less is not None
        assert greater + less > 1 - 1e-12
        assert greater == pytest.approx(turned, rel=1e-13)


class TestLattice:
    def test_off_the_lattice_exact_refuses_and_auto_draws(self) -> None:
        generator = np.random.default_rng(0)
        a, b = generator.normal(size=10), generator.normal(size=10)
        with pytest.raises(InvalidInput, match="lattice"):
            permutation_test(a, b, method="exact")
        result = permutation_test(a, b, n_resamples=999, rng=1)
        assert not result.exact
        assert result.n_resamples == 999

    def test_the_least_numbers_there_are_lie_on_a_lattice(self) -> None:
        result = permutation_test(np.array([3, 1]) * 5e-324, np.array([2, 2]) * 5e-324, alternative="greater")
        assert (result.exact, result.p_value) == (True, 4 / 6)

    def test_too_many_states_are_refused(self) -> None:
        generator = np.random.default_rng(0)
        a, b = generator.integers(0, 10**6, 400) / 10**6, generator.integers(0, 10**6, 400) / 10**6
        with pytest.raises(InvalidInput, match="states"):
            permutation_test(a, b, method="exact")
        assert not permutation_test(a, b, n_resamples=99, rng=0).exact

    def test_counts_that_overflow_are_refused(self) -> None:
        a, b = np.tile([0, 1], 300), np.tile([1, 0], 300)
        with pytest.raises(InvalidInput, match="overflow"):
            permutation_test(a, b, method="exact")
        with pytest.raises(InvalidInput, match="overflow"):
            permutation_test(np.tile(a, 2), np.zeros(1200), paired=True, method="exact")

    @given(
        integers=st.lists(st.integers(0, 3000), min_size=2, max_size=20),
        n=st.integers(50, 3000),
    )
    def test_lattice_recovers_integers_up_to_their_divisor(self, integers: list[int], n: int) -> None:
        values = np.array([1 - k / n for k in integers])
        found = _lattice.integer_lattice(values, anchor=float(values.min()), magnitude=float(np.abs(values).max()))
        assert found is not None
        expected = max(integers) - np.array(integers)
        divisor = max(1, math.gcd(*expected.tolist()))
        np.testing.assert_array_equal(found, expected // divisor)


class TestInput:
    @pytest.mark.parametrize(
        ("a", "b", "options", "message"),
        [
            ([], [1.0], {}, "`a`"),
            ([1.0], [], {}, "`b`"),
            ([1.0, math.nan], [1.0], {}, "NaN"),
            ([1.0], [math.inf], {}, "`b`"),
            ([1.0], [1e301], {}, "`b` holds values beyond 1e.300"),
            ([[1.0]], [1.0], {}, "`a`"),
            ([1.0, 2.0], [1.0], {"paired": True}, "`paired`"),
            ([1.0], [1.0], {"alternative": "larger"}, "`alternative`"),
            ([1.0], [1.0], {"method": "fast"}, "`method`"),
            ([1.0], [1.0], {"method": "monte_carlo", "n_resamples": 0}, "`n_resamples`"),
        ],
    )
    def test_refused_by_name(self, a: object, b: object, options: dict[str, object], message: str) -> None:
        with pytest.raises(InvalidInput, match=message):
            permutation_test(a, b, **options)  # type: ignore[arg-type]  # wrong on purpose
