"""ONNX files, from the upload to the report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from contract.schemas import ProblemError
from tests.worker import files
from tests.worker.models import networks
from tests.worker.models.bench import Bench, counts
from worker.models.sources import inspect_model


class TestOnnx:
    def item(self, bench: Bench, path: Path, **data: Any) -> dict[str, Any]:
        return {"model": bench.file(path), "data": bench.file(networks.data_file(bench.folder / "data.npz", **data))}

    def test_inspection(self, bench: Bench) -> None:
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp))
        found = inspect_model(path, bench.running)
        assert found.kind == "model"
        assert [layer.name for layer in found.layers] == ["0.Input", "1.Dense", "1.ReLU", "2.Dense", "2.Softmax"]

    def test_every_tensor_can_be_asked_for(self, bench: Bench) -> None:
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp), dense_as_matmul=True)
        item = self.item(bench, path)
        assert bench.report(item, layers={"include": ["product*", "1.ReLU"]}).layers == [
            "1.ReLU",
            "product0",
            "product1",
        ]
        problem = bench.refused(item, layers={"include": ["1.RelU"]})
        assert (problem.code, "'1.ReLU'" in problem.detail) == ("unknown_layer", True)
        left = bench.report(item, layers={"include": ["*"], "exclude": ["1.*", "0.Input"]}).layers
        assert left == ["2.Dense", "2.Softmax"]

    @pytest.mark.parametrize(
        ("nodes", "code"),
        [
            ([helper.make_node("RandomNormalLike", ["x"], ["y"])], "nondeterministic_model"),
            ([helper.make_node("Log", ["x"], ["y"])], "non_finite"),
            ([helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)], "no_layers"),
            (
                [
                    helper.make_node("Shape", ["x"], ["s"]),
                    helper.make_node("Expand", ["x", "huge"], ["y"]),
                ],
                "out_of_memory",
            ),
        ],
    )
    def test_what_comes_out_cannot_be_used(self, bench: Bench, nodes: list[Any], code: str) -> None:
        huge = numpy_helper.from_array(np.array([2**20, 2**20, 1, 6], np.int64), "huge")
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp), nodes=nodes, constants=[huge])
        assert bench.refused(self.item(bench, path), layers={"exclude": ["0.Input"]}).code == code

    @pytest.mark.parametrize(
        ("inputs", "said"),
        [
            (np.zeros((108, 5), np.float32), "[None, 6]"),
            (np.zeros((108, 6), np.int64), "float32"),
            (np.zeros(108), "6"),
        ],
    )
    def test_inputs_that_do_not_fit(self, bench: Bench, inputs: files.Array, said: str) -> None:
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp))
        problem = bench.refused(self.item(bench, path, inputs=inputs))
        assert (problem.code, said in problem.detail) == ("input_mismatch", True), problem

    def test_sequences_are_passed_over(self, bench: Bench) -> None:
        nodes = [
            helper.make_node("SplitToSequence", ["x"], ["s"], axis=0),
            helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0),
        ]
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp), nodes=nodes)
        item = self.item(bench, path)
        assert bench.report(item).layers == ["0.Input", "0.ConcatFromSequence"]
        assert bench.refused(item, layers={"include": ["s"]}).code == "layer_unusable"

    def test_a_loop_without_end(self, bench: Bench) -> None:
        value, yes = helper.make_tensor_value_info, numpy_helper.from_array(np.array(True), "yes")
        body = helper.make_graph(
            [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["v"], ["w"])],
            "body",
            [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("v", TensorProto.FLOAT, None)],
            [value("on", TensorProto.BOOL, []), value("w", TensorProto.FLOAT, None)],
        )
        nodes = [helper.make_node("Loop", ["", "yes", "x"], ["y"], body=body)]
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp), nodes=nodes, constants=[yes])
        bench.running = replace(bench.running, confined=replace(bench.running.confined, seconds=5.0))
        assert bench.refused(self.item(bench, path)).code == "deadline_exceeded"

    @pytest.mark.parametrize("name", ["labels", "__metadata__"])
    def test_names_that_a_file_keeps_for_itself(self, bench: Bench, name: str) -> None:
        nodes = [helper.make_node("Relu", ["x"], [name]), helper.make_node("Tanh", [name], ["y"])]
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp), nodes=nodes)
        item = self.item(bench, path)
        assert bench.report(item).layers == ["0.Input", "0.ReLU", "0.Tanh"], "by its other name it can be had"
        problem = bench.refused(item, layers={"include": [name]})
        assert (problem.code, repr(name) in problem.detail) == ("layer_unusable", True)

    @pytest.mark.parametrize("rows", [1, 5, 64, 200])
    def test_a_fixed_number_of_rows_is_run_so_many_at_a_time(self, bench: Bench, rows: int) -> None:
        """The last part is filled up, and what fills it is cut off: 108 rows are no multiple of most of these."""
        network = networks.seeded(networks.mlp)
        free = bench.report(self.item(bench, networks.mlp_onnx(bench.folder / "free.onnx", network)))
        fixed = bench.report(self.item(bench, networks.mlp_onnx(bench.folder / "fixed.onnx", network, rows=rows)))
        assert fixed.layers == free.layers
        assert counts(fixed) == counts(free)
        assert [found.n_per_class for found in fixed.separations] == [[36] * 3] * len(fixed.layers)

    def test_a_fixed_number_of_rows_and_tensors_that_are_not_for_rows(self, bench: Bench) -> None:
        nodes = [
            helper.make_node("Relu", ["x"], ["relu"]),
            helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
            helper.make_node("Tanh", ["turned"], ["y"]),
        ]
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp), nodes=nodes, rows=4)
        item = self.item(bench, path)
        assert bench.report(item).layers == ["0.Input", "0.ReLU"]
        assert bench.refused(item, layers={"include": ["0.Tanh"]}).code == "layer_unusable"

    def test_files_that_are_something_else(self, bench: Bench) -> None:
        data = networks.data_file(bench.folder / "data.npz")
        model = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp))
        assert bench.refused({"model": bench.file(data), "data": bench.file(data)}).code == "not_a_model"
        activations = files.write_npz(bench.folder / "a.npz", files.study_arrays(n_per_class=6))
        assert bench.refused({"model": bench.file(model), "data": bench.file(activations)}).code == "inputs_missing"

    def test_newer_operators(self, bench: Bench) -> None:
        path = networks.mlp_onnx(bench.folder / "m.onnx", networks.seeded(networks.mlp), opset=999)
        assert bench.refused(self.item(bench, path)).code == "opset_unsupported"


def test_external_weights_are_refused_before_any_library(bench: Bench) -> None:
    with pytest.raises(ProblemError) as caught:
        inspect_model(networks.external(bench.folder / "m.onnx"), bench.running)
    assert caught.value.problem.code == "external_data_forbidden"
