"""Limits of the exact distributions: reached, they are kept to; beyond them it is said why."""

from __future__ import annotations

import numpy as np
import pytest

from hpcore import _lattice

VALUES = np.array([0, 1, 4, 4, 9])
SIZE = 2
STATES = (0 + 9 - 0) + (13 - 1) + SIZE + 1  # of no value, of one and of two: largest minus smallest sum, each inclusive


@pytest.mark.parametrize(("limit", "largest"), [("MAX_STATES", STATES), ("MAX_ADDITIONS", STATES * VALUES.size)])
def test_two_samples_up_to_the_limit(limit: str, largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lattice, limit, largest)
    assert _lattice.two_sample_refusal(VALUES, SIZE) is None
    monkeypatch.setattr(_lattice, limit, largest - 1)
    assert "states" in str(_lattice.two_sample_refusal(VALUES, SIZE))


@pytest.mark.parametrize(("limit", "largest"), [("MAX_STATES", 19), ("MAX_ADDITIONS", 19 * VALUES.size)])
def test_signs_up_to_the_limit(limit: str, largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lattice, limit, largest)
    assert _lattice.sign_flip_refusal(VALUES) is None
    monkeypatch.setattr(_lattice, limit, largest - 1)
    assert "states" in str(_lattice.sign_flip_refusal(VALUES))


@pytest.mark.parametrize(("n", "is_refused"), [(1020, False), (1021, True)])
def test_counts_stay_within_float64(n: int, is_refused: bool) -> None:
    values = np.zeros(n, np.int64)
    assert (_lattice.sign_flip_refusal(values) is not None) == is_refused
    assert np.isfinite(_lattice.sign_flip_counts(values)).all()


@pytest.mark.parametrize(("n", "is_refused"), [(1024, False), (1034, True)])
def test_numbers_of_subsets_stay_within_float64(n: int, is_refused: bool) -> None:
    """C(1024, 512) is 2^1018.7, C(1034, 517) is 2^1028.7."""
    refusal = _lattice.two_sample_refusal(np.zeros(n, np.int64), n // 2)
    assert (refusal is not None) == is_refused
    assert refusal is None or "overflows" in refusal


@pytest.mark.parametrize("magnitude", [1.0, 1e3])
def test_what_a_rounding_may_have_moved_is_on_the_lattice(magnitude: float) -> None:
    """Differences of two rounded values carry their roundings, however small they are themselves."""
    steps = np.arange(40)
    values = np.asarray((magnitude + steps * 1e-3) - magnitude, np.float64)
    assert len(np.unique(np.diff(values))) > 1
    found = _lattice.integer_lattice(values, anchor=0.0, magnitude=magnitude + 0.04)
    assert found is not None
    np.testing.assert_array_equal(found, steps)


@pytest.mark.parametrize("value", [1 / np.pi, np.sqrt(0.5), np.exp(-1.0)])
def test_three_values_without_a_common_step(value: float) -> None:
    """Fractions close to any number exist; only those count that no other is as close to."""
    assert _lattice.integer_lattice(np.array([0.0, value, 1.0]), anchor=0.0, magnitude=1.0) is None
