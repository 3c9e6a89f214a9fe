"""Messages about bad arrays: which parameter, what it got, what is allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import hpcore
from hpcore import _validate

GOOD = np.arange(12.0).reshape(6, 2)
LABELS = np.array([0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (np.where(np.eye(6, 2) > 0, np.nan, GOOD), "row 0 holds NaN"),
        (np.vstack([GOOD[:5], [[np.inf, 0]]]), "row 5 holds NaN or infinity"),
        (GOOD.astype(object), "got dtype object"),
        (GOOD.astype(complex), "got dtype complex128"),
        (GOOD.astype(str), "got dtype <U"),
        (GOOD.astype(np.longdouble), "got dtype"),
        (np.empty((0, 2)), r"got \(0, 2\)"),
        (np.empty((6, 0)), r"got \(6, 0\)"),
        (np.float64(3.0), r"got \(\)"),
        ([[1.0], [2.0, 3.0]], "equal length"),
        (np.ma.MaskedArray(GOOD), "masked"),
        (np.full((6, 2), 2**53 + 2), r"2\*\*53"),
        ("text", "got dtype <U"),
        (None, "got dtype object"),
        (torch.zeros(6, 2, dtype=torch.bfloat16), "array, or turn into one: .*BFloat16"),
        (torch.zeros(6, 2, requires_grad=True), "array, or turn into one: .*detach"),
    ],
)
def test_bad_activations(activations: Any, message: str) -> None:
    with pytest.raises(hpcore.InvalidInput, match=r"`activations` must.*") as caught:
        hpcore.pairwise_henze_penrose(activations, LABELS)
    assert caught.match(message)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:5], "6; got 5"),
        (LABELS.reshape(2, 3), r"got shape \(2, 3\)"),
        (LABELS * 0, "at least 2 classes; got 1"),
        ([0, 0, 0, 0, 0, 7], "class 7 has 1"),
        (["a", "a", "b", "b", "b", "c"], "class 'c' has 1"),
        (LABELS.astype(float), "got dtype float64"),
        (LABELS.astype(object), "got dtype object"),
        ([None] * 6, "got dtype object"),
        (np.ma.MaskedArray(LABELS, LABELS > 0), "masked"),
        ([1, "1", 1, "1", 1, "1"], "not both"),  # NumPy would take them for one class
        (["a", b"a"] * 3, "not both"),
        (np.array(["a", None, "b"] * 2, np.dtypes.StringDType(na_object=None)), "missing"),
        (np.array(["a", np.nan, "b"] * 2, np.dtypes.StringDType(na_object=np.nan)), "missing"),
    ],
)
def test_bad_labels(labels: Any, message: str) -> None:
    with pytest.raises(hpcore.InvalidInput, match=r"`labels` must.*") as caught:
        hpcore.pairwise_henze_penrose(GOOD, labels)
    assert caught.match(message)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.astype("u8") + 2**63,
        LABELS.astype(">i4") - 5,
        LABELS.astype(bool),
        LABELS.astype("S"),
        np.array(["é", "e"])[LABELS],
        np.array(["a", "b"], np.dtypes.StringDType(na_object=None))[LABELS],
        [b"\xff", b"a", b"a", b"\xff", b"\xff", b"\xff"],
        tuple(LABELS.tolist()),
    ],
)
def test_good_labels(labels: Any) -> None:
    found = hpcore.pairwise_henze_penrose(GOOD, labels)
    assert found.counts.sum() == 6
    np.testing.assert_array_equal(found.classes, np.unique(np.asarray(labels)))


@pytest.mark.parametrize(
    ("x", "y", "name"),
    [(GOOD, GOOD[:, :1], "y"), (GOOD[:1], GOOD, "x"), (GOOD, GOOD[:1], "y"), (GOOD * np.nan, GOOD, "x")],
)
def test_bad_samples(x: Any, y: Any, name: str) -> None:
    with pytest.raises(hpcore.InvalidInput, match=f"`{name}` must"):
        hpcore.henze_penrose(x, y)


def test_nothing_is_copied_without_need() -> None:
    activations = np.zeros((6, 2, 2), np.float32)
    assert np.shares_memory(_validate.activation_matrix(activations), activations)


def test_values_behind_the_first_chunk_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_validate, "_CHUNK_BYTES", 32)
    activations = GOOD.copy()
    activations[4, 1] = np.nan
    with pytest.raises(hpcore.InvalidInput, match="row 4"):
        hpcore.pairwise_henze_penrose(activations, LABELS)
