"""Arrays from outside → what the kernels may assume; every message about bad arrays lives here."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcore.errors import InvalidInput

METRICS = ("euclidean", "cosine")
TIES = ("average", "first")
DEVICES = ("cpu", "cuda", "auto")

_CHUNK_BYTES = 1 << 20  # rows are checked in pieces of this size, so that a memory map is never loaded whole
_LARGEST_EXACT_INTEGER = 1 << 53  # float64 holds every integer up to here


@dataclass(frozen=True)
class ClassLabels:
    """Labels as codes: ``codes (N,)`` index ``classes (K,)``, which is sorted; ``sizes (K,)`` counts them."""

    classes: NDArray[Any]
    codes: NDArray[np.intp]
    sizes: NDArray[np.int64]


def choice(value: object, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` where it is one of the `allowed` words."""
    if isinstance(value, str) and value in allowed:
        return value
    words = ", ".join(repr(word) for word in allowed)
    raise InvalidInput(f"`{name}` must be one of {words}; got {value!r}.")


def positive_integer(value: object, name: str) -> int:
    """Return `value` where it is a whole number of at least one."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1:
        return int(value)
    raise InvalidInput(f"`{name}` must be an integer of at least 1; got {value!r}.")


def probability(value: object, name: str) -> float:
    """Return `value` where it lies strictly between 0 and 1."""
    if isinstance(value, numbers.Real) and 0.0 < float(value) < 1.0:
        return float(value)
    raise InvalidInput(f"`{name}` must be a number strictly between 0 and 1; got {value!r}.")


def row_chunks(rows: NDArray[Any]) -> Iterator[slice]:
    """Slices of `rows` that hold about a megabyte each."""
    row_bytes = max(1, rows.shape[1] * rows.itemsize)
    step = max(1, _CHUNK_BYTES // row_bytes)
    for start in range(0, rows.shape[0], step):
        yield slice(start, start + step)


def activation_matrix(activations: object, name: str = "activations") -> NDArray[Any]:
    """Return activations as a finite (N, d) array of float16/32/64 or integers, without copying where possible.

    Raises
    ------
    InvalidInput
        Not an array of numbers, fewer than one dimension, no rows, no features, NaN or infinity, or integers
        beyond 2**53, whose differences float64 cannot hold.
    """
    try:
        array = np.asanyarray(activations)
    except ValueError as error:
        raise InvalidInput(f"`{name}` must be an array of shape (N, ...) with rows of equal length.") from error
    except (TypeError, RuntimeError) as error:  # tensors on a device, with gradients, of bfloat16
        raise InvalidInput(f"`{name}` must be an array, or turn into one: {error}") from error
    if isinstance(array, np.ma.MaskedArray):
        raise InvalidInput(f"`{name}` must not be a masked array; select the rows before the call.")
    array = array.view(np.ndarray)
    is_number = array.dtype.kind in "iub" or (array.dtype.kind == "f" and array.dtype.itemsize <= 8)
    if not is_number:
        raise InvalidInput(f"`{name}` must hold float16, float32, float64 or integers; got dtype {array.dtype}.")
    if array.ndim < 1 or array.shape[0] == 0 or array.size == 0:
        raise InvalidInput(f"`{name}` must have shape (N, ...) with N ≥ 1 and no empty axis; got {array.shape}.")
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    rows = array.reshape(array.shape[0], -1)
    _check_values(rows, name)
    return rows


def _check_values(rows: NDArray[Any], name: str) -> None:
    if rows.dtype.kind == "f":
        for chunk in row_chunks(rows):
            finite = np.isfinite(rows[chunk])
            if not finite.all():
                row = chunk.start + int(np.flatnonzero(~finite.all(axis=1))[0])
                raise InvalidInput(f"`{name}` must be finite; row {row} holds NaN or infinity.")
    elif rows.dtype.itemsize == 8:
        for chunk in row_chunks(rows):
            low, high = int(rows[chunk].min()), int(rows[chunk].max())
            if max(-low, high) > _LARGEST_EXACT_INTEGER:
                raise InvalidInput(f"`{name}` must hold integers of at most 2**53 in size; got {low}..{high}.")


def class_labels(labels: object, n_rows: int, name: str = "labels", *, against: str = "activations") -> ClassLabels:
    """Return the classes of `n_rows` points: at least two classes with at least two points each.

    Raises
    ------
    InvalidInput
        Wrong shape or dtype, another length than the rows, one class, or a class of one point.
    """
    if isinstance(labels, np.ma.MaskedArray):
        raise InvalidInput(f"`{name}` must not be a masked array; select the rows before the call.")
    array = np.asarray(labels)
    if array.ndim != 1:
        raise InvalidInput(f"`{name}` must be one-dimensional; got shape {array.shape}.")
    if array.shape[0] != n_rows:
        raise InvalidInput(f"`{name}` must have one entry per row of `{against}`: {n_rows}; got {array.shape[0]}.")
    if array.dtype.kind not in "iubUST":
        raise InvalidInput(f"`{name}` must hold integers or strings; got dtype {array.dtype}.")
    if array.dtype.kind == "T" or (array.dtype.kind in "US" and not isinstance(labels, np.ndarray)):
        word = bytes if array.dtype.kind == "S" else str  # NumPy makes strings of what stands among strings
        if not all(isinstance(each, word) for each in np.asarray(labels, object).tolist()):
            raise InvalidInput(f"`{name}` must hold integers or strings, not both, and none may be missing.")
    classes, codes, sizes = np.unique(array, return_inverse=True, return_counts=True)
    if classes.shape[0] < 2:
        raise InvalidInput(f"`{name}` must name at least 2 classes; got {classes.shape[0]}.")
    if sizes.min() < 2:
        single = classes[int(sizes.argmin())].item()
        raise InvalidInput(f"`{name}` must name at least 2 points of every class; class {single!r} has 1.")
    return ClassLabels(classes, codes.reshape(-1), sizes.astype(np.int64))


def two_samples(x: object, y: object) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two samples of at least two points each in the same space.

    Raises
    ------
    InvalidInput
        As `activation_matrix`, or differing feature counts, or a sample of one point.
    """
    first, second = activation_matrix(x, "x"), activation_matrix(y, "y")
    if first.shape[1] != second.shape[1]:
        raise InvalidInput(f"`y` must have as many features per point as `x`: {first.shape[1]}; got {second.shape[1]}.")
    for rows, name in ((first, "x"), (second, "y")):
        if rows.shape[0] < 2:
            raise InvalidInput(f"`{name}` must hold at least 2 points; got {rows.shape[0]}.")
    return first, second
