"""`interlayer.record`: what is in the file is what the layers computed, whatever the model does to its tensors."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from interlayer.record import LayerRecorder, RecordingError, record
from interlayer.record.row_sample import RowSample

Arrays = dict[str, NDArray[Any]]


def pairs(images: Tensor, labels: Any, batch_size: int = 7) -> list[tuple[Tensor, Any]]:
    """A loader: consecutive batches, the last one shorter."""
    return [
        (images[start : start + batch_size], labels[start : start + batch_size])
        for start in range(0, len(images), batch_size)
    ]


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        content = file.metadata()
    assert content is not None
    return dict(content)


def recorded(path: Path) -> tuple[list[str], Arrays]:
    return json.loads(metadata(path)["layers"]), load_file(path)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.arange(30) % 3


def convolutional(*, inplace: bool) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=inplace),
            nn.Dropout(0.5, inplace=inplace),
            nn.Conv2d(4, 4, 3),
            nn.ReLU(inplace=inplace),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(36, 5),
            nn.Softmax(dim=1),
        )


def affine(n_inputs: int, n_outputs: int, *, weight: float, bias: float) -> nn.Linear:
    layer = nn.Linear(n_inputs, n_outputs)
    nn.init.constant_(layer.weight, weight)
    nn.init.constant_(layer.bias, bias)
    return layer


AUTOMATIC = {  # name -> position in `convolutional` after which the data are this layer
    "0.Input": -1,
    "1.Conv": 0,
    "1.BatchNorm": 1,
    "1.ReLU": 2,
    "2.Conv": 4,
    "2.ReLU": 5,
    "2.MaxPool": 6,
    "3.Dense": 8,
    "3.Softmax": 9,
}


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


class TestSample:
    """A limit per class."""

    def test_every_layer_and_label_speak_of_the_same_rows(self, tmp_path: Path) -> None:
        values = torch.arange(200.0).reshape(200, 1)
        labels = torch.arange(200) % 2 + 10 * (torch.arange(200) >= 150)  # classes 0, 1 (75 rows), 10, 11 (25 rows)
        model = nn.Sequential(affine(1, 1, weight=3.0, bias=1.0), nn.ReLU())
        result = record(model, pairs(values, labels), tmp_path / "a.safetensors", per_class=30, seed=4)

        arrays = load_file(tmp_path / "a.safetensors")
        rows = arrays["0.Input"][:, 0].astype(int)
        assert len(set(rows.tolist())) == len(rows)
        np.testing.assert_array_equal(arrays["labels"], labels.numpy()[rows])
        np.testing.assert_array_equal(arrays["1.Dense"][:, 0], 3 * rows + 1)
        np.testing.assert_array_equal(arrays["1.ReLU"], arrays["1.Dense"])
        assert result.counts == Counter(arrays["labels"].tolist()) == {0: 30, 1: 30, 10: 25, 11: 25}

    def test_the_seed_alone_decides(self, tmp_path: Path, images: Tensor, labels: Tensor) -> None:
        def content(name: str, seed: int, model: nn.Module) -> Arrays:
            record(model, pairs(images, labels), tmp_path / name, per_class=4, seed=seed)
            return load_file(tmp_path / name)

        one = content("one", 1, convolutional(inplace=False))
        again = content("again", 1, convolutional(inplace=True))
        other = content("other", 2, convolutional(inplace=False))
        np.testing.assert_array_equal(one["0.Input"], again["0.Input"])
        assert not np.array_equal(one["0.Input"], other["0.Input"])

    def test_the_sample_is_uniform(self) -> None:
        drawn: Counter[int] = Counter()
        n_seeds, n_rows, per_class = 2000, 12, 3
        for seed in range(n_seeds):
            sample = RowSample(per_class, seed)
            row_at: dict[int, int] = {}
            for start in range(0, n_rows, 5):
                size = min(5, n_rows - start)
                rows, places = sample.place(["a"] * size)
                kept = range(size) if rows is None else rows.tolist()
                row_at.update(zip(list(places), (start + row for row in kept), strict=True))
            drawn.update(row_at.values())
        expected = n_seeds * per_class / n_rows
        deviation = np.sqrt(expected * (1 - per_class / n_rows))
        assert all(abs(drawn[row] - expected) < 4 * deviation for row in range(n_rows))

    def test_batches_without_a_kept_row_are_not_run(self, tmp_path: Path) -> None:
        n_runs = 0

        class Counting(nn.Linear):
            def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name of the base class
                nonlocal n_runs
                n_runs += 1
                return super().forward(input)

        loader = [(torch.randn(2, 1), ["a", "b"]) for _ in range(200)]
        record(Counting(1, 1), loader, tmp_path / "a.safetensors", per_class=1)
        assert 1 <= n_runs < 40  # 2 H(200) = 12 of 200 expected


class TestTypes:
    """What the file holds is what it says."""

    def test_float16_on_request(self, tmp_path: Path, images: Tensor, labels: Tensor) -> None:
        model = convolutional(inplace=False)
        record(model, pairs(images, labels), tmp_path / "full.safetensors")
        record(model, pairs(images, labels), tmp_path / "half.safetensors", dtype="float16")
        full, half = load_file(tmp_path / "full.safetensors"), load_file(tmp_path / "half.safetensors")
        for layer in AUTOMATIC:
            assert half[layer].dtype == np.float16
            np.testing.assert_array_equal(half[layer], full[layer].astype(np.float16))

    def test_values_beyond_float16_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RecordingError, match=r"'0\.Input' holds NaN or infinity in float16"):
            record(nn.ReLU(), [(torch.full((2, 1), 7e4), [0, 1])], tmp_path / "a.safetensors", dtype="float16")

    def test_bfloat16_becomes_float32(self, tmp_path: Path) -> None:
        values = torch.randn(4, 3, dtype=torch.bfloat16)
        record(nn.ReLU(), [(values, [0, 1, 0, 1])], tmp_path / "a.safetensors")
        array = load_file(tmp_path / "a.safetensors")["0.Input"]
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, values.float().numpy())

    def test_arrays_of_several_types_are_aligned(self, tmp_path: Path) -> None:
        class Mixed(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.stages = nn.ModuleList(_To(dtype) for dtype in (torch.float16, torch.float64, torch.int32))

            def forward(self, x: Tensor) -> None:
                for stage in self.stages:
                    stage(x)

        values = torch.arange(9.0).reshape(3, 3)
        record(Mixed(), [(values, [0, 1, 1])], tmp_path / "a.safetensors", layers=["0.Input", "stages.*"])
        layers, arrays = recorded(tmp_path / "a.safetensors")
        assert layers == ["0.Input", "stages.0", "stages.1", "stages.2"]
        for layer, dtype in zip(layers, [np.float32, np.float16, np.float64, np.int32], strict=True):
            assert arrays[layer].dtype == dtype
            np.testing.assert_array_equal(arrays[layer], values.numpy())
        raw = (tmp_path / "a.safetensors").read_bytes()
        header_bytes = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + header_bytes])
        header.pop("__metadata__")
        for name, entry in header.items():
            assert (8 + header_bytes + entry["data_offsets"][0]) % arrays[name].itemsize == 0

    def test_strings_become_codes_and_classes(self, tmp_path: Path) -> None:
        loader = [(torch.randn(2, 2), ["zebra", "ape"]), (torch.randn(2, 2), ("bee", "ape"))]
        result = record(nn.ReLU(), loader, tmp_path / "a.safetensors")
        assert json.loads(metadata(tmp_path / "a.safetensors")["classes"]) == ["ape", "bee", "zebra"]
        assert load_file(tmp_path / "a.safetensors")["labels"].tolist() == [2, 0, 1, 0]
        assert result.counts == {"ape": 2, "bee": 1, "zebra": 1}

    def test_integers_stay(self, tmp_path: Path) -> None:
        record(nn.ReLU(), [(torch.randn(3, 2), np.array([7, -1, 7], np.int16))], tmp_path / "a.safetensors")
        assert "classes" not in metadata(tmp_path / "a.safetensors")
        assert load_file(tmp_path / "a.safetensors")["labels"].tolist() == [7, -1, 7]


class _To(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


class TestLoaders:
    """The forms of a batch."""

    def test_mappings_are_passed_by_name(self, tmp_path: Path) -> None:
        class Difference(nn.Module):
            def forward(self, *, left: Tensor, right: Tensor) -> Tensor:
                return left - right

        left, right = torch.randn(4, 2), torch.randn(4, 2)
        batches: list[Any] = [
            {"left": left, "right": right, "labels": torch.tensor([0, 1, 0, 1])},
            ({"right": right, "left": left}, [0, 1, 0, 1]),
        ]
        for batch in batches:
            record(Difference(), [batch], tmp_path / "a.safetensors")
            assert recorded(tmp_path / "a.safetensors")[0] == ["0.Input", "0.Difference"]
            array = load_file(tmp_path / "a.safetensors")["0.Difference"]
            np.testing.assert_array_equal(array, (left - right).numpy())

    def test_the_data_loader_of_torch(self, tmp_path: Path, images: Tensor, labels: Tensor) -> None:
        loader: DataLoader[tuple[Tensor, ...]] = DataLoader(TensorDataset(images, labels), batch_size=8)
        record(convolutional(inplace=True), loader, tmp_path / "a.safetensors")
        np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["0.Input"], images.numpy())

    @pytest.mark.parametrize("batch", [torch.randn(4, 2), {"inputs": 0}, (1, 2, 3)])
    def test_anything_else_is_refused(self, tmp_path: Path, batch: Any) -> None:
        with pytest.raises(RecordingError, match="a pair"):
            record(nn.ReLU(), [batch], tmp_path / "a.safetensors")


class _Returns(nn.Module):
    def __init__(self, result: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.result = result

    def forward(self, x: Tensor) -> Any:
        return self.result(x)


class _InNeed(nn.Module):
    """Calls its second stage for long inputs only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.ReLU(), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return torch.as_tensor(self.second(x) if x.sum() > 0 else x)


class _Masked(nn.Module):
    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        return x + attention_mask[:, :, None]


ZERO, ONE = torch.zeros(2, 2), torch.ones(2, 2)
REFUSED: dict[str, tuple[nn.Module, list[Any], dict[str, Any], str]] = {
    "no tensor": (nn.Sequential(_Returns(lambda _: (1, None))), [(ONE, [0, 1])], {}, "returned a tuple without a"),
    "pooling": (nn.ReLU(), [(ONE, [0, 1])], {"pooling": "max"}, "`pooling` is 'max'"),
    "no token": (
        _Masked(),
        [{"x": torch.ones(2, 3, 4), "attention_mask": torch.eye(2, 3, dtype=torch.long) * 0, "labels": [0, 1]}],
        {"pooling": "mean"},
        "has no token",
    ),
    "rows": (_Returns(lambda x: x.reshape(-1, 1) + 1), [(ONE, [0, 1])], {}, r"'0._Returns' has shape \(4, 1\)"),
    "scalar": (_Returns(torch.sum), [(ONE, [0, 1])], {}, r"'0._Returns' has shape \(\)"),
    "labels": (nn.ReLU(), [(ONE, [0, 1, 1])], {}, "'0.Input' has shape .* the batch has 3 labels"),
    "NaN": (_Returns(torch.log), [(-ONE, [0, 1])], {}, "'0._Returns' holds NaN or infinity$"),
    "complex": (_Returns(lambda x: x * 1j), [(ONE, [0, 1])], {}, "'0._Returns' has the data type torch.complex64"),
    "shape": (nn.ReLU(), [(ONE, [0, 1]), (torch.ones(2, 3), [0, 1])], {}, r"'0.Input' gave rows of shape \(3,\)"),
    "appears": (_InNeed(), [(ZERO, [0, 1]), (ONE, [0, 1])], {}, "'0.Tanh' was called in this batch, but not"),
    "vanishes": (_InNeed(), [(ONE, [0, 1]), (ZERO, [0, 1])], {}, "'0.Tanh' was not called in this batch"),
    "silent": (_InNeed(), [(ZERO, [0, 1])], {"layers": ["first", "second"]}, "'second' was not called by the model"),
    "unknown": (_InNeed(), [(ZERO, [0, 1])], {"layers": ["secnd"]}, "no layer 'secnd'; near it are 'second'"),
    "no layers": (_InNeed(), [(ZERO, [0, 1])], {"layers": []}, "`layers`"),
    "one string": (_InNeed(), [(ZERO, [0, 1])], {"layers": "first"}, "`layers`"),
    "no rows": (nn.ReLU(), [], {}, "nothing was recorded"),
    "empty rows": (nn.ReLU(), [(torch.ones(2, 0), [0, 1])], {}, "'0.Input' cannot be recorded: it is empty"),
    "one-hot": (nn.ReLU(), [(ONE, torch.eye(2))], {}, "argmax"),
    "real labels": (nn.ReLU(), [(ONE, torch.rand(2))], {}, "data type float32"),
    "mixed labels": (nn.ReLU(), [(ONE, [0, 1]), (ONE, ["a", "b"])], {}, "integers in one batch and strings"),
    "type": (nn.ReLU(), [(ONE, [0, 1])], {"dtype": "float8"}, "`dtype` is 'float8'"),
    "sample": (nn.ReLU(), [(ONE, [0, 1])], {"per_class": 0}, "`per_class` is 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_what_is_wrong_and_leave_the_old_file(tmp_path: Path, case: str) -> None:
    model, loader, options, message = REFUSED[case]
    path = tmp_path / "a.safetensors"
    path.write_text("the file of yesterday")
    with pytest.raises(RecordingError, match=message):
        record(model, loader, path, **options)
    assert path.read_text() == "the file of yesterday"
    assert list(tmp_path.iterdir()) == [path]


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
