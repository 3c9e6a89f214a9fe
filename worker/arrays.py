"""One array in a file: what its header declares, and how to load it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from contract.schemas import ProblemError

Array = npt.NDArray[Any]
MAX_ARRAYS = 4096
_NUMERIC_KINDS = "fiu"


@dataclass(frozen=True)
class StoredArray:
    """An array whose header has been checked against the file; `load` reads the payload."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str  # numpy's kind letter
    load: Callable[[], Array]


def check_shape(name: str, shape: tuple[int, ...]) -> None:
    """Refuse shapes that no payload can have."""
    if len(shape) > 32 or any(extent < 0 for extent in shape) or math.prod(shape) >= 2**48:
        raise ProblemError("invalid_array", f"array {name!r} declares the impossible shape {list(shape)[:8]}")


def check_layer(array: StoredArray, rows: int) -> None:
    """Refuse an array that cannot be a layer of `rows` rows."""
    if array.kind not in _NUMERIC_KINDS or array.dtype in ("float128", "longdouble"):
        raise ProblemError(
            "dtype_unsupported",
            f"layer {array.name!r} has type {array.dtype}; store it as float16, bfloat16, float32, float64 or integers",
        )
    if len(array.shape) == 0 or array.shape[0] != rows:
        raise ProblemError(
            "label_length_mismatch",
            f"layer {array.name!r} has shape {list(array.shape)} but there are {rows} labels; "
            "the first axis of every layer must be the rows that `labels` names",
        )
    if math.prod(array.shape) == 0:
        raise ProblemError("invalid_array", f"layer {array.name!r} is empty: its shape is {list(array.shape)}")


def native(array: Array) -> Array:
    """Return the array in this machine's byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)
