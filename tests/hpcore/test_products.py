"""Products of panels: of every type, in several passes, and of rows with themselves; and rows as floats in panels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _products_cpu
from hpcore._approximation import FloatProducts, Packed
from hpcore._products_cpu import STRIP, begin_products, end_products, inner_products, own_products

Array = NDArray[Any]
FLOATS = [np.float32, np.float64]
STEPS = _products_cpu._STEPS


def packed(rows: Array, dtype: type[np.floating[Any]], exponent: int = 0) -> Packed:
    found = FloatProducts(exponent, dtype).pack(rows, np.arange(len(rows)), np.zeros(rows.shape[1]))
    assert found.data.dtype == dtype
    return found


def unpacked(data: Array) -> Array:
    return np.asarray(data[:, :-1, :, 0].transpose(0, 2, 1).reshape(data.shape[0] * data.shape[2], -1))


def empty(left: Packed, right: Packed) -> Array:
    """What was in memory before must not matter."""
    shape = [each.data.shape[0] * each.data.shape[2] for each in (left, right)]
    return np.full(shape, np.nan, left.data.dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_features", [1, 2, 17, STEPS, STEPS + 1, 2 * STEPS + 3])
@pytest.mark.parametrize("sizes", [(1, 1), (9, 40), (50, 17), (STRIP + 8, 16), (2 * STRIP + 1, 33)])
def test_products_of_whole_numbers_are_exact(
    sizes: tuple[int, int], n_features: int, dtype: type[np.floating[Any]]
) -> None:
    """Small integers have no rounding: every product is where it belongs, whatever the passes, strips and tiles."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(-9, 10, (n, n_features)) for n in sizes]
    left, right = (packed(each.astype(np.float32), dtype) for each in rows)
    products = empty(left, right)
    inner_products(left.data, right.data, products)
    np.testing.assert_array_equal(products[: sizes[0], : sizes[1]], rows[0] @ rows[1].T)
    assert not products[sizes[0] :].any()
    assert not products[:, sizes[1] :].any()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_features", [5, STEPS + 1])
def test_strips_together_are_the_block(n_features: int, dtype: type[np.floating[Any]]) -> None:
    """In any order: the last pass of a strip needs the passes before it, not the other strips."""
    rng = np.random.default_rng(1)
    left, right = (packed(rng.standard_normal((n, n_features)), dtype) for n in (2 * STRIP + 20, 70))
    whole, by_strips = empty(left, right), empty(left, right)
    inner_products(left.data, right.data, whole)
    begin_products(left.data, right.data, by_strips)
    for first in reversed(range(0, len(by_strips), STRIP)):
        end_products(left.data, right.data, by_strips, first, min(len(by_strips), first + STRIP))
    np.testing.assert_array_equal(by_strips, whole)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_features", [3, 100, STEPS + 1])
@pytest.mark.parametrize("n_rows", [1, 16, 17, 40, STRIP, 2 * STRIP + 9, 3 * STRIP + 16])
def test_own_products_are_products_with_oneself(n_rows: int, n_features: int, dtype: type[np.floating[Any]]) -> None:
    """Not nearly but bit by bit below the diagonal, and mirrored above it."""
    rows = packed(np.random.default_rng(2).standard_normal((n_rows, n_features)), dtype)
    whole, own = empty(rows, rows), empty(rows, rows)
    inner_products(rows.data, rows.data, whole)
    own_products(rows.data, own)
    np.testing.assert_array_equal(np.tril(own), np.tril(whole))
    np.testing.assert_array_equal(own, own.T)


@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(FLOATS),
    n_features=st.sampled_from([1, 5, 40, 700]),
    power=st.integers(0, 10),
)
def test_a_sum_is_wrong_by_no_more_than_the_bounds_assume(
    seed: int, dtype: type[np.floating[Any]], n_features: int, power: int
) -> None:
    """``(d + 2) u |x| |y|``, the rounding of the coordinates included, twice that at most."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((20, n_features)) * 10.0 ** rng.uniform(-power, power, (20, n_features))
    both = packed(rows, dtype)
    products = empty(both, both)
    own_products(both.data, products)
    exact = rows.astype(np.longdouble)
    norms = np.sqrt((exact**2).sum(axis=1))
    error = np.abs(products[:20, :20] - exact @ exact.T)
    assert (error <= (n_features + 2) * float(np.finfo(dtype).eps) * np.outer(norms, norms)).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("of_rows", [np.float32, np.float64])
@pytest.mark.parametrize("n_features", [1, 255, 256, 600])
@pytest.mark.parametrize("n_rows", [1, 15, 16, 37])
def test_rows_are_centred_in_float64(
    n_rows: int, n_features: int, of_rows: type[np.floating[Any]], dtype: type[np.floating[Any]]
) -> None:
    """Far from the origin: a difference of float32 would have lost the digits."""
    rng = np.random.default_rng(3)
    rows = (rng.standard_normal((50, n_features)) + 1e4).astype(of_rows)
    centre, chosen = rows.mean(axis=0, dtype=np.float64) + 1e-3, rng.permutation(50)[:n_rows]
    found = FloatProducts(-3, dtype).pack(rows, chosen, centre)
    exact = (rows[chosen].astype(np.float64) - centre) / 8
    np.testing.assert_array_equal(unpacked(found.data)[:n_rows], exact.astype(dtype))
    assert not unpacked(found.data)[n_rows:].any()
    assert not found.data[:, -1].any()
    np.testing.assert_allclose(found.squared_norm, (exact**2).sum(axis=1), rtol=1e-13)
