"""Files of activations, good and bad, written with numpy, zipfile and the safetensors library or byte by byte."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def classes_apart(
    n_per_class: int = 40, n_classes: int = 3, dimension: int = 6, *, gap: float = 1.5, seed: int = 0
) -> tuple[Array, Array]:
    """Return normal points (N, d), whose classes lie `gap` apart, and their labels, in a random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(n_classes), n_per_class))
    points = rng.normal(size=(len(labels), dimension))
    points[:, 0] += gap * labels
    return points, labels


def study_arrays(seed: int = 0, **shape: Any) -> dict[str, Array]:
    """Return labels and three layers, of which each separates the classes better."""
    _, labels = classes_apart(seed=seed, **shape)
    rng = np.random.default_rng(seed + 1)
    noise = rng.normal(size=(len(labels), 6))
    layers = {
        f"{i}.{name}": (noise[:, : 6 - i] + gap * labels[:, None] * np.eye(6)[0, : 6 - i]).astype(np.float32)
        for i, (name, gap) in enumerate([("Input", 0.3), ("Conv", 1.0), ("Softmax", 2.5)])
    }
    return {"labels": labels, **layers}


def write_npz(path: Path, arrays: Mapping[str, Any]) -> Path:
    """Write a file as users do."""
    columns: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez(path, **columns)
    return path


def npy(array: Array, version: tuple[int, int] | None = None) -> bytes:
    """Return an array as the bytes of a .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version, allow_pickle=True)
    return stream.getvalue()


def npy_claiming(shape: tuple[int, ...], descr: Any = "<f8", payload: bytes = b"") -> bytes:
    """Return a .npy file whose header says what it likes."""
    return npy_with_header(repr({"descr": descr, "fortran_order": False, "shape": shape}), payload)


def npy_with_header(header: str, payload: bytes = b"") -> bytes:
    """Return a .npy file with any text for a header."""
    text = header.encode("latin1")
    text += b" " * (-(len(text) + 13) % 64) + b"\n"
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text + payload


def archive(members: Mapping[str, bytes] | list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Return a ZIP archive; a list may name a member twice."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as written:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            written.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def good_members() -> dict[str, bytes]:
    """Return the members of a good file of 6 rows in 2 classes."""
    layer = np.arange(12, dtype=np.float32).reshape(6, 2)
    return {"labels.npy": npy(np.array([0, 0, 0, 1, 1, 1])), "layer.npy": npy(layer)}


def safetensors(header: Any, payload: bytes = b"", *, size: int | None = None) -> bytes:
    """Return a .safetensors file with any header: bytes as they are, else as JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + payload


def good_tensors() -> tuple[dict[str, Any], bytes]:
    """Return header and payload of a good file of 4 rows in 2 classes."""
    labels, layer = np.array([0, 1, 0, 1]), np.arange(8, dtype="<f4")
    header = {
        "labels": {"dtype": "I64", "shape": [4], "data_offsets": [0, 32]},
        "layer": {"dtype": "F32", "shape": [4, 2], "data_offsets": [32, 64]},
    }
    return header, labels.tobytes() + layer.tobytes()
