"""The scan of ONNX files: what it finds in a good one, and what it refuses."""

import contextlib
import random
from pathlib import Path

import pytest
from onnx import helper

from contract.formats import sniff
from contract.schemas import ProblemError
from tests.worker.models import networks
from tests.worker.models.bench import code_of
from worker.models.onnx_scan import scan_onnx


def good(folder: Path) -> bytes:
    return networks.mlp_onnx(folder / "good.onnx", networks.seeded(networks.mlp)).read_bytes()


class TestScan:
    def test_a_good_file(self, tmp_path: Path) -> None:
        path = networks.mlp_onnx(tmp_path / "m.onnx", networks.seeded(networks.mlp))
        graph = scan_onnx(path)
        assert [node.operator for node in graph.nodes] == ["Gemm", "Relu", "Gemm", "Softmax"]
        assert graph.constants["w0"].shape == [6, 5]
        assert [(value.name, value.shape) for value in graph.inputs] == [("x", [None, 6])]
        assert graph.opsets == {"": 17}
        assert sniff(path.read_bytes()[:9]) == "onnx"

    def test_what_is_refused(self, tmp_path: Path) -> None:
        network = networks.seeded(networks.mlp)
        path = tmp_path / "m.onnx"
        foreign = helper.make_node("Gelu", ["x"], ["y"], domain="com.example")
        networks.mlp_onnx(path, network, nodes=[foreign], opsets=[helper.make_opsetid("com.example", 1)])
        assert code_of(lambda: scan_onnx(path)) == "operator_unsupported"
        node = helper.make_node("Relu", ["a"], ["b"])
        function = helper.make_function("local", "f", ["a"], ["b"], [node], [helper.make_opsetid("", 17)])
        networks.mlp_onnx(path, network, functions=[function])
        assert code_of(lambda: scan_onnx(path)) == "operator_unsupported"
        assert code_of(lambda: scan_onnx(networks.external(path))) == "external_data_forbidden"
        with path.open("wb") as file:
            file.write(b"\x08\x08")
            file.truncate(2**31)
        assert code_of(lambda: scan_onnx(path)) == "model_too_large"

    @pytest.mark.parametrize("depth", [20, 10_000])
    def test_graphs_in_graphs(self, tmp_path: Path, depth: int) -> None:
        (tmp_path / "m.onnx").write_bytes(networks.nested(depth))
        assert code_of(lambda: scan_onnx(tmp_path / "m.onnx")) == "invalid_onnx"

    def test_a_constant_that_claims_more_than_it_has(self, tmp_path: Path) -> None:
        import onnx

        model = onnx.load_model_from_string(good(tmp_path))
        model.graph.initializer[0].dims[0] = 2**40
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        assert code_of(lambda: scan_onnx(tmp_path / "m.onnx")) == "invalid_onnx"

    def test_damage_anywhere_is_refused_or_harmless(self, tmp_path: Path) -> None:
        content, path, rng = good(tmp_path), tmp_path / "m.onnx", random.Random(0)
        for number in range(400):
            damaged = bytearray(content[: rng.randrange(len(content))] if number % 2 else content)
            if not number % 2:
                for _ in range(3):
                    damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path.write_bytes(bytes(damaged))
            with contextlib.suppress(ProblemError):  # and nothing else
                scan_onnx(path)
