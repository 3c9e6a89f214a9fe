"""Outputs of several tensors, of places and of states: which of them are layers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from interlayer.record import RecordingError, record
from tests.interlayer.recordings import IMAGES, LABELS, Does, recorded


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
    names, arrays = recorded(tmp_path / "a.safetensors")
    assert names == ["0.Input", "0._Split.0", "0._Split.1.0", "0._Named.sum"]
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


@dataclass
class _Outcome:
    scores: Tensor
    inner: dict[str, Any]
    name: str = "no tensor"


def test_a_dataclass_is_as_good_as_a_mapping(tmp_path: Path) -> None:
    model = nn.Sequential(Does(lambda x: _Outcome(x + 1, {"twice": 2 * x, "loss": x.mean()})))
    found = record(model, [(IMAGES, LABELS)], tmp_path / "a")
    assert found.layers == ("0.Input", "0.Does.scores", "0.Does.inner.twice")
    assert list(found.left_out) == ["0.Does.inner.loss"]
    np.testing.assert_array_equal(recorded(tmp_path / "a")[1]["0.Does.inner.twice"], 2 * IMAGES)


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
