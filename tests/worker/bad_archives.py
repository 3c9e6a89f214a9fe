"""Archives of .npz that are wrong in one way each, with the code of the refusal and a word of it."""

import io
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.worker import files
from tests.worker.files import archive, npy, npy_claiming, npy_with_header

UNPACKED = 2**24
LABELS = np.array([0, 0, 0, 1, 1, 1])
LAYER = np.arange(12, dtype=np.float32).reshape(6, 2)


def with_members(**members: bytes) -> bytes:
    """Return a good archive in which some members are others."""
    return archive({**files.good_members(), **{f"{name}.npy": content for name, content in members.items()}})


def labelled(labels: Any) -> bytes:
    array = np.asarray(labels)
    layer = np.zeros((array.shape[0] if array.shape else 1, 2), np.float32)
    return with_members(labels=npy(array), layer=npy(layer))


def patched(content: bytes, before: bytes, after: bytes) -> bytes:
    assert before in content
    assert len(before) == len(after)
    return content.replace(before, after)


def directory_field(content: bytes, offset: int, form: str, value: int) -> bytes:
    """Change a field of the last entry of an archive's directory."""
    at = content.rindex(b"PK\x01\x02") + offset
    return content[:at] + struct.pack(form, value) + content[at + struct.calcsize(form) :]


def end_field(content: bytes, offset: int, form: str, value: int) -> bytes:
    """Change a field of the record that ends an archive."""
    at = content.rindex(b"PK\x05\x06") + offset
    return content[:at] + struct.pack(form, value) + content[at + struct.calcsize(form) :]


def end_64(content: bytes, members: int, directory_bytes: int) -> bytes:
    """Let the 64-bit record of an archive claim what it likes."""
    at = content.rindex(b"PK\x05\x06")
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, members, members, directory_bytes, 0)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, at, 1)
    return content[:at] + record + locator + content[at:]


def overlapping() -> bytes:
    """Two entries of the directory share the bytes of one member."""
    content = archive({"labels.npy": npy(LABELS), "layer1.npy": npy(LAYER), "layer2.npy": npy(LAYER)})
    first = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    offset = struct.unpack_from("<I", content, first + 42)[0]
    return directory_field(content, 42, "<I", offset)


def torch_script() -> bytes:
    """As torch.jit.save writes it, without the warning that the library gives."""
    names = ("data/0", "data.pkl", "code/__torch__/net.py", "constants.pkl", "version", "byteorder")
    return archive({f"archive/{name}": b"" for name in names})


def exported_program() -> bytes:
    """Write a .pt2 file."""
    import torch

    written = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(2, 3),)), written)
    return written.getvalue()


def torch_file() -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"labels": torch.zeros(4)}, stream)
    return stream.getvalue()


def members_with(compression: int) -> bytes:
    return archive(files.good_members(), compression)


NPZ: dict[str, tuple[Callable[[], bytes], str, str]] = {
    # what is wrong: (the file, the code, what the message must name)
    "object array": (lambda: with_members(layer=npy(np.array([{}] * 6, object))), "object_dtype", "layer"),
    "object labels": (lambda: labelled(np.array(["a", None, 1, 2], object)), "object_dtype", "labels"),
    "structured with objects": (
        lambda: with_members(layer=npy(np.zeros(6, [("a", "O"), ("b", "f4")]))),
        "object_dtype",
        "layer",
    ),
    "7 TiB in 128 bytes": (
        lambda: with_members(layer=npy_claiming((1_000_000, 1_000_000))),
        "invalid_array",
        "declares",
    ),
    "2 GiB in 16 bytes": (
        lambda: with_members(layer=npy_claiming((6, 2**25), payload=bytes(16))),
        "invalid_array",
        "declares",
    ),
    "payload too short": (lambda: with_members(layer=npy(LAYER)[:-1]), "invalid_array", "damaged"),
    "payload too long": (lambda: with_members(layer=npy(LAYER) + bytes(984)), "invalid_array", "damaged"),
    "overflowing shape": (lambda: with_members(layer=npy_claiming((2**62, 4))), "invalid_array", "shape"),
    "negative shape": (lambda: with_members(layer=npy_claiming((-1, 4))), "invalid_array", "shape"),
    "negative twice": (lambda: with_members(layer=npy_claiming((-6, -2), "<f4", bytes(48))), "invalid_array", "shape"),
    "70 dimensions": (lambda: with_members(layer=npy_claiming((1,) * 70)), "invalid_array", "shape"),
    "shape of booleans": (lambda: with_members(layer=npy_claiming((True, False))), "label_length_mismatch", "layer"),
    "header of 400 KB": (lambda: with_members(layer=npy_with_header(" " * 400_000)), "invalid_array", "header"),
    "3000 nested lists": (lambda: with_members(layer=npy_with_header("[" * 3000)), "invalid_array", "header"),
    "3000 minus signs": (
        lambda: with_members(layer=npy_with_header("{'a': " + "-" * 3000 + "1}")),
        "invalid_array",
        "header",
    ),
    "header that is no dictionary": (lambda: with_members(layer=npy_with_header("7")), "invalid_array", "header"),
    "header with keys of two kinds": (
        lambda: with_members(layer=npy_with_header("{'a': 1, 2: 3}")),
        "invalid_array",
        "header",
    ),
    "header with an open string": (
        lambda: with_members(layer=npy_with_header("{'descr': '''")),
        "invalid_array",
        "header",
    ),
    "header with a bad indent": (
        lambda: with_members(layer=npy_with_header("{\n  1\n 2L")),
        "invalid_array",
        "header",
    ),
    "unknown type": (lambda: with_members(layer=npy_claiming((6, 2), "<q99")), "invalid_array", "header"),
    "version 9": (lambda: with_members(layer=b"\x93NUMPY\x09\x00" + npy(LAYER)[8:]), "invalid_array", "version"),
    "no array at all": (lambda: with_members(layer=b""), "invalid_array", "layer"),
    "booleans": (lambda: with_members(layer=npy(LAYER > 3)), "dtype_unsupported", "bool"),
    "complex numbers": (lambda: with_members(layer=npy(LAYER.astype(complex))), "dtype_unsupported", "complex"),
    "long doubles": (lambda: with_members(layer=npy(LAYER.astype(np.longdouble))), "dtype_unsupported", "float"),
    "big-endian long doubles": (
        lambda: with_members(layer=npy(LAYER.astype(np.dtype(np.longdouble).newbyteorder(">")))),
        "dtype_unsupported",
        "layer",
    ),
    "dates": (lambda: with_members(layer=npy(LAYER.astype("M8[s]"))), "dtype_unsupported", "datetime"),
    "text as a layer": (lambda: with_members(layer=npy(LAYER.astype("U8"))), "dtype_unsupported", "layer"),
    "structured": (lambda: with_members(layer=npy(np.zeros(6, [("a", "f4")]))), "dtype_unsupported", "layer"),
    "bfloat16 as void": (lambda: with_members(layer=npy(np.zeros((6, 2), "V2"))), "dtype_unsupported", "bfloat16"),
    "no rows": (lambda: labelled(np.zeros(0, int)), "too_few_classes", "0 class"),
    "one class": (lambda: labelled([5, 5, 5]), "too_few_classes", "1 class"),
    "a class of one": (lambda: labelled(["a", "a", "b"]), "too_few_samples", "'b'"),
    "columns: none": (
        lambda: with_members(layer=npy(np.zeros((6, 0), np.float32))),
        "invalid_array",
        "empty",
    ),
    "labels: two axes": (lambda: with_members(labels=npy(np.zeros((6, 1), int))), "labels_invalid", "per row"),
    "labels: a number": (lambda: with_members(labels=npy(np.array(3))), "labels_invalid", "per row"),
    "labels: floats": (lambda: labelled([0.0, 0.0, 1.0, 1.0]), "labels_invalid", "float"),
    "labels: not UTF-8": (lambda: labelled(np.array([b"\xff", b"a"] * 2)), "labels_invalid", "UTF-8"),
    "labels: half a character": (lambda: labelled(np.array(["\ud800", "a"] * 2)), "labels_invalid", "UTF-8"),
    "labels: no character": (
        lambda: with_members(labels=npy(np.array([0x110000] * 3 + [65] * 3, "<u4").view("<U1"))),
        "labels_invalid",
        "UTF-8",
    ),
    "labels: 8 GiB of names": (
        lambda: with_members(labels=npy_claiming((6,), f"<U{2**29}")),
        "invalid_array",
        "labels",
    ),
    "labels: too few": (lambda: with_members(labels=npy(LABELS[1:-1])), "label_length_mismatch", "4 labels"),
    "layer: a number": (lambda: with_members(layer=npy(np.array(1.5))), "label_length_mismatch", "layer"),
    "no labels": (lambda: archive({"layer.npy": npy(LAYER)}), "labels_missing", "'layer'"),
    "no layer": (lambda: archive({"labels.npy": npy(LABELS)}), "no_layers", "layer"),
    "nothing": (lambda: archive({}), "labels_missing", "labels"),
    "layers: numbers": (lambda: with_members(layers=npy(np.array([1, 2]))), "layers_invalid", "strings"),
    "layers: two axes": (lambda: with_members(layers=npy(np.array([["layer"]]))), "layers_invalid", "1-D"),
    "bomb by its directory": (
        lambda: archive({**files.good_members(), "zeros.npy": npy(np.zeros(2**22))}, zipfile.ZIP_DEFLATED),
        "decompressed_too_large",
        "unpacks",
    ),
    "zip64 lie": (
        lambda: directory_field(with_members(), 24, "<I", 0xFFFFFFFF),
        "",  # the library may refuse the archive or believe the lie, which is over the limit
        "",
    ),
    "bomb that lies": (
        lambda: directory_field(
            archive({**files.good_members(), "zeros.npy": npy(np.zeros((6, 2**19)))}, zipfile.ZIP_DEFLATED),
            24,
            "<I",
            1000,
        ),
        "corrupt_archive",
        "zeros",
    ),
    "a directory of 2 MB": (
        lambda: end_field(archive({f"{'x' * 500}{i}.npy": b"" for i in range(4000)}), 10, "<H", 1),
        "header_too_large",
        "directory",
    ),
    "a directory of 4 GB": (lambda: end_field(with_members(), 12, "<I", 2**32 - 2), "header_too_large", "directory"),
    "2**40 members in 64 bits": (lambda: end_64(with_members(), 2**40, 100), "too_many_members", str(2**40)),
    "a directory of 2**40 in 64 bits": (lambda: end_64(with_members(), 2, 2**40), "header_too_large", str(2**40)),
    "20000 members": (lambda: archive({f"{i}.npy": b"" for i in range(20_000)}), "too_many_members", "4096"),
    "a zip in a zip": (
        lambda: archive({**files.good_members(), "more.npz": with_members()}),
        "unsafe_member_name",
        "more.npz",
    ),
    "a path upwards": (
        lambda: archive({**files.good_members(), "../../etc/x.npy": npy(LAYER)}),
        "unsafe_member_name",
        "../../etc/x.npy",
    ),
    "an absolute path": (lambda: archive({"/abs.npy": npy(LAYER)}), "unsafe_member_name", "/abs.npy"),
    "backslashes": (lambda: archive({"a\\b.npy": npy(LAYER)}), "unsafe_member_name", "numpy.savez"),
    "a member twice": (
        lambda: patched(
            archive({"labels.npy": npy(LABELS), "layer1.npy": npy(LAYER), "layer2.npy": npy(LAYER)}),
            b"layer2.npy",
            b"layer1.npy",
        ),
        "duplicate_member",
        "layer1",
    ),
    "bzip2": (lambda: members_with(zipfile.ZIP_BZIP2), "compression_unsupported", "numpy.savez"),
    "LZMA": (lambda: members_with(zipfile.ZIP_LZMA), "compression_unsupported", "numpy.savez"),
    "encrypted": (lambda: directory_field(with_members(), 8, "<H", 1), "corrupt_archive", "password"),
    "truncated": (lambda: with_members()[:-40], "corrupt_archive", "numpy.savez"),
    "truncated at half": (lambda: with_members()[: len(with_members()) // 2], "corrupt_archive", "numpy.savez"),
    "damaged directory": (
        lambda: patched(with_members(), b"PK\x01\x02", b"PK\x07\x07"),
        "corrupt_archive",
        "numpy.savez",
    ),
    "damaged deflate stream": (
        lambda: members_with(zipfile.ZIP_DEFLATED)[:46] + b"\xff" * 40 + members_with(zipfile.ZIP_DEFLATED)[86:],
        "corrupt_archive",
        "labels",
    ),
    "overlapping members": (overlapping, "corrupt_archive", "overlap"),
    "checksum of the labels": (
        lambda: patched(with_members(), LABELS.tobytes(), LABELS[::-1].tobytes()),
        "corrupt_archive",
        "CRC",
    ),
    "torch.save": (torch_file, "pickle_forbidden", "safetensors"),
    "torch.jit.save": (torch_script, "pickle_forbidden", "torch.onnx.export"),
    "torch.export.save": (exported_program, "pickle_forbidden", "torch.onnx.export"),
    "four bytes": (lambda: b"PK\x03\x04", "corrupt_archive", "numpy.savez"),
}
