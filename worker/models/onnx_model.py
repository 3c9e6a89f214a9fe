"""The tensors of an ONNX model as layers, computed by ONNX Runtime."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contract.layer_names import INPUT_LAYER, LayerNames
from contract.schemas import ProblemError
from worker.arrays import Array
from worker.models.onnx_scan import Graph, Node, Value, scan_onnx
from worker.models.onnx_session import NARROW_TYPES, OnnxPart, is_out_of_memory

_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
} | dict.fromkeys(NARROW_TYPES, "float32")  # fmt: skip
_WITH_WEIGHTS = frozenset([
    "Gemm", "MatMul", "Conv", "ConvTranspose", "DeformConv", "Gather", "LSTM", "GRU", "RNN", "Einsum",
    "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv",
])  # fmt: skip
_PASSING = frozenset(["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Dropout", "Transpose"])


def onnx_layers(graph: Graph) -> dict[str, str]:
    """Return the tensor of every layer by its name, in execution order, named by index and type as the paper does.

    A layer is an operation on the data. The index counts operations with weights of two axes or more; what is added
    to all rows, scaled or compared is no weight. A bias that is added by an operation of its own belongs to the
    operation before. What only gives the data another shape is no layer.
    """
    from_data = {value.name for value in graph.inputs if value.name not in graph.constants}
    consumers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            consumers.setdefault(name, []).append(node)
    found: dict[str, str] = {}
    names, products = LayerNames(), set()
    for node in graph.nodes:
        if node.operator == "Shape" or not from_data & set(node.inputs):
            continue
        has_weights = _has_weights(node, graph, from_data)
        from_data.update(name for name in node.outputs if name)
        output = next((name for name in node.outputs if name), None)
        if node.operator in _PASSING or output is None:
            continue
        if node.operator == "MatMul" and has_weights and _adds_bias(consumers.get(output, []), graph):
            products.add(output)  # the sum that follows is the layer
        elif products & set(node.inputs):
            found[names.by_type("MatMul", has_weights=True)] = output
        else:
            found[names.by_type(node.operator, has_weights=has_weights)] = output
    return found


def _has_weights(node: Node, graph: Graph, from_data: set[str]) -> bool:
    """Say whether an operand does not depend on the data and has two axes or more, or a number that is not known."""
    operands = node.inputs[:1] if node.operator == "Gather" else node.inputs
    fixed = [name for name in operands if name and name not in from_data]
    return node.operator in _WITH_WEIGHTS and any(
        name not in graph.constants or len(graph.constants[name].shape) >= 2 for name in fixed
    )


def _adds_bias(following: Sequence[Node], graph: Graph) -> bool:
    if len(following) != 1 or following[0].operator != "Add":
        return False
    biases = [graph.constants[name] for name in following[0].inputs if name in graph.constants]
    return len(biases) == 1 and len(biases[0].shape) == 1


class OnnxModel:
    """Runs parts of a model: as many layers at a time as the memory budget holds for one batch."""

    def __init__(self, path: Path, *, device: str, n_threads: int | None, budget_bytes: int) -> None:
        self._graph = scan_onnx(path)
        self._content = path.read_bytes()
        self._device, self._n_threads, self._budget = device, n_threads, budget_bytes
        self._layers = onnx_layers(self._graph)
        self._inputs = [value for value in self._graph.inputs if value.name not in self._graph.constants]
        self._fixed_rows = _fixed_rows(self._inputs)
        self._parts: dict[tuple[str, ...], OnnxPart] = {}
        self._narrow = _narrow_types(self._graph)
        self._row_bytes: dict[str, int] = {}
        self.device = "cpu"
        self._check_opsets()

    def _check_opsets(self) -> None:
        from onnx.defs import onnx_opset_version

        version, newest = self._graph.opsets.get("", 0), onnx_opset_version()
        if not 0 < version <= newest:
            raise ProblemError(
                "opset_unsupported", f"the ONNX file uses opset {version}; export it with one of 7 to {newest}"
            )

    def names(self, batch: Mapping[str, Array]) -> tuple[list[str], list[str]]:
        """Return the names of layers, and those of all tensors, which may be asked for as well."""
        numeric = {INPUT_LAYER} if any(a.dtype.kind == "f" or a.dtype == np.uint8 for a in batch.values()) else set()
        tensors = [name for node in self._graph.nodes for name in node.outputs if name]
        return [*sorted(numeric), *self._layers], tensors

    def run(self, batch: Mapping[str, Array], layers: Sequence[str], put: Callable[[str, Array], None]) -> None:
        """Compute layers of a batch and hand over each."""
        feed = self._feed(batch)
        n_rows = len(next(iter(feed.values())))
        if INPUT_LAYER in layers:
            put(INPUT_LAYER, next(iter(feed.values())))
        tensors = {name: self._layers.get(name, name) for name in layers if name != INPUT_LAYER}
        for group in self._groups(list(tensors), n_rows):
            outputs = self._outputs(tuple(tensors[name] for name in group), feed, n_rows)
            for name, output in zip(group, outputs, strict=True):
                if not isinstance(output, np.ndarray):
                    continue  # a sequence or a map
                if output.ndim and len(output):
                    self._row_bytes[name] = output.nbytes // len(output)
                put(name, output)

    def _outputs(self, tensors: tuple[str, ...], feed: dict[str, Array], n_rows: int) -> list[Any]:
        """Compute some tensors; where the model takes a fixed number of rows, so many at a time."""
        part, size = self._part(tensors), self._fixed_rows
        if size is None or size == n_rows:
            return part.run(feed)
        parts = []
        for first in range(0, n_rows, size):
            rows = np.minimum(np.arange(first, first + size), n_rows - 1)  # the last row fills up the last part
            parts.append(part.run({name: array[rows] for name, array in feed.items()}))
        return [_joined(column, size, n_rows) for column in zip(*parts, strict=True)]

    def _groups(self, names: Sequence[str], n_rows: int) -> list[list[str]]:
        """Divide layers so that those of one group fit the budget; sizes not known yet count as a share of it."""
        groups: list[list[str]] = [[]]
        size = 0
        for name in names:
            need = n_rows * self._row_bytes[name] if name in self._row_bytes else max(1, self._budget // 16)
            if groups[-1] and size + need > self._budget:
                groups.append([])
                size = 0
            groups[-1].append(name)
            size += need
        return [group for group in groups if group]

    def _feed(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        feed = {}
        for value in self._inputs:
            given = batch.get(value.name, batch["inputs"] if len(self._inputs) == 1 else batch.get("inputs"))
            if value.name not in batch and len(self._inputs) > 1 and value is not self._inputs[0]:
                names = [item.name for item in self._inputs]
                raise ProblemError(
                    "input_mismatch", f"the model has the inputs {names}; the data lack an array {value.name!r}"
                )
            assert given is not None
            feed[value.name] = _fitted(given, value)
        return feed

    def _part(self, outputs: tuple[str, ...]) -> OnnxPart:
        """Return what computes some tensors; parts that were used before are kept as far as the budget goes."""
        if outputs in self._parts:
            return self._parts[outputs]
        part = OnnxPart(
            self._content,
            outputs,
            use_gpu=self._device != "cpu",
            n_threads=self._n_threads,
            narrow=self._narrow,
        )
        while self._parts and part.n_bytes + sum(each.n_bytes for each in self._parts.values()) > self._budget:
            del self._parts[next(iter(self._parts))]
        self.device = part.device
        self._parts[outputs] = part
        return part

    def is_out_of_memory(self, error: Exception) -> bool:
        """Tell whether an error of `run` means that a smaller batch may do."""
        return is_out_of_memory(error)

    def to_cpu(self) -> bool:
        """Go on without the GPU; False where there was none."""
        moved, self._device = self.device != "cpu", "cpu"
        self._parts.clear()
        return moved


def _narrow_types(graph: Graph) -> list[str]:
    """Return the types of inputs and constants that NumPy does not have."""
    used = {value.dtype for value in graph.inputs} | {tensor.dtype for tensor in graph.constants.values()}
    return sorted({NARROW_TYPES[dtype] for dtype in used if dtype in NARROW_TYPES})


def _fixed_rows(inputs: Sequence[Value]) -> int | None:
    """Return how many rows a model takes at a time, None where that is free."""
    sizes = sorted({value.shape[0] for value in inputs if value.shape and value.shape[0] is not None})
    if len(sizes) > 1:
        raise ProblemError(
            "input_mismatch",
            f"the inputs of the model have first axes of {sizes}, so their rows do not go together; "
            "export it with a free first axis",
        )
    return sizes[0] if sizes else None


def _joined(parts: Sequence[Any], size: int, n_rows: int) -> Any:
    """Join what was computed for a fixed number of rows at a time; what is not for rows stays as it came first."""
    for_rows = all(isinstance(part, np.ndarray) and part.shape[:1] == (size,) for part in parts)
    return np.concatenate(parts)[:n_rows] if for_rows else parts[0]


def _fitted(given: Array, value: Value) -> Array:
    """Return rows in the type that an input wants, or say why they do not fit."""
    if value.dtype not in _TYPES:
        raise ProblemError("input_mismatch", f"the model's input {value.name!r} takes no numbers; export another form")
    wanted = np.dtype(_TYPES[value.dtype])
    if given.dtype != wanted:
        if given.dtype.kind != wanted.kind or wanted.kind not in "fi":
            raise ProblemError(
                "input_mismatch",
                f"the model wants {value.name!r} as {wanted}, the data have {given.dtype}; convert them",
            )
        given = given.astype(wanted)
    shape = value.shape
    fits = shape is None or (
        len(shape) == given.ndim and all(a is None or a == b for a, b in zip(shape[1:], given.shape[1:], strict=True))
    )
    if not fits:
        raise ProblemError(
            "input_mismatch",
            f"the model wants {value.name!r} of shape {shape}, the data have rows of {list(given.shape[1:])}",
        )
    return given
