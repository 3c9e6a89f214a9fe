"""Products of 16 and 8 bits: exact integers, measured errors, and the same on processors with other instructions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hpcore
from hpcore import _simd
from hpcore._approximation import FixedPoint, bytes_suffice
from hpcore._fixed_point_cpu import pack
from hpcore._products_cpu import PANEL, inner_products
from tests import oracle

Number = type[np.signedinteger[Any]]
Packed = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64], float]
numbers = pytest.mark.parametrize("number", [np.int16, np.int8])


def packed(rows: NDArray[Any], centre: NDArray[np.float64], number: Number) -> Packed:
    n_panels, per_word = -(-len(rows) // PANEL), 4 // np.dtype(number).itemsize
    shape = (n_panels, -(-rows.shape[1] // per_word) + 1, PANEL, per_word)
    data = np.full(shape, 77, number)  # whatever was in memory before
    step, squared_norm = np.empty(len(rows)), np.empty(len(rows))
    return data, step, squared_norm, pack(rows, np.arange(len(rows)), centre, data, step, squared_norm)


def unpacked(data: NDArray[Any], n_rows: int, n_features: int) -> NDArray[np.int64]:
    rows = data[:, :-1].transpose(0, 2, 1, 3).reshape(data.shape[0] * PANEL, -1)
    return np.asarray(rows[:n_rows, :n_features], np.int64)


@numbers
@pytest.mark.parametrize("shape", [(1, 1), (5, 2), (33, 7), (40, 300), (70, 513), (20, 1030)])
def test_products_are_exact(shape: tuple[int, int], number: Number) -> None:
    rng = np.random.default_rng(0)
    data = [packed(rng.standard_normal((n, shape[1])), np.zeros(shape[1]), number)[0] for n in (shape[0], 50)]
    products = np.empty((data[0].shape[0] * PANEL, data[1].shape[0] * PANEL), np.int32)
    inner_products(data[0], data[1], products)
    whole = [unpacked(each, each.shape[0] * PANEL, shape[1]) for each in data]
    np.testing.assert_array_equal(products, whole[0] @ whole[1].T)


@numbers
@pytest.mark.parametrize("n_features", [1, 2, 17, 4096, 150_000])
@pytest.mark.parametrize("kind", ["equal", "one", "signs"])
def test_products_never_overflow(kind: str, n_features: int, number: Number) -> None:
    """The longest rows there are: all coordinates alike, or a single one. 133,000 squares of 127 exceed 32 bits."""
    rows = np.ones((2, n_features)) if kind != "one" else np.eye(2, n_features) + 1e-9
    if kind == "signs":
        rows[1] = -1.0
    data, _, _, _ = packed(rows * 1e30, np.zeros(n_features), number)
    whole = unpacked(data, 2, n_features)
    assert np.abs(whole @ whole.T).max() < 2**31
    products = np.empty((data.shape[0] * PANEL,) * 2, np.int32)
    inner_products(data, data, products)
    np.testing.assert_array_equal(products[:2, :2], whole @ whole.T)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_features=st.integers(1, 40),
    power=st.integers(-30, 30),
    number=st.sampled_from([np.int16, np.int8]),
)
def test_error_is_measured(seed: int, n_features: int, power: int, number: Number) -> None:
    rng = np.random.default_rng(seed)
    rows = (rng.standard_normal((6, n_features)) * 10.0 ** rng.integers(-3, 4, (6, n_features))) * 10.0**power
    rows[3] = 0.0
    data, step, squared_norm, error = packed(rows, np.zeros(n_features), number)
    rounded = unpacked(data, 6, n_features) * step[:, None]
    norms = np.sqrt((rows**2).sum(axis=1))
    lengths = np.sqrt(((rows - rounded) ** 2).sum(axis=1))
    assert (lengths <= error * norms * (1 + 1e-9)).all()
    assert error <= 0.5 * np.sqrt(n_features) / (32000 if number is np.int16 else 127)
    np.testing.assert_allclose(squared_norm, norms**2, rtol=1e-12)
    assert step[3] == 0.0


def test_packing_centres_the_chosen_rows() -> None:
    rng = np.random.default_rng(1)
    rows = (rng.standard_normal((10, 5)) + 1e6).astype(np.float32)
    found = FixedPoint(0).pack(rows, np.array([7, 2]), rows.mean(axis=0, dtype=np.float64))
    rounded = unpacked(found.data, 2, 5) * found.step[:, None]
    np.testing.assert_allclose(rounded, rows[[7, 2]] - rows.mean(axis=0, dtype=np.float64), atol=1e-3)


def test_bytes_suffice_where_they_round_little_beside_the_spread() -> None:
    """Not where a few coordinates of a row are much larger than the rest, or classes are far apart."""
    rows, chosen = np.random.default_rng(2).standard_normal((50, 300)), np.arange(0, 50, 2)
    assert bytes_suffice(rows, chosen, np.zeros(300), 300.0)
    assert not bytes_suffice(rows, chosen, np.zeros(300), 3.0)
    rows[4, :2] = 50.0
    assert not bytes_suffice(rows, chosen, np.zeros(300), 300.0)


@pytest.mark.parametrize(
    ("apart", "n_features", "has_instruction", "expected"),
    [
        (0.3, 200, True, {np.int8}),
        (20.0, 200, True, {np.int8, np.int16}),  # the sample, which was rounded in vain, and the rest
        (0.3, 40, True, {np.int16}),
        (0.3, 200, False, {np.int16}),
    ],
)
def test_which_bits_come_first(
    apart: float, n_features: int, has_instruction: bool, expected: set[Number], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the counts are the same either way."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(3), 40)
    centres = apart * rng.standard_normal((3, n_features))
    rows = (rng.standard_normal((120, n_features)) + centres[labels]).astype(np.float32)
    numbers: set[Number] = set()
    round_rows = FixedPoint.pack

    def watched(fixed: FixedPoint, *arguments: Any) -> Any:
        found = round_rows(fixed, *arguments)
        numbers.add(found.data.dtype.type)
        return found

    monkeypatch.setattr(_simd, "HAS_BYTE_PRODUCTS", has_instruction)
    monkeypatch.setattr(FixedPoint, "pack", watched)
    found = hpcore.pairwise_henze_penrose(rows, labels)
    np.testing.assert_array_equal(found.cross_edges, oracle.pairwise_cross_edges(rows, labels))
    assert numbers == expected


_PORTABLE = """
import json
import numpy as np
from hpcore._products_cpu import inner_products, own_products
from hpcore._simd import HAS_BYTE_PRODUCTS, TILE_PANELS
rng = np.random.default_rng(0)
right = []
kinds = (np.int16, 16, 2, 3000), (np.int8, 16, 4, 127), (np.float32, 16, 1, 30), (np.float64, 8, 1, 30)
for number, panel, per_word, largest in kinds:
    data = rng.integers(-largest, largest + 1, (2 * TILE_PANELS + 1, 9, panel, per_word)).astype(number)
    rows = data[:, :-1].transpose(0, 2, 1, 3).reshape(len(data) * panel, -1).astype(np.int64)
    start = -128 * rows.sum(axis=1) if number is np.int8 else np.zeros(len(rows))
    of_products = np.int32 if number in (np.int8, np.int16) else number
    data[:, -1] = start.astype(of_products).view(number).reshape(len(data), panel, per_word)
    products, own = np.empty((2, len(data) * panel, len(data) * panel), of_products)
    inner_products(data, data, products)
    own_products(data, own)
    right.append(bool((products == rows @ rows.T).all() and (own == products).all()))
print(json.dumps([HAS_BYTE_PRODUCTS, *right]))
"""


def test_other_processors_compute_the_same(tmp_path: Path) -> None:
    """Code for a plain processor, without the instructions that the tile is made for."""
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", _PORTABLE], env=os.environ | plain, capture_output=True, check=True)
    has_byte_products, *right = json.loads(answer.stdout)
    assert right == [True] * 4
    assert not has_byte_products
