"""`.safetensors` files, memory-mapped layer by layer. Our own bounds come before the library sees the header."""

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from contract.schemas import ProblemError
from worker.arrays import MAX_ARRAYS, Array, StoredArray, check_shape

_MAX_HEADER_BYTES = 4 * 2**20
_DTYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I8": "<i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "<u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "BOOL": "|b1",
}


@dataclass(frozen=True)
class SafetensorsContent:
    """The arrays in the order of the file, and the strings of its metadata."""

    arrays: list[StoredArray]
    metadata: dict[str, str]


def read_safetensors(path: Path) -> SafetensorsContent:
    """Check a `.safetensors` file and return its arrays, none of them loaded."""
    header, start = _read_header(path)
    _validate_with_library(path)
    metadata = header.pop("__metadata__", {})
    entries = sorted(header.items(), key=lambda item: item[1]["data_offsets"][0])
    return SafetensorsContent([_stored_array(path, start, name, entry) for name, entry in entries], metadata)


def _invalid(reason: str) -> ProblemError:
    return ProblemError(
        "invalid_safetensors", f"the .safetensors file cannot be read ({reason}); write it again with the library"
    )


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _MAX_HEADER_BYTES:
            raise ProblemError("header_too_large", f"the header claims {size} bytes, more than {_MAX_HEADER_BYTES}")
        text = file.read(size)
    try:
        header = json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise _invalid("its header is not JSON") from error
    if not isinstance(header, dict):
        raise _invalid("its header is not a JSON object")
    if len(header) > MAX_ARRAYS + 1:
        raise ProblemError("too_many_members", f"the file must hold at most {MAX_ARRAYS} tensors")
    return header, 8 + size


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ProblemError("duplicate_member", "the header names a tensor twice")
    return found


def _validate_with_library(path: Path) -> None:
    """Let the library check types, shapes and that the tensors fill the file without holes or overlaps."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise _invalid(str(error)) from error


def _stored_array(path: Path, start: int, name: str, entry: dict[str, Any]) -> StoredArray:
    shape, offset = tuple(entry["shape"]), start + entry["data_offsets"][0]
    check_shape(name, shape)
    if entry["dtype"] == "BF16":
        return StoredArray(name, shape, "bfloat16", "f", partial(_load_bfloat16, path, offset, shape))
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise ProblemError(
            "dtype_unsupported",
            f"tensor {name!r} has type {entry['dtype']}; store it as F16, BF16, F32, F64 or integers",
        )
    numpy_type = np.dtype(dtype)
    return StoredArray(name, shape, numpy_type.name, numpy_type.kind, partial(_map, path, numpy_type, offset, shape))


def _map(path: Path, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> Array:
    if math.prod(shape) == 0:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape)


def _load_bfloat16(path: Path, offset: int, shape: tuple[int, ...]) -> Array:
    # A bfloat16 is the upper half of a float32.
    return (_map(path, np.dtype("<u2"), offset, shape).astype("<u4") << 16).view("<f4")
