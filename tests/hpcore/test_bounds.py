"""Bounds where they are nearly attained: the worst rounding there is, and none at all but that of the bound itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore._approximation import Approximation, FixedPoint, Packed
from hpcore._exact_cpu import centre_shifts
from hpcore._mst_cpu import rounded_up
from hpcore._strips_cpu import cross_candidates
from tests.hpcore.known_pairs import known_of_pairs
from tests.hpcore.made_forests import APPROXIMATIONS

Floats = NDArray[np.float64]
ROOM_FOR_TIES = 1.5e-12


def check_bounds(approximation: Approximation, left: Packed, right: Packed, exact: Floats) -> None:
    """lower < w ≤ upper for every pair in the arithmetic of the kernels.

    No reach is shorter than the edge that it is made of; and a path just as long as an edge, less what counts as tied,
    keeps it, alone and whatever other columns go with it.
    """
    lengths, n_pairs = exact.reshape(-1), exact.size
    path = rounded_up(lengths * (1.0 - ROOM_FOR_TIES), approximation.dtype)
    for has_all_columns in (False, True):
        known = known_of_pairs(approximation, left, right, has_all_columns=has_all_columns)
        if not has_all_columns:
            assert all((reach >= lengths).all() for reach in (known.row_reach, known.column_reach, known.bridge))
        width = known.column_reach.shape[0] // n_pairs
        known.row_reach[:], known.column_reach[:], known.bridge[:] = path, np.repeat(path, width), path
        u, v = np.empty((2, n_pairs * width), np.int32)
        n_found, most = np.zeros(n_pairs, np.intp), np.full(n_pairs, width)
        assert cross_candidates(known, most, u, v, n_found, 0) == n_pairs
        is_listed = np.zeros((n_pairs, right.n_points), np.bool_)
        is_listed[np.repeat(np.arange(n_pairs), n_found), v[: n_found.sum()]] = True
        assert is_listed[np.arange(n_pairs), np.arange(n_pairs) % right.n_points].all()


def squared(left: NDArray[Any], right: NDArray[Any]) -> Floats:
    differences = left[:, None].astype(np.longdouble) - right[None]
    return np.asarray((differences * differences).sum(axis=2), np.float64)


@pytest.mark.parametrize(
    ("number", "row"),
    [(np.int16, np.ones(149_118)), (np.int8, np.concatenate(([127.0], np.full(40_000, 1.51))))],
)
def test_bounds_hold_where_every_coordinate_is_rounded_up(
    number: type[np.signedinteger[Any]], row: NDArray[np.float64]
) -> None:
    """Then the errors of two rows lie along them, and x·e' + e·y − e·e' is as large as it can be: (2η + η²) |x|²."""
    rows = np.stack((row, -row))
    approximation = FixedPoint(0, number)
    packed = approximation.pack(rows, np.arange(2), np.zeros(len(row)))
    square, eta = float(row @ row), packed.error
    products = approximation.block(packed, packed, np.empty(64 * 64, np.int32))
    error = packed.step[0] * packed.step[0] * float(products[0, 0]) - square
    assert 0.93 * (2 * eta + eta * eta) * square < error < (2 * eta + eta * eta) * square * (1 + 1e-9)
    assert error > 2 * eta * square * (1 + 1e-6)  # ηη' matters, and not only in the last place of the bound
    check_bounds(approximation, packed, packed, np.array([[0.0, 4 * square], [4 * square, 0.0]]))


@given(
    seed=st.integers(0, 2**32 - 1),
    d=st.integers(1, 40),
    spread=st.sampled_from([1, 100, 20_000]),
    has_two_centres=st.booleans(),
)
def test_bounds_hold_where_nothing_is_rounded_but_the_bound(
    seed: int, d: int, spread: int, has_two_centres: bool
) -> None:
    """Whole numbers with a largest one of 32767 have the step 1 and η = 0: all that is left is float32 itself.

    Around two centres the sets lie beside each other, so that the terms of a bound are far larger than the distance.
    """
    rng = np.random.default_rng(seed)
    rows = rng.integers(-8000, 8000, d) + rng.integers(-spread, spread + 1, (40, d))
    rows = np.rint(rows / np.sqrt(d))
    rows[:, 0] = 32767.0 if has_two_centres else rng.choice([32767.0, -32767.0], 40)
    sets = np.array_split(rng.permutation(40), 2)
    centres = np.zeros((2, d))
    centres[1, 0] = 65534.0 * has_two_centres
    approximation, packed = FixedPoint(0), []
    for own, other in ((0, 1), (1, 0)):
        shift = np.empty(20)
        centre_shifts(rows, sets[own], centres[own], centres[other], shift)
        of_set = approximation.pack(rows, sets[own], centres[own])
        assert of_set.error == 0.0
        packed.append(replace(of_set, shift=shift) if has_two_centres else of_set)
    check_bounds(approximation, packed[0], packed[1], squared(rows[sets[0]], rows[sets[1]]))


@given(
    seed=st.integers(0, 2**32 - 1),
    by=st.sampled_from(sorted(APPROXIMATIONS)),
    d=st.integers(1, 40),
    power=st.integers(-30, -14),
)
def test_bounds_hold_where_float32_underflows(seed: int, by: str, d: int, power: int) -> None:
    """Near the centre squares are denormal or nothing at all, though other points are at a distance of about 1."""
    rng = np.random.default_rng(seed)
    rows = np.asarray(rng.standard_normal((40, d)) * 10.0**power)
    rows[:3], rows[3:6] = 0.5, -0.5
    if by == "direct32":
        rows = rows.astype(np.float32).astype(np.float64)
    approximation = APPROXIMATIONS[by](0)
    sets = np.array_split(rng.permutation(40), 2)
    packed = [approximation.pack(rows, each, np.zeros(d)) for each in sets]
    check_bounds(approximation, packed[0], packed[1], squared(rows[sets[0]], rows[sets[1]]))


@given(seed=st.integers(0, 2**32 - 1), by=st.sampled_from(sorted(APPROXIMATIONS)), d=st.integers(1, 40))
def test_bounds_hold_where_some_points_are_far_out(seed: int, by: str, d: int) -> None:
    """What is allowed for one column of a run is many times what is allowed for another."""
    rng = np.random.default_rng(seed)
    rows: Floats = rng.standard_normal((40, d)) * np.exp(rng.uniform(-4.0, 0.0, (40, 1)))
    rows = rows.astype(np.float32).astype(np.float64)
    approximation = APPROXIMATIONS[by](0)
    sets = np.array_split(rng.permutation(40), 2)
    packed = [approximation.pack(rows, each, np.zeros(d)) for each in sets]
    check_bounds(approximation, packed[0], packed[1], squared(rows[sets[0]], rows[sets[1]]))


@given(values=st.lists(st.floats(0.0, 1e30), min_size=1), dtype=st.sampled_from([np.float32, np.float64]))
def test_rounded_up_is_no_less_and_hardly_more(values: list[float], dtype: type[np.floating[Any]]) -> None:
    exact = np.array(values)
    found = rounded_up(exact, dtype)
    assert found.dtype == dtype
    assert (found >= exact).all()
    two_less = np.nextafter(np.nextafter(found, dtype(-1.0)), dtype(-1.0))
    assert (two_less <= exact).all()
