"""Compiled and wrapped models: the file is that of the plain one, and what hides its layers is refused."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from interlayer.record import LayerRecorder, RecordingError, record
from tests.interlayer.recordings import IMAGES, LABELS, Does, network, recorded


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
        assert recorded(tmp_path / "a")[0] == ["0.1", "1"]

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
    "sparse": (lambda: nn.Sequential(Does(Tensor.to_sparse)), "'0.Does' is a sparse tensor"),
    "nested": (
        lambda: nn.Sequential(Does(lambda x: torch.nested.nested_tensor(list(x.unbind())))),
        "'0.Does' is a nested tensor",
    ),
    "meta": (lambda: nn.Sequential(Does(lambda x: x.to("meta"))), "'0.Does' is a meta tensor"),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("case", UNSEEN)
def test_what_has_no_layers_to_be_seen_is_refused(tmp_path: Path, case: str) -> None:
    model, message = UNSEEN[case]
    with pytest.raises(RecordingError, match=message):
        record(model(), [(IMAGES, LABELS)], tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
