"""A part of an ONNX model, ready to run: what some tensors depend on, in ONNX Runtime."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contract.schemas import ProblemError
from worker.arrays import Array

if TYPE_CHECKING:
    import onnx

# Data types of ONNX that NumPy does not have, by number. Float32 holds all of their values exactly.
NARROW_TYPES = {
    16: "bfloat16", 17: "float8", 18: "float8", 19: "float8", 20: "float8", 21: "uint4", 22: "int4", 23: "float4",
    24: "float8", 25: "uint2", 26: "int2",
}  # fmt: skip
_OF_NUMPY = frozenset(
    f"tensor({name})"
    for name in (
        *("float", "double", "float16", "bool", "string"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
)
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "out of memory", "BFCArena")
_WITHOUT_IMPLEMENTATION = re.compile(r"implementation for (?:the node \S*?)?(\w+)")


class OnnxPart:
    """The operations that some tensors depend on, and the constants of these.

    Parameters
    ----------
    content : bytes
        The whole model.
    outputs : sequence of str
        Tensors to compute. Those of a type that NumPy does not have come out as float32; inputs of such a type are
        taken as float32.
    narrow : sequence of str
        Names of such types that the model uses, for the message where the device cannot compute in them.

    Raises
    ------
    ProblemError
        `invalid_onnx`, `opset_unsupported`, `operator_unsupported`, `precision_unsupported`.
    """

    def __init__(
        self, content: bytes, outputs: Sequence[str], *, use_gpu: bool, n_threads: int | None, narrow: Sequence[str]
    ) -> None:
        import onnx

        self._use_gpu, self._n_threads, self._narrow = use_gpu, n_threads, narrow
        model = onnx.load_model_from_string(content)
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        _keep_only(model.graph, outputs)
        self._renamed = _widen_inputs(model.graph)
        self._session = self._open(model)
        types = {value.name: value.type for value in self._session.get_outputs()}
        if wide := {name for name, kind in types.items() if kind.startswith("tensor(") and kind not in _OF_NUMPY}:
            _widen_outputs(model.graph, wide)
            self._session = self._open(model)
        self.n_bytes: int = model.ByteSize()

    @property
    def device(self) -> str:
        """Where it runs: `cpu` or `cuda`."""
        return "cuda" if self._session.get_providers()[0].startswith("CUDA") else "cpu"

    def run(self, feed: Mapping[str, Array]) -> list[Any]:
        """Compute the outputs, in their order; sequences and maps come as lists and dictionaries."""
        return list(self._session.run(None, {self._renamed.get(name, name): rows for name, rows in feed.items()}))

    def _open(self, model: "onnx.ModelProto") -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Every operation as it stands: fused ones would give numbers that depend on which layers are asked for.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = self._n_threads or 0
        options.log_severity_level = 4
        providers = ["CPUExecutionProvider"]
        if self._use_gpu and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, "CUDAExecutionProvider")
        try:
            return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
        except Exception as error:  # the library has a dozen kinds
            if is_out_of_memory(error):
                raise
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> ProblemError:
        text = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        if "NOT_IMPLEMENTED" in text:
            found = _WITHOUT_IMPLEMENTATION.search(text)
            operator = found.group(1) if found else "an operator"
            if self._narrow:
                return ProblemError(
                    "precision_unsupported",
                    f"ONNX Runtime cannot compute {operator} in the types of this model ({', '.join(self._narrow)}) on "
                    "the processor of this worker; export it in float32: model.float() before torch.onnx.export",
                )
            return ProblemError(
                "operator_unsupported", f"ONNX Runtime has no implementation of {operator}; export without it ({text})"
            )
        code = "opset_unsupported" if "opset" in text.lower() else "invalid_onnx"
        return ProblemError(code, f"the ONNX file cannot be run: {text}")


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error of the library means that a smaller batch may do."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


def _keep_only(graph: "onnx.GraphProto", outputs: Sequence[str]) -> None:
    """Remove what the outputs do not depend on."""
    wanted = set(outputs)
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if wanted.intersection(node.output):
            wanted.update(_names_used(node))
        else:
            del graph.node[place]
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in wanted:
            del graph.initializer[place]


def _names_used(node: "onnx.NodeProto") -> Iterator[str]:
    """Yield the tensors that an operation takes, also those that graphs inside it take from outside."""
    yield from node.input
    for attribute in node.attribute:
        for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from _names_used(inner)


def _widen_inputs(graph: "onnx.GraphProto") -> dict[str, str]:
    """Take inputs of types that NumPy lacks as float32; return how these are called then."""
    from onnx import TensorProto, helper

    constants = {tensor.name for tensor in graph.initializer}
    renamed = {}
    for value in graph.input:
        kind = value.type.tensor_type.elem_type
        if kind in NARROW_TYPES and value.name not in constants:
            renamed[value.name] = f"{value.name} (float32)"
            graph.node.insert(0, helper.make_node("Cast", [renamed[value.name]], [value.name], to=kind))
            value.type.tensor_type.elem_type = TensorProto.FLOAT
            value.name = renamed[value.name]
    return renamed


def _widen_outputs(graph: "onnx.GraphProto", names: set[str]) -> None:
    from onnx import TensorProto, helper

    for value in graph.output:
        if value.name in names:
            wide = f"{value.name} (float32)"
            graph.node.append(helper.make_node("Cast", [value.name], [wide], to=TensorProto.FLOAT))
            value.name = wide
