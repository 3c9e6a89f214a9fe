"""`interlayer.record`: what is in the file is what the layers computed, whatever the model does to its tensors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from interlayer.record import LayerRecorder, RecordingError, record
from tests.interlayer.recordings import AUTOMATIC, ONE, affine, convolutional, pairs, recorded


@pytest.mark.parametrize("inplace", [False, True])
def test_automatic_layers_hold_what_each_module_computed(
    tmp_path: Path, images: Tensor, labels: Tensor, inplace: bool
) -> None:
    model = convolutional(inplace=inplace)
    result = record(model, pairs(images, labels, 30), tmp_path / "a.safetensors")

    layers, arrays = recorded(tmp_path / "a.safetensors")
    assert layers == list(AUTOMATIC) == list(result.layers)
    assert set(arrays) == {"labels", *AUTOMATIC}
    assert result.counts == {0: 10, 1: 10, 2: 10}
    # The oracle has no module that works in place, so nothing can be overwritten in it.
    oracle = convolutional(inplace=False).eval()
    with torch.no_grad():
        for layer, position in AUTOMATIC.items():
            expected = oracle[: position + 1](images).numpy()
            np.testing.assert_array_equal(arrays[layer], expected, err_msg=layer)
            assert result.shapes[layer] == expected.shape[1:]
    assert (arrays["1.BatchNorm"] < 0).any()
    np.testing.assert_array_equal(arrays["labels"], labels.numpy())


@given(batch_size=st.integers(1, 11), n_rows=st.integers(1, 11))
def test_the_size_of_batches_leaves_no_trace(
    tmp_path_factory: pytest.TempPathFactory, batch_size: int, n_rows: int
) -> None:
    directory = tmp_path_factory.mktemp("batches")
    # Small integers are exact in any order of summation.
    model = nn.Sequential(affine(3, 2, weight=2.0, bias=-9.0), nn.ReLU())
    values = torch.arange(3.0 * n_rows).reshape(n_rows, 3)
    labels = [f"class {row % 2}" for row in range(n_rows)]
    record(model, pairs(values, labels, batch_size), directory / "many.safetensors")
    record(model, [(values, labels)], directory / "one.safetensors")
    assert (directory / "many.safetensors").read_bytes() == (directory / "one.safetensors").read_bytes()


def test_a_module_used_twice_is_two_layers(tmp_path: Path, images: Tensor, labels: Tensor) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(64, 64)
            self.act = nn.Tanh()

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            return torch.as_tensor(self.act(self.act(self.dense(self.act(self.dense(x))))))

    model = Twice()
    record(model, pairs(images, labels), tmp_path / "auto.safetensors")
    record(model, pairs(images, labels), tmp_path / "named.safetensors", layers=["act"])

    layers, arrays = recorded(tmp_path / "auto.safetensors")
    assert layers == ["0.Input", "1.Dense", "1.Tanh", "2.Dense", "2.Tanh", "2.Tanh:2"]
    np.testing.assert_allclose(arrays["2.Tanh:2"], np.tanh(arrays["2.Tanh"]), rtol=1e-5, atol=1e-7)
    names, named = recorded(tmp_path / "named.safetensors")
    assert names == ["act", "act:2", "act:3"]
    for name, layer in zip(names, ["1.Tanh", "2.Tanh", "2.Tanh:2"], strict=True):
        np.testing.assert_array_equal(named[name], arrays[layer])


def test_names_with_stars(tmp_path: Path) -> None:
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
    )
    tokens, labels = torch.randn(6, 4, 8), torch.arange(6) % 2
    record(encoder, [(tokens, labels)], tmp_path / "a.safetensors", layers=["0.Input", "layers.*", "**.linear1"])

    layers, arrays = recorded(tmp_path / "a.safetensors")
    assert layers == ["0.Input", "layers.0.linear1", "layers.0", "layers.1.linear1", "layers.1"]
    encoder.eval()
    with torch.no_grad():
        first = encoder.layers[0](tokens)
        np.testing.assert_allclose(arrays["layers.0"], first, atol=1e-6)
        np.testing.assert_allclose(arrays["layers.1"], encoder.layers[1](first), atol=1e-6)


def test_what_fits_no_module_means_automatic_names(tmp_path: Path, images: Tensor, labels: Tensor) -> None:
    model = nn.Sequential(
        *list(convolutional(inplace=True))[:7], nn.Flatten(), nn.Sequential(nn.Linear(36, 5), nn.ReLU())
    )
    record(model, pairs(images, labels), tmp_path / "all.safetensors")
    chosen = ["2.*", "*.Dense", "1.Conv", "8.1"]
    record(model, pairs(images, labels), tmp_path / "some.safetensors", layers=chosen)

    (_, everything), (layers, arrays) = (recorded(tmp_path / f"{name}.safetensors") for name in ("all", "some"))
    assert layers == ["1.Conv", "2.Conv", "2.ReLU", "2.MaxPool", "3.Dense", "8.1"]
    for layer in layers[:-1]:
        np.testing.assert_array_equal(arrays[layer], everything[layer])
    np.testing.assert_array_equal(arrays["8.1"], everything["3.ReLU"])
    with pytest.raises(RecordingError, match=r"no layer '2\.Rellu'; near it are '2\.ReLU'"):
        record(model, pairs(images, labels), tmp_path / "none.safetensors", layers=["1.Conv", "2.Rellu"])


def test_attention_without_weights_is_one_tensor(tmp_path: Path) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    record(layer, [(torch.randn(6, 4, 8), torch.arange(6) % 2)], tmp_path / "a.safetensors")
    assert recorded(tmp_path / "a.safetensors")[0] == [
        "0.Input",
        "1.MultiheadAttention",
        "1.LayerNorm",
        "2.Dense",
        "3.Dense",
        "3.LayerNorm",
    ]


def test_parametrizations_are_not_layers(tmp_path: Path, images: Tensor, labels: Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(64, 2)), nn.ReLU())
    record(model, pairs(images, labels), tmp_path / "a.safetensors")
    assert recorded(tmp_path / "a.safetensors")[0] == ["0.Input", "1.Dense", "1.ReLU"]


def test_token_indices_are_not_coordinates(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(10, 4), nn.Tanh())
    record(model, [(torch.arange(6).reshape(3, 2), torch.tensor([0, 1, 1]))], tmp_path / "a.safetensors")
    assert recorded(tmp_path / "a.safetensors")[0] == ["1.Embedding", "1.Tanh"]


def test_the_model_is_left_as_it_was_found(tmp_path: Path, images: Tensor, labels: Tensor) -> None:
    model = convolutional(inplace=True)
    model.train()
    model[1].eval()  # a frozen normalization
    flags = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}

    with pytest.raises(RecordingError):
        record(model, [(images, labels[:-1])], tmp_path / "a.safetensors")
    record(model, pairs(images, labels), tmp_path / "a.safetensors")

    assert [module.training for module in model.modules()] == flags
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


class TestLayerRecorder:
    """A loop of one's own."""

    def test_only_announced_passes_are_recorded(self, tmp_path: Path, images: Tensor, labels: Tensor) -> None:
        model = convolutional(inplace=True).eval()
        with LayerRecorder(model, tmp_path / "own.safetensors") as recorder:
            for batch, batch_labels in pairs(images, labels):
                model(torch.full_like(batch, 1e6))
                with recorder.batch(batch_labels) as n_kept, torch.no_grad():
                    assert n_kept == len(batch)
                    model(batch)
        record(model, pairs(images, labels), tmp_path / "record.safetensors")
        assert (tmp_path / "own.safetensors").read_bytes() == (tmp_path / "record.safetensors").read_bytes()
        assert recorder.recorded.path == tmp_path / "own.safetensors"

    def test_inference_mode_counts_no_writes_but_is_understood(
        self, tmp_path: Path, images: Tensor, labels: Tensor
    ) -> None:
        model = convolutional(inplace=True)
        model[3] = nn.Dropout()  # one that works in place looks like any other module that does
        model.eval()
        with LayerRecorder(model, tmp_path / "a.safetensors") as recorder, torch.inference_mode():
            for batch, batch_labels in pairs(images.clone(), labels):
                with recorder.batch(batch_labels):
                    model(batch)
        assert recorder.recorded.layers == tuple(AUTOMATIC)

    def test_training_mode_is_possible(self, tmp_path: Path, images: Tensor, labels: Tensor) -> None:
        model = convolutional(inplace=False)
        with LayerRecorder(model, tmp_path / "a.safetensors") as recorder, recorder.batch(labels):
            model(images).sum().backward()
        assert "1.Dropout" in recorder.recorded.layers
        assert model[0].weight.grad is not None

    @pytest.mark.parametrize("failing", [0, 2, 4])
    def test_a_failed_batch_spoils_the_recording(
        self, tmp_path: Path, images: Tensor, labels: Tensor, failing: int
    ) -> None:
        model = convolutional(inplace=False)

        def loop() -> None:
            with LayerRecorder(model, tmp_path / "a.safetensors") as recorder:
                for number, (batch, batch_labels) in enumerate(pairs(images, labels)):
                    try:
                        with recorder.batch(batch_labels):
                            if number == failing:
                                raise MemoryError
                            model(batch)
                    except MemoryError:
                        pass

        with pytest.raises(RecordingError, match="interrupted"):
            loop()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(("n_forward", "message"), [(0, "no layer was called"), (2, "ran twice")])
    def test_one_forward_pass_a_batch(self, tmp_path: Path, n_forward: int, message: str) -> None:
        model = nn.ReLU()

        def loop() -> None:
            with LayerRecorder(model, tmp_path / "a.safetensors") as recorder, recorder.batch([0, 1]):
                for _ in range(n_forward):
                    model(ONE)

        with pytest.raises(RecordingError, match=message):
            loop()

    def test_the_result_is_there_at_the_end_only(self, tmp_path: Path) -> None:
        with LayerRecorder(nn.ReLU(), tmp_path / "a.safetensors") as recorder:
            with pytest.raises(RecordingError, match="not finished"):
                _ = recorder.recorded
            with recorder.batch([0, 1]):
                recorder._model(ONE)
        assert recorder.recorded.layers == ("0.Input", "0.ReLU")


def test_memory_is_that_of_one_batch(tmp_path: Path) -> None:
    code = """
import resource, sys, torch
from interlayer.record import record
torch.set_num_threads(1)
model = torch.nn.Sequential(*(torch.nn.Hardswish() for _ in range(8)))
def batches(n):
    for _ in range(n):
        yield torch.rand(64, 8192), torch.arange(64) % 2
record(model, batches(1), sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
record(model, batches(12), sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    path = tmp_path / "a.safetensors"
    grown = int(subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout)
    file_mebibytes = path.stat().st_size / 2**20
    assert file_mebibytes > 200
    assert grown / 1024 < file_mebibytes / 4


def test_importing_is_light_and_torch_is_asked_for_by_name() -> None:
    code = """
import sys
sys.modules["torch"] = None
import interlayer.record
assert "numpy" not in sys.modules
try:
    interlayer.record.record(None, [], "a.safetensors")
except ModuleNotFoundError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == 'recording needs PyTorch: pip install "interlayer[models]"'
