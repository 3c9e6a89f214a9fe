"""Files that PyTorch's exporter writes: the layers have the names and values that PyTorch computes."""

from pathlib import Path

import numpy as np
import pytest

from tests.e2e import networks
from worker.arrays import Array
from worker.models.onnx_model import OnnxModel
from worker.models.torch_model import TorchModel


@pytest.mark.parametrize("name", networks.FACTORIES)
@pytest.mark.parametrize(("rows", "free"), [(2, True), (1, False), (4, False), (16, False)])
def test_a_free_or_a_fixed_number_of_rows(tmp_path: Path, name: str, rows: int, free: bool) -> None:
    network = networks.untrained(name, 0)
    path = networks.export(network, tmp_path / "m.onnx", rows=rows, free=free)
    batch = {"inputs": np.random.default_rng(0).normal(size=(10, 1, 8, 8)).astype(np.float32)}
    onnx = OnnxModel(path, device="cpu", n_threads=1, budget_bytes=2**20)
    torch = TorchModel(network, device="cpu", pooling="none", hidden_states=False)
    found: dict[str, Array] = {}
    expected: dict[str, Array] = {}
    onnx.run(batch, onnx.names(batch)[0], found.__setitem__)
    torch.run(batch, torch.names(batch)[0], expected.__setitem__)
    assert [layer for layer in found if layer in expected] == list(expected)
    for layer, values in expected.items():
        np.testing.assert_allclose(found[layer], values, rtol=1e-4, atol=1e-5, err_msg=layer)
