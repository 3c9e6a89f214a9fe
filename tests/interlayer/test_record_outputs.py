"""Outputs of several tensors, tokens, compiled and wrapped models: what `interlayer.record` makes of them."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from interlayer.record import LayerRecorder, RecordingError, record

Arrays = dict[str, NDArray[Any]]
LABELS = torch.arange(6) % 2


def recorded(path: Path) -> tuple[dict[str, str], Arrays]:
    with safe_open(path, framework="numpy") as file:
        metadata = dict(file.metadata() or {})
    return metadata, load_file(path)


def layers(path: Path) -> list[str]:
    return list(json.loads(recorded(path)[0]["layers"]))


class Parts(nn.Module):
    """Gives a tuple and a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.split, self.named = _Split(), _Named()

    def forward(self, x: Tensor) -> Any:
        a, (b, _) = self.split(x)
        return self.named(a, b)


class _Split(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return x + 1, (x + 2, None)


class _Named(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> dict[str, Any]:
        return {"sum": a + b, "loss": (a - b).mean(), "cache": object()}


def test_every_tensor_of_an_output_is_a_layer(tmp_path: Path) -> None:
    x = torch.randn(6, 3)
    found = record(Parts(), [(x[:4], LABELS[:4]), (x[4:], LABELS[4:])], tmp_path / "a.safetensors")
    _, arrays = recorded(tmp_path / "a.safetensors")
    assert layers(tmp_path / "a.safetensors") == ["0.Input", "0._Split.0", "0._Split.1.0", "0._Named.sum"]
    np.testing.assert_array_equal(arrays["0._Split.1.0"], x + 2)
    np.testing.assert_array_equal(arrays["0._Named.sum"], (x + 1) + (x + 2))
    assert found.left_out == {"0._Named.loss": "shape (): the first axis is not the batch"}


@pytest.mark.parametrize("last_batch", [2, 1, 3])
def test_the_state_of_a_recurrent_layer_is_left_out_whatever_the_batches(tmp_path: Path, last_batch: int) -> None:
    # The state has the shape (2 layers, batch, 5): with a batch of 2 rows its first axis looks like the batch.
    x = torch.randn(4 + last_batch, 3, 4)
    labels = torch.arange(len(x)) % 2
    model = nn.LSTM(4, 5, num_layers=2, batch_first=True)
    found = record(model, [(x[:4], labels[:4]), (x[4:], labels[4:])], tmp_path / "a.safetensors")
    assert found.layers == ("0.Input", "1.LSTM.0")
    assert set(found.left_out) == {"1.LSTM.1.0", "1.LSTM.1.1"}
    with torch.no_grad():
        np.testing.assert_allclose(recorded(tmp_path / "a.safetensors")[1]["1.LSTM.0"], model(x)[0], atol=1e-6)


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.act = nn.Embedding(10, 4), nn.Tanh()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:  # noqa: ARG002 - models take it
        return torch.as_tensor(self.act(self.embed(input_ids)))


class TestPooling:
    """Tokens."""

    ids = torch.randint(10, (6, 5), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(5) < torch.tensor([5, 3, 1, 2, 4, 5])[:, None]).long()

    def run(self, path: Path, pooling: Any, **more: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        torch.manual_seed(0)
        model = _Encoder()
        batch = {"input_ids": self.ids, "labels": LABELS, **more}
        parts = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 4), slice(4, 6))]
        record(model, parts, path, pooling=pooling)
        metadata, arrays = recorded(path)
        assert metadata.get("pooling", "none") == pooling
        with torch.no_grad():
            return arrays["1.Tanh"], model(self.ids).numpy()

    def test_all_tokens_by_default(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "none")
        np.testing.assert_array_equal(found, tokens)

    def test_mean_of_the_tokens_that_count(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "mean", attention_mask=self.mask)
        expected = [row[: int(n)].mean(axis=0) for row, n in zip(tokens, self.mask.sum(1), strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)

    def test_mean_without_a_mask(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "mean")
        np.testing.assert_allclose(found, tokens.mean(axis=1), rtol=1e-5, atol=1e-7)

    def test_first(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "cls", attention_mask=self.mask)
        np.testing.assert_array_equal(found, tokens[:, 0])

    def test_last_that_counts(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "last", attention_mask=self.mask)
        expected = [row[int(n) - 1] for row, n in zip(tokens, self.mask.sum(1), strict=True)]
        np.testing.assert_array_equal(found, expected)

    def test_of_a_sample_the_mask_goes_with_its_row(self, tmp_path: Path) -> None:
        model = _Encoder()
        everything = {"input_ids": self.ids, "attention_mask": self.mask, "labels": LABELS}
        one_by_one = [{name: value[row : row + 1] for name, value in everything.items()} for row in range(6)]
        for batches, name in (([everything], "a"), (one_by_one, "b")):
            record(model, batches, tmp_path / name, pooling="mean", per_class=2, seed=3)
        (_, one), (_, many) = recorded(tmp_path / "a"), recorded(tmp_path / "b")
        np.testing.assert_allclose(one["1.Tanh"], many["1.Tanh"], rtol=1e-6)


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


IMAGES = torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(2))


def compiled(model: nn.Module) -> nn.Module:
    found = torch.compile(model, backend="eager")
    assert isinstance(found, nn.Module)
    return found


def content(model: nn.Module, path: Path) -> bytes:
    record(model, [(IMAGES, LABELS)], path)
    return path.read_bytes()


class TestWrapped:
    """The file does not depend on how a model is wrapped."""

    @pytest.fixture
    def plain(self, tmp_path: Path) -> bytes:
        return content(network(), tmp_path / "plain")

    def test_data_parallel(self, tmp_path: Path, plain: bytes) -> None:
        assert content(nn.DataParallel(network()), tmp_path / "a") == plain

    def test_compiled(self, tmp_path: Path, plain: bytes) -> None:
        model = compiled(network())
        model(IMAGES)  # compiled before there is any hook
        assert content(model, tmp_path / "a") == plain

    def test_compiled_in_place(self, tmp_path: Path, plain: bytes) -> None:
        model = network()
        model.compile(backend="eager")
        model(IMAGES)
        assert content(model, tmp_path / "a") == plain

    def test_a_compiled_part_keeps_its_names(self, tmp_path: Path) -> None:
        model = nn.Sequential(compiled(network()), nn.Tanh())
        model(IMAGES)
        record(model, [(IMAGES, LABELS)], tmp_path / "a", layers=["0.1", "1"])
        assert layers(tmp_path / "a") == ["0.1", "1"]

    def test_a_loop_of_ones_own_over_a_compiled_model(self, tmp_path: Path, plain: bytes) -> None:
        model = compiled(network())
        model(IMAGES)
        with LayerRecorder(model, tmp_path / "a") as recorder, recorder.batch(LABELS), torch.no_grad():
            model(IMAGES)
        assert (tmp_path / "a").read_bytes() == plain

    def test_a_loop_that_is_compiled_as_a_whole(self, tmp_path: Path, plain: bytes) -> None:
        model, n_compiled = network(), 0

        def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Any:
            nonlocal n_compiled
            n_compiled += 1
            return graph.forward

        step = torch.compile(lambda images: model(images).softmax(1), backend=backend)
        step(IMAGES)
        with LayerRecorder(model, tmp_path / "a") as recorder, recorder.batch(LABELS), torch.no_grad():
            step(IMAGES)
        assert (tmp_path / "a").read_bytes() == plain
        step(IMAGES)
        assert n_compiled == 1  # a recording compiles nothing anew

    def test_channels_last(self, tmp_path: Path, plain: bytes) -> None:
        model = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        record(model, [(IMAGES.to(memory_format=torch.channels_last), LABELS)], tmp_path / "a")
        (tmp_path / "b").write_bytes(plain)
        (_, found), (_, expected) = recorded(tmp_path / "a"), recorded(tmp_path / "b")
        assert set(found) == set(expected)
        for layer, array in expected.items():
            np.testing.assert_allclose(found[layer], array, rtol=1e-4, atol=1e-5)

    def test_mixed_precision_is_widened(self, tmp_path: Path) -> None:
        model = network()
        mixed = torch.autocast("cpu", dtype=torch.bfloat16)
        with LayerRecorder(model, tmp_path / "a") as recorder, recorder.batch(LABELS), mixed, torch.no_grad():
            output = model(IMAGES)
        assert output.dtype == torch.bfloat16
        array = recorded(tmp_path / "a")[1]["2.Dense"]
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, output.float())


class _Does(nn.Module):
    def __init__(self, what: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Any:
        return self.what(x)


@dataclass
class _Outcome:
    scores: Tensor
    inner: dict[str, Any]
    name: str = "no tensor"


def test_a_dataclass_is_as_good_as_a_mapping(tmp_path: Path) -> None:
    model = nn.Sequential(_Does(lambda x: _Outcome(x + 1, {"twice": 2 * x, "loss": x.mean()})))
    found = record(model, [(IMAGES, LABELS)], tmp_path / "a")
    assert found.layers == ("0.Input", "0._Does.scores", "0._Does.inner.twice")
    assert list(found.left_out) == ["0._Does.inner.loss"]
    np.testing.assert_array_equal(recorded(tmp_path / "a")[1]["0._Does.inner.twice"], 2 * IMAGES)


class _Placed(nn.Module):
    """Adds to each token what belongs to its place, as transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.dense = nn.Embedding(9, 4), nn.Embedding(5, 4), nn.Linear(4, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.as_tensor(self.dense(self.words(tokens) + self.places(torch.arange(5)[None])))


def test_a_layer_of_places_is_left_out_whatever_the_batches(tmp_path: Path) -> None:
    tokens = torch.arange(30).reshape(6, 5) % 9
    batches = [(tokens[:4], LABELS[:4]), (tokens[4:5], LABELS[4:5]), (tokens[5:], LABELS[5:])]
    found = record(_Placed(), batches, tmp_path / "a")
    assert found.layers == ("1.Embedding", "3.Dense")
    assert found.left_out == {"2.Embedding": "shape (1, 5, 4): the first axis is not the batch"}
    with pytest.raises(RecordingError, match="'places' has shape"):
        record(_Placed(), batches, tmp_path / "a", layers=["places"])


def _script(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is old, and models of it are about
        found = torch.jit.script(model)
    assert isinstance(found, nn.Module)
    return found


DENSE = nn.Sequential(nn.Linear(6, 2))
UNSEEN: dict[str, tuple[Callable[[], Any], str]] = {
    "TorchScript": (lambda: _script(DENSE), "the model is TorchScript, .* record the model that it was made from"),
    "a part in TorchScript": (lambda: nn.Sequential(nn.ReLU(), _script(DENSE)), "module '1' is TorchScript"),
    "an exported program": (
        lambda: torch.export.export(DENSE.eval(), (IMAGES,)).module(),
        "no evaluation mode .* record the model that it was exported from",
    ),
    "a function": (lambda: torch.relu, "`model` is a builtin_function_or_method; give a torch.nn.Module"),
    "sparse": (lambda: nn.Sequential(_Does(Tensor.to_sparse)), "'0._Does' is a sparse tensor"),
    "nested": (
        lambda: nn.Sequential(_Does(lambda x: torch.nested.nested_tensor(list(x.unbind())))),
        "'0._Does' is a nested tensor",
    ),
    "meta": (lambda: nn.Sequential(_Does(lambda x: x.to("meta"))), "'0._Does' is a meta tensor"),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("case", UNSEEN)
def test_what_has_no_layers_to_be_seen_is_refused(tmp_path: Path, case: str) -> None:
    model, message = UNSEEN[case]
    with pytest.raises(RecordingError, match=message):
        record(model(), [(IMAGES, LABELS)], tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "message"), [("a.npz", "give it that ending"), ("", "is a folder"), ("no/a", "'.*no', which is no folder")]
)
def test_paths_where_nothing_can_be_written(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        record(nn.ReLU(), [(IMAGES, LABELS)], tmp_path / path)


class _Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Sequential(nn.Linear(6, 5), nn.Tanh()), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.last(checkpoint(self.first, x, use_reentrant=False)))


def test_what_a_backward_pass_computes_again_is_no_layer(tmp_path: Path) -> None:
    model = _Checkpointed()
    with LayerRecorder(model, tmp_path / "a") as recorder, recorder.batch(LABELS):
        model(IMAGES.flatten(2).mean(1)[:, :6]).sum().backward()
    assert recorder.recorded.layers == ("0.Input", "1.Dense", "1.Tanh", "2.Dense")


def test_random_numbers_of_a_training_run_go_on_as_without_a_recording(tmp_path: Path) -> None:
    loader: DataLoader[tuple[Tensor, ...]] = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=2, shuffle=True)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    record(network(), loader, tmp_path / "a")
    np.testing.assert_array_equal(torch.rand(3), expected)


class _Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise FloatingPointError(str(x.shape))


def test_an_error_of_the_model_leaves_no_hook_and_no_file(tmp_path: Path) -> None:
    model = nn.Sequential(nn.ReLU(), _Fails()).train()
    with pytest.raises(FloatingPointError):
        record(model, [(IMAGES, LABELS)], tmp_path / "a")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(module.training for module in model.modules())
    assert list(tmp_path.iterdir()) == []


class _Forgetful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.ReLU(), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.used(x))


def test_a_layer_that_never_ran_is_an_error(tmp_path: Path) -> None:
    model = _Forgetful()
    with pytest.raises(RecordingError, match="'idle' was not called by the model"):
        record(model, [(IMAGES, LABELS)], tmp_path / "a", layers=["used", "idle"])
