"""What is in an ONNX file, by a walk over the wire format with bounds. No library has seen the file before this.

Fields are read by number, from https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the rest is skipped unread.
"""

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from contract.schemas import ProblemError

MOST_BYTES = 2**31 - 1  # a protocol buffer cannot be larger
_MOST_FIELDS, _MOST_DEPTH, _MOST_NAME_BYTES, _MOST_RANK = 5_000_000, 8, 4096, 32
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
# Bytes of an element, by number of its data type; strings have none.
_WIDTHS = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2, 17: 1,
           18: 1, 19: 1, 20: 1, 21: 0.5, 22: 0.5, 23: 0.5, 24: 1,
           25: 0.25, 26: 0.25}  # fmt: skip


@dataclass
class Node:
    """One operation: tensors in, tensors out."""

    operator: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


@dataclass
class Tensor:
    """A constant: its name, number of its data type, and shape."""

    name: str = ""
    dtype: int = 0
    shape: list[int] = field(default_factory=list)


@dataclass
class Value:
    """An input or output: its name, number of its data type, and shape; None is an extent that is free."""

    name: str = ""
    dtype: int = 0
    shape: list[int | None] | None = None


@dataclass
class Graph:
    """The top level of a model, in the order of execution."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    opsets: dict[str, int] = field(default_factory=dict)


def scan_onnx(path: Path) -> Graph:
    """Return the graph of an ONNX file.

    Raises
    ------
    ProblemError
        `model_too_large`, `invalid_onnx`, `external_data_forbidden`, `operator_unsupported`.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ProblemError("model_too_large", f"the ONNX file has {size} bytes, more than {MOST_BYTES}")
    if size == 0:
        _invalid("it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _Scan(content).model()


def _invalid(reason: str) -> NoReturn:
    raise ProblemError("invalid_onnx", f"the ONNX file cannot be read ({reason}); export it again")


class _Scan:
    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._fields = 0

    def model(self) -> Graph:
        graph = Graph()
        has_graph = False
        for number, start, end in self._walk(0, len(self._content)):
            if number == 7:
                has_graph = True
                self._graph(start, end, graph, depth=0)
            elif number == 8:
                domain, version = "", 0
                for inner, a, b in self._walk(start, end):
                    if inner == 1:
                        domain = self._text(a, b)
                    elif inner == 2:
                        version = a
                graph.opsets["" if domain == "ai.onnx" else domain] = version
            elif number in (20, 25):
                _unsupported("training steps" if number == 20 else "functions of its own")
        if not has_graph or not graph.nodes:
            _invalid("it has no graph with operations")
        return graph

    def _walk(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (number, start, end) of embedded fields, and (number, value, -1) of numbers."""
        while start < end:
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                _invalid(f"it has more than {_MOST_FIELDS} fields")
            tag, start = self._varint(start, end)
            number, kind = tag >> 3, tag & 7
            if number == 0 or tag >= 2**32:
                _invalid("a field has an impossible number")
            if kind == 0:
                value, start = self._varint(start, end)
                yield number, value, -1
            elif kind == 2:
                size, start = self._varint(start, end)
                if size > end - start:
                    _invalid("it is cut off, or a length in it is wrong")
                yield number, start, start + size
                start += size
            elif kind in (1, 5):
                start += 8 if kind == 1 else 4
                if start > end:
                    _invalid("it is cut off")
            else:
                _invalid(f"a field has the wire type {kind}")

    def _varint(self, start: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if start >= end:
                _invalid("it is cut off")
            byte = self._content[start]
            start += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (2**64 - 1), start
        _invalid("a number in it is too long")

    def _text(self, start: int, end: int) -> str:
        if end < start or end - start > _MOST_NAME_BYTES:
            _invalid("a name in it is no text, or too long")
        try:
            return self._content[start:end].decode()
        except UnicodeDecodeError:
            _invalid("a name in it is not UTF-8")

    def _graph(self, start: int, end: int, graph: Graph, depth: int) -> None:
        if depth > _MOST_DEPTH:
            _invalid(f"graphs lie within graphs more than {_MOST_DEPTH} deep")
        for number, a, b in self._walk(start, end):
            if number in (1, 5, 11, 12, 15) and b < 0:
                _invalid("a message in it is a number")
            if number == 1:
                graph.nodes.append(self._node(a, b, depth))
            elif number == 5:
                tensor = self._tensor(a, b)
                graph.constants[tensor.name] = tensor
            elif number in (11, 12):
                (graph.inputs if number == 11 else graph.outputs).append(self._value(a, b))
            elif number == 15:
                self._sparse(a, b)

    def _node(self, start: int, end: int, depth: int) -> Node:
        node = Node()
        for number, a, b in self._walk(start, end):
            if number in (1, 2):
                (node.inputs if number == 1 else node.outputs).append(self._text(a, b))
            elif number == 4:
                node.operator = self._text(a, b)
            elif number == 7:
                node.domain = self._text(a, b)
            elif number == 5:
                self._attribute(a, b, depth)
        if node.domain not in _DOMAINS:
            _unsupported(f"the operator {node.operator!r} of {node.domain!r}, which is not the standard's")
        return node

    def _attribute(self, start: int, end: int, depth: int) -> None:
        for number, a, b in self._walk(start, end):
            if number in (5, 10):
                self._tensor(a, b)
            elif number in (6, 11):
                self._graph(a, b, Graph(), depth + 1)
            elif number in (22, 23):
                self._sparse(a, b)

    def _sparse(self, start: int, end: int) -> None:
        for number, a, b in self._walk(start, end):
            if number in (1, 2):
                self._tensor(a, b)

    def _tensor(self, start: int, end: int) -> Tensor:
        tensor, raw = Tensor(), None
        for number, a, b in self._walk(start, end):
            if number == 1:  # packed or not
                tensor.shape += [a] if b < 0 else self._packed(a, b)
            elif number == 2:
                tensor.dtype = a
            elif number == 8:
                tensor.name = self._text(a, b)
            elif number == 9:
                raw = b - a
            elif number == 13 or (number == 14 and a == 1):
                raise ProblemError(
                    "external_data_forbidden",
                    "the ONNX file keeps weights in other files, which are never opened; export it as a single file "
                    "(torch.onnx.export(…, external_data=False), or onnx.save(onnx.load(path), path))",
                )
        if len(tensor.shape) > _MOST_RANK or any(extent >= 2**48 for extent in tensor.shape):
            _invalid(f"the constant {tensor.name[:80]!r} has an impossible shape")
        expected = math.ceil(math.prod(tensor.shape) * _WIDTHS.get(tensor.dtype, 0))
        if raw is not None and raw != expected:
            _invalid(f"the constant {tensor.name[:80]!r} declares {expected} bytes but holds {raw}")
        if raw is None and expected > 8 * max(1, end - start):
            _invalid(f"the constant {tensor.name[:80]!r} declares more values than it holds")
        return tensor

    def _packed(self, start: int, end: int) -> list[int]:
        values: list[int] = []
        while start < end and len(values) <= _MOST_RANK:
            value, start = self._varint(start, end)
            values.append(value)
        return values

    def _value(self, start: int, end: int) -> Value:
        value = Value()
        for number, a, b in self._walk(start, end):
            if number == 1:
                value.name = self._text(a, b)
            elif number == 2:
                for kind, c, d in self._walk(a, b):
                    if kind == 1:  # a tensor; sequences and maps are not used
                        self._tensor_type(c, d, value)
        return value

    def _tensor_type(self, start: int, end: int, value: Value) -> None:
        for number, a, b in self._walk(start, end):
            if number == 1:
                value.dtype = a
            elif number == 2:
                value.shape = []
                for inner, c, d in self._walk(a, b):
                    if inner == 1:
                        sizes = [x for which, x, y in self._walk(c, d) if which == 1 and y < 0]
                        value.shape.append(sizes[0] if sizes and 0 < sizes[0] < 2**48 else None)


def _unsupported(what: str) -> NoReturn:
    raise ProblemError("operator_unsupported", f"the ONNX file has {what}; export it with the standard operators only")
