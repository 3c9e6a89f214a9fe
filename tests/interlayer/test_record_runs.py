"""A recording leaves the run of a model as it was, and no file where the run fails."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from interlayer.record import LayerRecorder, RecordingError, record
from tests.interlayer.recordings import IMAGES, LABELS, network


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
