"""Small networks in their two forms, with the same weights, and the factories that a registry names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from tests.worker import files

Array = files.Array
Factory = Callable[..., nn.Module]


class Twice(nn.Module):
    """A module that is used twice, and an output that is a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(6, 6)
        self.activation = nn.Tanh()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        x = self.activation(self.dense(x))
        return self.activation(self.dense(x)), {"more": x}


@dataclass
class Outputs:
    """What `Several` returns."""

    again: torch.Tensor
    doubled: torch.Tensor
    loss: torch.Tensor
    note: str = "no tensor"


class Several(nn.Module):
    """Returns a dataclass."""

    def forward(self, x: torch.Tensor) -> Outputs:
        return Outputs(x + 0.0, 2 * x, x.mean())


def several() -> nn.Module:
    return Several()


def mlp(width: int = 5) -> nn.Module:
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3), nn.Softmax(dim=1))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.5)
    )


def noisy() -> nn.Module:
    class Noise(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.randn_like(x)

    return nn.Sequential(Noise(), nn.Linear(6, 3))


def infinite() -> nn.Module:
    class Log(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.log(-x.abs())

    return nn.Sequential(Log())


def downloading() -> nn.Module:
    import urllib.request

    urllib.request.urlopen("http://127.0.0.1:1/weights")
    return mlp()


def no_module() -> int:
    return 3


def twice() -> nn.Module:
    return Twice()


def seeded(factory: Any, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    module: nn.Module = factory()
    return module.eval()


def mlp_onnx(path: Path, network: nn.Module, *, dense_as_matmul: bool = False, **changes: Any) -> Path:
    """Write the first form of `mlp` as an ONNX file; `changes` go to the model."""
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    constants, nodes, value = [], [], "x"
    for number, layer in enumerate(layers):
        weight, bias = (array.detach().numpy() for array in (layer.weight, layer.bias))
        constants += [
            numpy_helper.from_array(weight.T.copy(), f"w{number}"),
            numpy_helper.from_array(bias, f"b{number}"),
        ]
        if dense_as_matmul:
            nodes.append(helper.make_node("MatMul", [value, f"w{number}"], [f"product{number}"]))
            nodes.append(helper.make_node("Add", [f"product{number}", f"b{number}"], [f"dense{number}"]))
        else:
            nodes.append(helper.make_node("Gemm", [value, f"w{number}", f"b{number}"], [f"dense{number}"]))
        last = number == len(layers) - 1
        value = "y" if last else f"relu{number}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"dense{number}"], [value]))
    nodes = changes.pop("nodes", nodes)
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [changes.pop("rows", "n"), 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [*constants, *changes.pop("constants", [])],
    )
    opset = helper.make_opsetid("", changes.pop("opset", 17))
    model = helper.make_model(graph, opset_imports=[opset, *changes.pop("opsets", [])], ir_version=8, **changes)
    path.write_bytes(model.SerializeToString())
    return path


def data_file(path: Path, n_per_class: int = 36, **arrays: Array) -> Path:
    """Write inputs of six features in three classes, that lie apart."""
    points, labels = files.classes_apart(n_per_class=n_per_class, seed=4)
    return files.write_npz(path, {"inputs": points.astype(np.float32), "labels": labels, **arrays})


def external(path: Path) -> Path:
    """Write an ONNX file whose weights would lie in another file."""
    model = onnx.load(mlp_onnx(path, seeded(mlp)))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../../../etc/passwd"), ("offset", "0"), ("length", "1000")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return path


def nested(depth: int) -> bytes:
    """A graph in a graph in a graph: attribute 6 of node 1 of the one around it."""
    inner = b""
    for _ in range(depth):
        for number in (6, 5, 1):
            size, head = len(inner), bytearray([number << 3 | 2])
            while size > 127:
                head.append(size & 127 | 128)
                size >>= 7
            inner = bytes(head) + bytes([size]) + inner
    head, size = bytearray([7 << 3 | 2]), len(inner)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return b"\x08\x08" + bytes(head) + bytes([size]) + inner
