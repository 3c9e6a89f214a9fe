"""A file of activations as labels and named layers: one network state on one split."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from contract.formats import file_format
from contract.schemas import InspectedLayer, Inspection, ModelSource, ProblemError
from worker.arrays import Array, StoredArray, check_layer
from worker.npz import read_npz
from worker.safetensors_file import read_safetensors

_MOST_LABEL_BYTES = 2**30
_NO_TEXT = (ValueError, SystemError)  # the second comes from numpy, for numbers beyond the last character of Unicode
_MOST_LAYER_NAME_BYTES = 2**24


@dataclass(frozen=True)
class ActivationFile:
    """Checked headers, the labels, and layers that are loaded one at a time.

    `codes` (N,) index into `classes`, whose names are in numerical order for integer labels, else in that of the text.
    """

    classes: tuple[str, ...]
    codes: Array
    layers: dict[str, StoredArray]
    rows: Array | None = None
    """Which rows of the data the layers hold, ascending, where a model was run on some of them only."""
    source: ModelSource | None = None
    left_out: tuple[str, ...] = ()
    """What a model returns beside its layers, and why it is none."""
    format: Literal["npz", "safetensors"] = "safetensors"
    bytes: int = 0

    def inspection(self) -> Inspection:
        """Return what clients may know of the file."""
        counts = np.bincount(self.codes, minlength=len(self.classes))
        return Inspection(
            kind="data" if "inputs" in self.layers else "activations",
            rows=len(self.codes),
            classes={name: int(count) for name, count in zip(self.classes, counts, strict=True)},
            layers=[InspectedLayer(name=a.name, shape=list(a.shape), dtype=a.dtype) for a in self.layers.values()],
        )


def open_activations(path: Path, *, max_unpacked_bytes: int) -> ActivationFile:
    """Open a `.npz` or `.safetensors` file; its first bytes say which it is.

    Raises
    ------
    ProblemError
        What is wrong with the file, and what to do about it.
    """
    form = file_format(path)
    if form == "onnx":
        raise ProblemError(
            "model_unsupported", "this is an ONNX model, not activations: record them, or name it as a `model`"
        )
    if form == "npz":
        arrays = {array.name: array for array in read_npz(path, max_unpacked_bytes)}
        order = arrays.pop("layers", None)
        names = None if order is None else _strings_of(order)
        class_names = None
    else:
        content = read_safetensors(path)
        arrays = {array.name: array for array in content.arrays}
        names = _json_names(content.metadata, "layers")
        class_names = _json_names(content.metadata, "classes")
    labels = arrays.pop("labels", None)
    if labels is None:
        raise ProblemError(
            "labels_missing", f"the file has no array `labels`, only {_some(list(arrays))}; add one label a row"
        )
    if not arrays:
        raise ProblemError("no_layers", "the file holds `labels` and no layer; add an array (N, …) for each layer")
    classes, codes = _classes(labels, class_names)
    for array in arrays.values():
        check_layer(array, len(codes))
    return ActivationFile(classes, codes, _ordered(arrays, names), format=form, bytes=path.stat().st_size)


def _strings_of(array: StoredArray) -> list[str]:
    if array.kind != "U" or len(array.shape) != 1:
        raise ProblemError(
            "layers_invalid", f"`layers` must be a 1-D array of strings, not {array.dtype} {list(array.shape)}"
        )
    _check_bytes(array, _MOST_LAYER_NAME_BYTES, "layers_invalid")
    try:
        return [str(name) for name in array.load()]
    except _NO_TEXT as error:
        raise ProblemError("layers_invalid", "`layers` holds characters that do not exist in Unicode") from error


def _check_bytes(array: StoredArray, limit: int, code: str) -> None:
    """Refuse an array that is loaded whole and too large for that."""
    size = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    if size > limit:
        raise ProblemError(code, f"`{array.name}` takes {size} bytes, more than {limit}; store shorter names")


def _json_names(metadata: dict[str, str], key: str) -> list[str] | None:
    if key not in metadata:
        return None
    try:
        names = json.loads(metadata[key])
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        code = "layers_invalid" if key == "layers" else "labels_invalid"
        raise ProblemError(code, f"the metadata entry `{key}` must be a JSON list of strings")
    return names


def _ordered(arrays: dict[str, StoredArray], names: Sequence[str] | None) -> dict[str, StoredArray]:
    if names is None:
        return arrays
    absent = [name for name in names if name not in arrays]
    unlisted = [name for name in arrays if name not in set(names)]
    if absent or unlisted or len(set(names)) != len(names):
        raise ProblemError(
            "layers_invalid",
            "the list `layers` must name every layer of the file once; "
            f"named but absent: {_some(absent)}; present but not named: {_some(unlisted)}",
        )
    return {name: arrays[name] for name in names}


def _classes(labels: StoredArray, class_names: Sequence[str] | None) -> tuple[tuple[str, ...], Array]:
    if labels.kind not in "iuUS" or len(labels.shape) != 1:
        raise ProblemError(
            "labels_invalid",
            f"`labels` is {labels.dtype} of shape {list(labels.shape)}; it must be one integer or string per row",
        )
    _check_bytes(labels, _MOST_LABEL_BYTES, "labels_invalid")
    stored = labels.load()
    try:
        values, codes = np.unique(stored, return_inverse=True)
        names = tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values)
        if class_names is not None:
            names = _named(names, values, class_names)
        "".join(names).encode()  # half of a surrogate pair is a string to Python, and cannot be written down
    except _NO_TEXT as error:
        raise ProblemError("labels_invalid", "the class names are not UTF-8 text") from error
    if len(names) < 2:
        raise ProblemError("too_few_classes", f"the labels name {len(names)} class; separation needs at least two")
    counts = np.bincount(codes)
    if counts.min() < 2:
        lonely = [name for name, count in zip(names, counts, strict=True) if count < 2]
        raise ProblemError(
            "too_few_samples", f"only one row has class {_some(lonely)}; every class needs at least two rows"
        )
    return names, codes


def _named(codes: tuple[str, ...], values: Array, class_names: Sequence[str]) -> tuple[str, ...]:
    if values.dtype.kind not in "iu" or len(set(class_names)) != len(class_names):
        raise ProblemError("labels_invalid", "`classes` must name each class once, and `labels` be indices into it")
    if len(values) and (values[0] < 0 or values[-1] >= len(class_names)):
        raise ProblemError(
            "labels_invalid", f"`labels` runs from {codes[0]} to {codes[-1]} but `classes` has {len(class_names)} names"
        )
    return tuple(class_names[int(value)] for value in values)


def _some(names: Sequence[str], limit: int = 5) -> str:
    shown = ", ".join(repr(name[:80]) for name in names[:limit])
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (shown or "none") + more
