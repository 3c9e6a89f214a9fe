"""`interlayer extract`: a model and data on this machine to a file of activations."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from torch import nn

from interlayer.__main__ import run

INPUTS = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
LABELS = np.arange(40) % 4


def build() -> nn.Module:
    """The factory that the tests name."""
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def no_model() -> int:
    return 3


HERE = f"{__name__}:build"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, inputs=INPUTS, labels=LABELS)
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    save_file(build().state_dict(), tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def onnx_file(weights: Path, path: Path) -> Path:
    """The same network as an ONNX graph."""
    values = load_file(weights)
    constants = [numpy_helper.from_array(values[name], name) for name in values]
    nodes = [
        helper.make_node("Gemm", ["x", "0.weight", "0.bias"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "2.weight", "2.bias"], ["y"], transB=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])
    graph = helper.make_graph(nodes, "network", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_a_factory_with_weights(tmp_path: Path, data: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.safetensors"
    assert run(["extract", HERE, str(data), "-o", str(target), "--weights", str(weights), "--batch-size", "7"]) == 0
    assert capsys.readouterr().out.splitlines() == ["0.Input  6", "1.Dense  5", "1.ReLU  5", "2.Dense  3"]
    model = build()
    model.load_state_dict(_tensors(weights))
    with torch.no_grad():
        np.testing.assert_allclose(load_file(target)["2.Dense"], model(torch.from_numpy(INPUTS)), rtol=1e-5, atol=1e-6)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in load_file(path).items()}


def test_without_weights_the_seed_draws_them(tmp_path: Path, data: Path) -> None:
    def content(name: str, seed: str) -> bytes:
        assert run(["extract", HERE, str(data), "-o", str(tmp_path / name), "--seed", seed]) == 0
        return (tmp_path / name).read_bytes()

    assert content("a", "1") == content("b", "1") != content("c", "2")


def test_an_onnx_file_gives_the_layers_of_the_same_network(tmp_path: Path, data: Path, weights: Path) -> None:
    model = onnx_file(weights, tmp_path / "network.onnx")
    one, other = tmp_path / "torch.safetensors", tmp_path / "onnx.safetensors"
    assert run(["extract", HERE, str(data), "-o", str(one), "--weights", str(weights)]) == 0
    assert run(["extract", str(model), str(data), "-o", str(other)]) == 0
    expected, found = load_file(one), load_file(other)
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_sample_and_chosen_layers_of_an_onnx_file(tmp_path: Path, data: Path, weights: Path) -> None:
    model, target = onnx_file(weights, tmp_path / "network.onnx"), tmp_path / "out.safetensors"
    options = ["--per-class", "5", "--layer", "0.Input", "--layer", "1.*"]
    assert run(["extract", str(model), str(data), "-o", str(target), *options]) == 0
    found = load_file(target)
    assert set(found) == {"labels", "0.Input", "1.Dense", "1.ReLU"}
    assert np.bincount(found["labels"]).tolist() == [5, 5, 5, 5]
    of_row = {row.tobytes(): label for row, label in zip(INPUTS, LABELS, strict=True)}
    assert [of_row[row.tobytes()] for row in found["0.Input"]] == found["labels"].tolist()


def test_a_folder_of_hugging_face(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=7,
    )  # fmt: skip
    model = BertModel(config)
    model.train(False)
    model.save_pretrained(tmp_path / "bert")
    ids = np.random.default_rng(0).integers(20, size=(12, 7))
    mask = (np.arange(7) < np.arange(1, 13)[:, None]).astype(np.int64)
    np.savez(tmp_path / "text.npz", input_ids=ids, attention_mask=mask, labels=np.arange(12) % 2)
    target = tmp_path / "out.safetensors"
    options = ["--pooling", "mean", "--layer", "encoder.layer.*", "-o", str(target)]
    assert run(["extract", str(tmp_path / "bert"), str(tmp_path / "text.npz"), *options]) == 0
    with torch.no_grad():
        hidden = model(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state.numpy()
    expected = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    np.testing.assert_allclose(load_file(target)["encoder.layer.1"], expected, rtol=1e-4, atol=1e-5)
    with safe_open(target, framework="numpy") as file:
        assert (file.metadata() or {})["pooling"] == "mean"


def test_a_folder_takes_the_data_of_a_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file serves `interlayer extract` and an analysis that names it as `data`."""
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(tmp_path / "bert")
    ids = np.random.default_rng(0).integers(20, size=(12, 7))
    content: list[bytes] = []
    for name in ("inputs", "input_ids"):
        arrays = {name: ids, "attention_mask": np.ones_like(ids), "labels": np.arange(12) % 2}
        save_numpy(arrays, tmp_path / "text.safetensors")
        target = tmp_path / f"{name}.safetensors"
        assert run(["extract", str(tmp_path / "bert"), str(tmp_path / "text.safetensors"), "-o", str(target)]) == 0
        content.append(target.read_bytes())
    assert content[0] == content[1]
    capsys.readouterr()
    save_numpy({"inputs": ids + 15, "labels": np.arange(12) % 2}, tmp_path / "text.safetensors")
    command = ["extract", str(tmp_path / "bert"), str(tmp_path / "text.safetensors"), "-o", str(tmp_path / "no")]
    assert run(command) == 4
    assert "knows 0 to 19" in capsys.readouterr().err


class Scaled(nn.Module):
    """Takes two inputs, and gives what is no layer beside what is."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        if x.shape[1] != 6:
            raise ValueError("six are wanted")
        return {"out": self.dense(x) * scale[:, None], "mean": x.mean()}


def test_several_inputs_other_digits_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data.npz", inputs=INPUTS.astype(np.float64), scale=np.arange(40.0), labels=LABELS)
    command = ["extract", f"{__name__}:Scaled", str(tmp_path / "data.npz"), "-o", str(tmp_path / "out.safetensors")]
    assert run([*command, "--layer", "dense", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["layers"] == {"dense": [3]}
    assert said["rows"] == {"0": 10, "1": 10, "2": 10, "3": 10}
    np.savez(tmp_path / "data.npz", inputs=INPUTS[:, :5], scale=np.arange(40.0), labels=LABELS)
    assert run(command) == 4
    assert "ValueError: six are wanted (test_extract.py, line" in capsys.readouterr().err
    command[1] = HERE
    assert run(command) == 4
    said = capsys.readouterr().err
    assert "forward() got an unexpected keyword argument 'scale'; the arrays are `inputs` float32 (40, 5)" in said
    np.savez(tmp_path / "data.npz", inputs=INPUTS[:, :5], labels=LABELS)
    assert run(command) == 4
    assert "mat1 and mat2 shapes cannot be multiplied (40x5 and 6x5); the arrays are" in capsys.readouterr().err


DATA_OF_ANOTHER_KIND: dict[str, tuple[bytes, int, str]] = {
    "data.npz": (b"label,x\n1,2\n", 4, "data.npz: this is text"),
    "data.safetensors": (b"PK\x03\x04 cut off", 4, "cannot be read as .npz"),
    "other.npz": (b"\x10" + bytes(7) + b"{ no header     ", 4, "cannot be read as .safetensors"),
    "model.onnx": (b"\x08\x08\x3a\x00", 2, "the order is MODEL DATA"),
}


@pytest.mark.parametrize("name", DATA_OF_ANOTHER_KIND)
def test_data_that_are_not_what_their_name_says(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    content, code, said = DATA_OF_ANOTHER_KIND[name]
    (tmp_path / name).write_bytes(content)
    assert run(["extract", HERE, str(tmp_path / name), "-o", str(tmp_path / "out.safetensors")]) == code
    assert said in capsys.readouterr().err


def test_folders_that_are_refused(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pickled weights, code of the folder's own, and weights without a part of the architecture."""
    from transformers import BertConfig, BertModel

    folder = tmp_path / "bert"
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    model = BertModel(config)
    model.save_pretrained(folder)
    command = ["extract", str(folder), str(data), "-o", str(tmp_path / "out.safetensors")]
    weights = load_file(folder / "model.safetensors")
    partly = {name: values for name, values in weights.items() if "layer.1" not in name}
    save_numpy(partly, folder / "model.safetensors")
    assert run(command) == 4
    assert "encoder.layer.1" in capsys.readouterr().err
    written = (folder / "config.json").read_text()
    (folder / "config.json").write_text(written.replace("{", '{"auto_map": {"AutoModel": "own.Model"},', 1))
    assert run(command) == 4
    assert "own.Model" in capsys.readouterr().err
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    assert run(command) == 4
    assert "Pickled weights stay closed" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


REFUSED = [
    (["no_such_module:build"], 2, "cannot be imported"),
    (["network"], 2, "neither an .onnx file"),
    ([f"{__name__}:no_model"], 2, "returned a int"),
    ([HERE, "--weights", "data.npz"], 4, "does not fit the model: it is no .safetensors file"),
    ([HERE, "--weights", "none.safetensors"], 2, "there is no file none.safetensors"),
    ([HERE, "--layer", "secnd"], 4, "no layer 'secnd'"),
    ([HERE, "--pooling", "max"], 4, "`pooling` is 'max'"),
    (["network.onnx", "--pooling", "last"], 2, "may be none, mean, cls, not 'last'"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSED)
def test_refusals(
    tmp_path: Path,
    data: Path,
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model, *options = arguments
    assert run(["extract", model, str(data), "-o", str(tmp_path / "out.safetensors"), *options]) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_data_without_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data.npz", inputs=INPUTS)
    assert run(["extract", HERE, str(tmp_path / "data.npz"), "-o", str(tmp_path / "out.safetensors")]) == 4
    assert "it needs `labels` and `inputs`" in capsys.readouterr().err
