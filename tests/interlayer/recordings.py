"""Recordings to look into: a network of every kind of module, batches, and what is in a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file
from torch import Tensor, nn

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


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


class Does(nn.Module):
    def __init__(self, what: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Any:
        return self.what(x)


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
ZERO, ONE = torch.zeros(2, 2), torch.ones(2, 2)
IMAGES = torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(2))
LABELS = torch.arange(6) % 2
