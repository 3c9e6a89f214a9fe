"""ONNX models in types that NumPy does not have: recorded as float32 where they can be computed, else refused."""

from pathlib import Path
from typing import Any

import ml_dtypes  # comes with onnx
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from contract.schemas import ProblemError
from tests.worker.models import networks
from tests.worker.models.bench import Bench
from worker.arrays import Array
from worker.models.onnx_model import OnnxModel
from worker.models.onnx_session import OnnxPart

ROWS = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)


def written(path: Path, nodes: list[Any], *, dtype: int = TensorProto.FLOAT, constants: Any = ()) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def outputs(path: Path, *names: str, rows: Array = ROWS) -> dict[str, Array]:
    found: dict[str, Array] = {}
    model = OnnxModel(path, device="cpu", n_threads=1, budget_bytes=2**20)
    model.run({"inputs": rows}, names, found.__setitem__)
    return found


@pytest.mark.parametrize(
    ("kind", "rounded"),
    [
        (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
        (TensorProto.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn),
        (TensorProto.FLOAT8E5M2, ml_dtypes.float8_e5m2),
    ],
)
def test_tensors_in_between_come_out_as_float32(tmp_path: Path, kind: int, rounded: Any) -> None:
    """With the values that the other library rounds to."""
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=kind),
        helper.make_node("Cast", ["narrow"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["wide"], ["y"]),
    ]
    found = outputs(written(tmp_path / "m.onnx", nodes), "narrow", "y")
    expected = ROWS.astype(rounded).astype(np.float32)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert np.array_equal(found["narrow"], expected)
    assert np.array_equal(found["y"], np.maximum(expected, 0))
    assert not np.array_equal(expected, ROWS)


def test_an_input_in_bfloat16_takes_float32(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["wide"], ["y"]),
    ]
    path = written(tmp_path / "m.onnx", nodes, dtype=TensorProto.BFLOAT16)
    expected = np.maximum(ROWS.astype(ml_dtypes.bfloat16).astype(np.float32), 0)
    assert np.array_equal(outputs(path, "y")["y"], expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter that needs no further package
def test_arithmetic_in_bfloat16_is_refused_with_the_way_out(bench: Bench) -> None:
    """As PyTorch exports a network in bfloat16; in float32, as the message says, it is analysed."""
    data = bench.file(networks.data_file(bench.folder / "data.npz"))
    network = networks.seeded(networks.mlp)
    weight = network[0].weight.detach().float().numpy().T.astype(ml_dtypes.bfloat16)  # type: ignore[index]  # a Sequential
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.BFLOAT16),
        helper.make_node("MatMul", ["narrow", "w"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
    ]
    path = written(bench.folder / "m.onnx", nodes, constants=[numpy_helper.from_array(weight, "w")])
    problem = bench.refused({"model": bench.file(path), "data": data})
    assert problem.code == "precision_unsupported"
    assert all(said in problem.detail for said in ("MatMul", "bfloat16", "model.float()", "torch.onnx.export"))
    exported = bench.folder / "float32.onnx"
    torch.onnx.export(  # the way out
        network.to(torch.bfloat16).float(), (torch.zeros(2, 6),), exported, dynamo=False,
        input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "n"}},
    )  # fmt: skip
    assert bench.report({"model": bench.file(exported), "data": data}).layers[1] == "1.Dense"


def test_what_the_runtime_lacks_in_any_type(bench: Bench) -> None:
    data = bench.file(networks.data_file(bench.folder / "data.npz"))
    nodes = [helper.make_node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml")]
    path = written(bench.folder / "m.onnx", nodes)
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    model.graph.node[0].op_type = "NoSuchThing"
    path.write_bytes(model.SerializeToString())
    assert bench.refused({"model": bench.file(path), "data": data}).code in ("invalid_onnx", "operator_unsupported")


def test_a_part_holds_only_what_its_outputs_depend_on(tmp_path: Path) -> None:
    """Also what a graph inside an operation takes from outside."""
    weights = {name: np.full((6, 6), value, np.float32) for name, value in (("w", 0.1), ("v", 0.2), ("u", 0.3))}
    then, other = (
        helper.make_graph(
            [helper.make_node("MatMul", ["x", name], [f"in {name}"])],
            name,
            [],
            [helper.make_tensor_value_info(f"in {name}", TensorProto.FLOAT, None)],
        )
        for name in ("v", "w")
    )
    nodes = [
        helper.make_node("MatMul", ["x", "u"], ["product"]),
        helper.make_node("If", ["yes"], ["chosen"], then_branch=then, else_branch=other),
        helper.make_node("Add", ["product", "chosen"], ["y"]),
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    constants.append(numpy_helper.from_array(np.array(True), "yes"))
    path = written(tmp_path / "m.onnx", nodes, constants=constants)
    found = outputs(path, "product", "chosen", "y")
    assert np.allclose(found["chosen"], ROWS @ weights["v"], atol=1e-6)
    assert np.array_equal(found["y"], found["product"] + found["chosen"])
    sizes = {
        name: OnnxPart(path.read_bytes(), [name], use_gpu=False, n_threads=1, narrow=[]).n_bytes
        for name in ("product", "chosen", "y")
    }
    assert sizes["product"] + 36 * 4 < sizes["chosen"] < sizes["y"] - 36 * 4


def test_an_input_that_takes_no_numbers(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], dtype=TensorProto.STRING)
    with pytest.raises(ProblemError) as caught:
        outputs(path, "y")
    assert caught.value.problem.code == "input_mismatch"
