"""Random draws that many tests share: every row is a draw, whatever the batches, and equal sums count as equal."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from hpcore import _resample
from hpcore.permutation import max_t_p_values, permutation_test, permutation_tests


@pytest.mark.parametrize("cells", [1, 40, 2**22])
def test_each_sum_is_that_of_a_subset_of_the_wanted_size(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of powers of two tell the subset; all rows of tests see the same one, also at the borders of batches."""
    monkeypatch.setattr(_resample, "_CELLS_PER_BATCH", cells)
    powers = 2.0 ** np.arange(8)
    sums = _resample.selection_sums(np.stack((powers, 3.0 * powers)), 3, 2000, np.random.default_rng(0))
    np.testing.assert_array_equal(sums[:, 1], 3.0 * sums[:, 0])
    subsets, counts = np.unique(sums[:, 0].astype(int), return_counts=True)
    assert [int(subset).bit_count() for subset in subsets] == [3] * math.comb(8, 3)
    assert counts.min() > 10  # 35.7 expected


@pytest.mark.parametrize("cells", [1, 40, 2**22])
def test_each_sum_has_a_sign_for_every_value(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_resample, "_CELLS_PER_BATCH", cells)
    powers = 2.0 ** np.arange(5)
    sums = _resample.sign_sums(np.stack((powers, -powers)), 2000, np.random.default_rng(0))
    np.testing.assert_array_equal(sums[:, 1], -sums[:, 0])
    patterns, counts = np.unique(sums[:, 0], return_counts=True)
    np.testing.assert_array_equal(patterns, np.arange(-31, 32, 2))
    assert counts.min() > 30  # 62.5 expected


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_float_ties_are_counted_on_either_side(alternative: Literal["greater", "less"], paired: bool) -> None:
    """Twins off the lattice: some of the draws tie with the observed sum, in another order of summation."""
    values = np.array([0.1, math.pi, math.e, math.sqrt(2)])
    a, b = (np.concatenate((values, -values)), np.zeros(8)) if paired else (values, values)
    p_value = permutation_test(
        a, b, paired=paired, alternative=alternative, method="monte_carlo", n_resamples=4000, rng=0
    ).p_value
    # unpaired: each of the four pairs of twins is divided; paired: of each pair of opposites both keep or both turn
    tied = 2**4 / math.comb(8, 4) if not paired else (1 / 2) ** 4
    assert p_value == pytest.approx((1 + tied) / 2, abs=4 * math.sqrt(0.25 / 4000))


@pytest.mark.parametrize("paired", [False, True])
def test_float_ties_are_counted_on_both_sides(paired: bool) -> None:
    """Nothing is farther from the centre than the observed sum: the draws that tie are those of whole numbers."""
    rng = np.random.default_rng(0)
    a, b = 10.0 + rng.random((200, 3)), -10.0 + rng.random((200, 3))
    if paired:
        a, b = rng.random((200, 6)), np.zeros((200, 6))
    whole_a, whole_b = (np.arange(6), np.zeros(6)) if paired else (np.arange(3, 6), np.arange(3))
    if paired:
        whole_a = whole_a + 1
    expected = permutation_test(whole_a, whole_b, paired=paired, method="monte_carlo", n_resamples=400, rng=1).p_value
    assert expected is not None
    assert expected > 2 / 401
    for result in permutation_tests(a, b, paired=paired, n_resamples=400, rng=1):
        assert not result.exact
        assert result.p_value == expected


class TestMaxT:
    @pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
    def test_float_ties_are_counted(self, alternative: Literal["greater", "less", "two-sided"]) -> None:
        """Most values are the same in both samples: many a draw has the observed sum, in another order."""
        twins = [0.1, math.pi, math.e, math.sqrt(2), math.log(2), 1 / 3]
        a, b = np.array([[*twins, 0.7, 0.3]]), np.array([[*twins[::-1], math.sqrt(5), 0.9]])
        adjusted = max_t_p_values(a, b, alternative=alternative, n_resamples=500, rng=0)
        raw = permutation_test(a[0], b[0], alternative=alternative, method="monte_carlo", n_resamples=500, rng=0)
        assert adjusted[0] == raw.p_value

    def test_a_test_without_spread_rejects_nothing_and_harms_no_other(self) -> None:
        rng = np.random.default_rng(1)
        a, b = rng.normal(size=(2, 12)), rng.normal(size=(2, 12))
        a[0] += 2.0
        a[1] = b[1] = 0.25
        adjusted = max_t_p_values(a, b, n_resamples=999, rng=0)
        assert adjusted[1] == 1.0
        assert adjusted[0] == max_t_p_values(a[:1], b[:1], n_resamples=999, rng=0)[0]
