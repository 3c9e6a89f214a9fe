"""One network has the same layers wherever it is recorded: by a job's worker, by `interlayer.record`, from ONNX."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from interlayer.record import record
from tests.worker.models import networks
from worker.models.onnx_model import onnx_layers
from worker.models.onnx_scan import scan_onnx
from worker.models.torch_model import TorchModel


class Gate(nn.Module):
    """A module with two outputs, one of which is not for each row."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"gated": x.sigmoid() * x, "total": x.sum(), "half": x / 2}


def several_outputs() -> nn.Module:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.gate, self.out = nn.LSTM(2, 4, batch_first=True), Gate(), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states, _ = self.recurrent(x.reshape(len(x), 3, 2))
            out: torch.Tensor = self.out(self.gate(states[:, -1])["gated"])
            return out

    return Network()


def normalized() -> nn.Module:
    dense = nn.utils.parametrizations.weight_norm(nn.Linear(6, 5))
    return nn.Sequential(dense, nn.PReLU(), nn.Dropout(), nn.Identity(), nn.ReLU(inplace=True), nn.Linear(5, 3))


@pytest.mark.parametrize("factory", [networks.mlp, networks.twice, several_outputs, normalized])
def test_a_job_and_a_recording_agree(tmp_path: Path, factory: networks.Factory) -> None:
    network = networks.seeded(factory)
    inputs = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
    recorded = record(network, [(torch.from_numpy(inputs), np.arange(12) % 2)], tmp_path / "r.safetensors")
    model = TorchModel(network, device="cpu", pooling="none", hidden_states=False)
    found: dict[str, tuple[int, ...]] = {}
    model.run(
        {"inputs": inputs}, model.names({"inputs": inputs})[0], lambda name, rows: found.update({name: rows.shape})
    )
    for_each_row = {name: shape[1:] for name, shape in found.items() if shape and shape[0] == 12}
    assert for_each_row == recorded.shapes
    assert list(for_each_row) == list(recorded.layers)


def test_operators_have_the_names_of_modules(tmp_path: Path) -> None:
    """Embedding, two products whose biases come later, attention without weights, an added table, a head."""
    table, square, one = (np.ones(shape, np.float32) for shape in ((50, 4), (4, 4), (4,)))
    constants = {
        "table": table,
        "wq": square,
        "wk": square,
        "bq": one,
        "bk": one,
        "places": np.ones((3, 4), np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "x"], ["embedded"]),
        helper.make_node("Add", ["embedded", "places"], ["placed"]),
        helper.make_node("MatMul", ["placed", "wq"], ["pq"]),
        helper.make_node("MatMul", ["placed", "wk"], ["pk"]),
        helper.make_node("Add", ["bq", "pq"], ["q"]),
        helper.make_node("Add", ["bk", "pk"], ["k"]),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"]),
        helper.make_node("Gather", ["shares", "first"], ["cls"], axis=1),
        helper.make_node("Identity", ["wq"], ["wo"]),
        helper.make_node("MatMul", ["q", "wo"], ["head"]),
    ]
    constants["first"] = np.array([0], np.int64)
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n", 3])],
        [helper.make_tensor_value_info("head", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
    assert onnx_layers(scan_onnx(path)) == {
        "1.Embedding": "embedded", "1.Add": "placed", "2.Dense": "q", "3.Dense": "k", "3.MatMul": "scores",
        "3.Softmax": "shares", "3.Gather": "cls", "4.Dense": "head",
    }  # fmt: skip
