"""`.npz` files: every bound is checked in the archive's directory and the array headers before anything is unpacked."""

import os
import struct
import zipfile
import zlib
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from contract.schemas import ProblemError
from worker.arrays import MAX_ARRAYS, Array, StoredArray, check_shape, native

_ENCRYPTED = 0x1
# What the standard library raises on archives that lie about themselves.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, OverflowError, RuntimeError, ValueError)
_LOCAL_HEADER_BYTES = 30
_END_MAGIC = b"PK\x05\x06"
_END_BYTES, _LOCATOR_BYTES, _RECORD_64_BYTES, _MOST_COMMENT_BYTES = 22, 20, 56, 65535
_MOST_DIRECTORY_BYTES = 256 * MAX_ARRAYS


def read_npz(path: Path, max_unpacked_bytes: int) -> list[StoredArray]:
    """Return the arrays of a `.npz` file in the order of its entries, none of them loaded."""
    _check_end(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_directory(members, max_unpacked_bytes)
            return [_stored_array(archive, path, member) for member in members]
    except _DAMAGED as error:
        raise _corrupt(str(error)) from error


def _check_end(path: Path) -> None:
    """Refuse a directory that is too large before anything reads it: the last record of the archive tells its size.

    Where there is no such record, or none that makes sense, the library says so without reading more.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END_BYTES - _MOST_COMMENT_BYTES - _LOCATOR_BYTES))
        tail = file.read()
        at = len(tail) - _END_BYTES  # where the record is if the archive has no comment, else somewhere before
        if not (tail[at:].startswith(_END_MAGIC) and tail.endswith(b"\0\0")):
            at = tail.rfind(_END_MAGIC)
        if at < 0 or len(tail) - at < _END_BYTES:
            return
        claims = {struct.unpack_from("<HI", tail, at + 10)}
        locator = tail[max(0, at - _LOCATOR_BYTES) : at]
        if locator.startswith(b"PK\x06\x07") and len(locator) == _LOCATOR_BYTES:
            # A 64-bit record overrules this one: readers look where the locator says, or just before it.
            before = size - len(tail) + at - _LOCATOR_BYTES - _RECORD_64_BYTES
            for position in (min(struct.unpack_from("<Q", locator, 8)[0], size), max(before, 0)):
                file.seek(position)
                record = file.read(_RECORD_64_BYTES)
                if len(record) == _RECORD_64_BYTES and record.startswith(b"PK\x06\x06"):
                    claims.add(struct.unpack_from("<QQ", record, 32))
    claims -= {(0xFFFF, 0xFFFFFFFF)}  # that is how the record points to the 64-bit one
    for count, directory_bytes in sorted(claims):
        if count > MAX_ARRAYS:
            raise ProblemError("too_many_members", f"the archive has {count} members, more than {MAX_ARRAYS}")
        if directory_bytes > _MOST_DIRECTORY_BYTES:
            raise ProblemError(
                "header_too_large",
                f"the archive's directory has {directory_bytes} bytes, more than {_MOST_DIRECTORY_BYTES}",
            )


def _corrupt(reason: str) -> ProblemError:
    return ProblemError(
        "corrupt_archive", f"the .npz archive cannot be read ({reason}); write it again with numpy.savez"
    )


def _check_directory(members: list[zipfile.ZipInfo], max_unpacked_bytes: int) -> None:
    if len(members) > MAX_ARRAYS:
        raise ProblemError("too_many_members", f"the archive has {len(members)} members, more than {MAX_ARRAYS}")
    unpacked = sum(member.file_size for member in members)
    if unpacked > max_unpacked_bytes:
        raise ProblemError(
            "decompressed_too_large",
            f"the archive unpacks to {unpacked} bytes, more than {max_unpacked_bytes}; "
            "record fewer layers or rows per file",
        )
    _refuse_programs([member.filename for member in members])
    seen: set[str] = set()
    for member in members:
        name = member.filename
        if name.endswith(".pkl"):
            raise ProblemError(
                "pickle_forbidden",
                f"member {name!r} is a pickle, as in files of torch.save; pickles can run code and are never opened: "
                "save the tensors with safetensors.torch.save_file",
            )
        if not name.endswith(".npy") or name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise ProblemError("unsafe_member_name", f"member {name!r} is not an array that numpy.savez would write")
        if name in seen:
            raise ProblemError("duplicate_member", f"the archive holds two arrays named {name.removesuffix('.npy')!r}")
        seen.add(name)
        if member.flag_bits & _ENCRYPTED:
            raise ProblemError("corrupt_archive", "the archive is encrypted; upload it without a password")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ProblemError(
                "compression_unsupported", f"member {name!r} is neither stored nor deflated; write it with numpy.savez"
            )
    for one, following in pairwise(sorted(members, key=lambda member: member.header_offset)):
        if one.header_offset + _LOCAL_HEADER_BYTES + one.compress_size > following.header_offset:
            raise _corrupt(f"members {one.filename!r} and {following.filename!r} overlap")


def _stored_array(archive: zipfile.ZipFile, path: Path, member: zipfile.ZipInfo) -> StoredArray:
    name = member.filename.removesuffix(".npy")
    try:
        with archive.open(member) as stream:
            shape, dtype = _header(stream)
            header_bytes = stream.tell()
    except (zipfile.BadZipFile, zlib.error) as error:
        raise _corrupt(f"array {name!r}: {error}") from error
    except Exception as error:  # a header is a Python literal, and numpy lets through whatever its parser raises
        raise ProblemError("invalid_array", f"array {name!r} has no valid header ({str(error)[:200]})") from error
    if dtype.hasobject:
        raise ProblemError(
            "object_dtype",
            f"array {name!r} holds pickled Python objects, which are never opened; "
            "store numbers (and labels as integers or fixed-width strings)",
        )
    check_shape(name, shape)
    declared = header_bytes + dtype.itemsize * int(np.prod(shape, dtype=object))
    if declared != member.file_size:
        raise ProblemError(
            "invalid_array",
            f"array {name!r} declares {declared} bytes but the file holds {member.file_size}; the file is damaged",
        )
    # Numbers go by one name in either byte order; of strings the name does not say the length.
    shown = str(dtype) if dtype.kind in "US" else dtype.name
    return StoredArray(name, shape, shown, dtype.kind, partial(_load, path, member.filename, member.file_size))


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"unknown .npy version {version}")
    # Version 3 is version 2 with UTF-8 field names, which no plain array has.
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def largest_array_bytes() -> int:
    """Return how large an array this machine unpacks: half its memory, for the computation needs some, too."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _load(path: Path, filename: str, size: int) -> Array:
    if size > (most := largest_array_bytes()):
        raise ProblemError(
            "out_of_memory",
            f"array {filename.removesuffix('.npy')!r} unpacks to {size} bytes, more than the {most} that this worker "
            "unpacks; store it as .safetensors, which is read in pieces, in float16, or with fewer rows",
        )
    try:
        with zipfile.ZipFile(path) as archive, archive.open(filename) as stream:
            array = npy.read_array(stream, allow_pickle=False)
            stream.read(1)  # reach the end, where the checksum is compared
    except _DAMAGED as error:
        raise _corrupt(f"array {filename.removesuffix('.npy')!r}: {error}") from error
    return native(array)


def _refuse_programs(names: list[str]) -> None:
    """Refuse archives of `torch.jit.save` and `torch.export.save` by what they alone contain."""
    inner = {name.partition("/")[2] for name in names}
    for kind, is_kind in (
        ("TorchScript program", any(name.startswith("code/") for name in inner) and "constants.pkl" in inner),
        ("PyTorch program (.pt2)", "archive_format" in inner),
    ):
        if is_kind:
            raise ProblemError(
                "pickle_forbidden",
                f"this is a {kind}, which can run code when it is opened: export the model as ONNX "
                "(torch.onnx.export), or record its activations (interlayer.record)",
            )
