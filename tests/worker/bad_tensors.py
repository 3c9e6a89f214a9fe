"""Files of .safetensors that are wrong in one way each, with the code of the refusal and a word of it."""

import pickle
from collections.abc import Callable
from typing import Any

from tests.worker import files
from tests.worker.files import safetensors


def tensors(**changes: Any) -> bytes:
    """Return a good .safetensors file in which some entries of the header are others."""
    header, payload = files.good_tensors()
    return safetensors({**header, **changes}, payload)


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD_HEADER, GOOD_PAYLOAD = files.good_tensors()

SAFETENSORS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", "format_unsupported", "empty"),
    "three bytes": (lambda: b"abc", "format_unsupported", "this is text"),
    "nothing known": (lambda: bytes(range(128, 192)), "format_unsupported", "neither"),
    "a table as text": ("größe,label\n1.0,2\n".encode, "format_unsupported", "this is text"),
    "a pointer of Git LFS": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "format_unsupported",
        "git lfs pull",
    ),
    "a pickle": (lambda: pickle.dumps([1, 2]), "pickle_forbidden", "run code"),
    "header of 2**63": (lambda: safetensors(GOOD_HEADER, GOOD_PAYLOAD, size=2**63), "header_too_large", str(2**63)),
    "header of 101 MB": (lambda: safetensors(b"{}", size=101_000_000), "header_too_large", "101000000"),
    "header longer than the file": (lambda: safetensors(b"{}", size=1000), "invalid_safetensors", "write it again"),
    "5000 tensors": (
        lambda: safetensors({str(i): tensor([0], 0, 0) for i in range(5000)}),
        "too_many_members",
        "4096",
    ),
    "not JSON": (lambda: safetensors(b"{not json}"), "invalid_safetensors", "JSON"),
    "a list": (lambda: safetensors([1, 2]), "format_unsupported", "safetensors"),
    "a tensor that is no object": (lambda: tensors(layer=3), "invalid_safetensors", "write it again"),
    "a tensor without offsets": (
        lambda: tensors(layer={"dtype": "F32", "shape": [4, 2]}),
        "invalid_safetensors",
        "write it again",
    ),
    "deep JSON": (
        lambda: safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "invalid_safetensors",
        "JSON",
    ),
    "not UTF-8": (lambda: safetensors(b'{"\xff": 1}'), "invalid_safetensors", "JSON"),
    "a name twice": (
        lambda: safetensors(b'{"labels": 1, "labels": 2}'),
        "duplicate_member",
        "twice",
    ),
    "overlap": (lambda: tensors(layer=tensor([4, 2], 24, 56)), "invalid_safetensors", "write it again"),
    "hole": (
        lambda: safetensors({**GOOD_HEADER, "layer": tensor([4, 2], 40, 72)}, GOOD_PAYLOAD + bytes(8)),
        "invalid_safetensors",
        "write it again",
    ),
    "short": (lambda: safetensors(GOOD_HEADER, GOOD_PAYLOAD[:-1]), "invalid_safetensors", "write it again"),
    "trailing": (lambda: safetensors(GOOD_HEADER, GOOD_PAYLOAD + b"x"), "invalid_safetensors", "write it again"),
    "shape against bytes": (lambda: tensors(layer=tensor([4, 3], 32, 64)), "invalid_safetensors", "write it again"),
    "overflow": (lambda: tensors(layer=tensor([2**62, 4], 32, 64)), "invalid_safetensors", "write it again"),
    "negative": (lambda: tensors(layer=tensor([-4, -2], 32, 64)), "invalid_safetensors", "write it again"),
    "unknown type": (lambda: tensors(layer=tensor([4, 2], 32, 64, "F33")), "invalid_safetensors", "write it again"),
    "eight bit floats": (lambda: tensors(layer=tensor([4, 8], 32, 64, "F8_E4M3")), "dtype_unsupported", "F8_E4M3"),
    "booleans": (lambda: tensors(layer=tensor([4, 8], 32, 64, "BOOL")), "dtype_unsupported", "bool"),
    "metadata of 10 MB": (lambda: tensors(__metadata__={"x": "y" * 10_000_000}), "header_too_large", "bytes"),
    "metadata that is no text": (lambda: tensors(__metadata__={"x": 1}), "invalid_safetensors", "write it again"),
    "layers: no JSON": (lambda: tensors(__metadata__={"layers": "[layer"}), "layers_invalid", "JSON list"),
    "layers: deep": (lambda: tensors(__metadata__={"layers": "[" * 100_000}), "layers_invalid", "JSON list"),
    "layers: numbers": (lambda: tensors(__metadata__={"layers": "[1]"}), "layers_invalid", "JSON list"),
    "layers: half a character": (lambda: tensors(__metadata__={"layers": r'["\ud800"]'}), "layers_invalid", "ud800"),
    "classes: one name": (lambda: tensors(__metadata__={"classes": '["a"]'}), "labels_invalid", "1 names"),
    "classes: a name twice": (lambda: tensors(__metadata__={"classes": '["a", "a"]'}), "labels_invalid", "once"),
    "classes: no list": (lambda: tensors(__metadata__={"classes": '{"a": 1}'}), "labels_invalid", "JSON list"),
    "classes: half a character": (
        lambda: tensors(__metadata__={"classes": r'["\ud800", "b"]'}),
        "labels_invalid",
        "UTF-8",
    ),
    "classes: no rows": (
        lambda: safetensors(
            {"labels": tensor([0], 0, 0, "I64"), "l": tensor([0, 2], 0, 0), "__metadata__": {"classes": '["a"]'}}
        ),
        "too_few_classes",
        "0 class",
    ),
    "labels missing": (
        lambda: safetensors({"layer": tensor([4, 2], 0, 32)}, GOOD_PAYLOAD[32:]),
        "labels_missing",
        "'layer'",
    ),
    "label length": (lambda: tensors(layer=tensor([8], 32, 64)), "label_length_mismatch", "4 labels"),
    "HTML": (lambda: b"<!DOCTYPE html><html></html>", "format_unsupported", "this is text"),
    "one array": (lambda: b"\x93NUMPY\x01\x00v\x00{", "format_unsupported", "single .npy"),
    "ONNX": (lambda: b"\x08\x08\x12\x07pytorch", "model_unsupported", "ONNX"),
}
