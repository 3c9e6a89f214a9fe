"""Which format a file is in, by its first bytes: the name of a file says nothing.

The service asks before it accepts a byte more, the worker before it opens a file, wherever that came from.
"""

from pathlib import Path
from typing import Literal

from contract.schemas import ProblemError

Format = Literal["npz", "safetensors", "onnx"]
SNIFFED_BYTES = 256  # the first header of an archive, with the name of its first member
_SAFETENSORS_START = 9  # the length of the header, and its first byte
_HINT = "store it as .safetensors, or as .npz with numpy.savez"
_REFUSED = {
    b"\x93NUMPY": ("format_unsupported", f"this is a single .npy array; {_HINT}(path, labels=…, layer=…)"),
    b"\x89HDF": ("format_unsupported", f"this is HDF5, which can refer to other files; {_HINT}"),
    b"\x1f\x8b": ("format_unsupported", f"this is gzip; {_HINT}"),
    b"PAR1": ("format_unsupported", f"this is Parquet; {_HINT}"),
    b"version h": ("format_unsupported", "this is a pointer of Git LFS, not the file itself; fetch that: git lfs pull"),
}
# Producer and its version, domain, model version, documentation, graph, operators, properties.
_ONNX_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)
_PICKLE_PROTOCOLS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def sniff(start: bytes) -> Format:
    """Return the format that the first `SNIFFED_BYTES` bytes announce.

    Raises
    ------
    ProblemError
        For everything that is not an accepted format, with a hint what to do instead.
    """
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        if _is_of_pytorch(start):
            raise ProblemError(
                "pickle_forbidden",
                "this is a file of torch.save, TorchScript or torch.export, which can run code when it is opened; "
                "export a model as ONNX (torch.onnx.export), record its layers (interlayer.record), and store tensors "
                "with safetensors.torch.save_file",
            )
        return "npz"
    if start[_SAFETENSORS_START - 1 : _SAFETENSORS_START] == b"{":
        return "safetensors"
    if _is_onnx(start):
        return "onnx"
    if start.startswith(_PICKLE_PROTOCOLS):
        raise ProblemError("pickle_forbidden", f"this is a pickle, which can run code when it is opened; {_HINT}")
    for magic, (code, detail) in _REFUSED.items():
        if start.startswith(magic):
            raise ProblemError(code, detail)
    what = "empty" if not start else "text" if _is_text(start) else "neither .npz nor .safetensors nor .onnx"
    raise ProblemError("format_unsupported", f"this is {what}; {_HINT}")


def file_format(path: Path) -> Format:
    """Return the format of a file on disk; see `sniff`."""
    with path.open("rb") as file:
        return sniff(file.read(SNIFFED_BYTES))


def _is_of_pytorch(start: bytes) -> bool:
    """An archive that PyTorch wrote aligns its members with padding of a kind of its own, the first one too."""
    name_bytes = int.from_bytes(start[26:28], "little")
    return start[30 + name_bytes :].startswith(b"FB") and int.from_bytes(start[28:30], "little") > 0


def _is_text(start: bytes) -> bool:
    """Tell whether some first bytes are text in UTF-8; the last of them may be a part of a character."""
    text = start.decode(errors="ignore")
    return len(text.encode()) > len(start) - 4 and all(sign.isprintable() or sign in "\t\r\n\ufeff" for sign in text)


def _is_onnx(start: bytes) -> bool:
    """An ONNX file starts with its version, a small number in field 1, and goes on with one of its other fields."""
    return len(start) > 2 and start[0] == 0x08 and 0 < start[1] < 0x40 and start[2] in _ONNX_FIELDS
