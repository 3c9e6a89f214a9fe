"""Small networks that learn handwritten digits in seconds; the factories that a registry of the tests names."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor, nn

N_CLASSES = 10


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 24), nn.Tanh(), nn.Linear(24, N_CLASSES)
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, N_CLASSES),
    )  # fmt: skip


class Attention(nn.Module):
    """One head, of modules alone, so that every step can be recorded."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.shares = nn.Softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2) / x.shape[-1] ** 0.5
        return cast("Tensor", self.out(self.shares(scores) @ self.value(x)))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.attention = nn.LayerNorm(width), nn.LayerNorm(width), Attention(width)
        self.wide, self.activation, self.narrow = nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.first(x))
        return cast("Tensor", x + self.narrow(self.activation(self.wide(self.second(x)))))


class Transformer(nn.Module):
    """Each of the eight lines of a digit is a token."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.embedding, self.places = nn.Linear(8, width), nn.Parameter(0.1 * torch.randn(8, width))
        self.blocks, self.head = nn.Sequential(Block(width), Block(width)), nn.Linear(width, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.head(self.blocks(self.embedding(x.squeeze(1)) + self.places).mean(1)))


def transformer() -> nn.Module:
    return Transformer()


FACTORIES: dict[str, Callable[[], nn.Module]] = {"mlp": mlp, "cnn": cnn, "transformer": transformer}


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return images (1797, 1, 8, 8), so noisy that the classes overlap in every layer, and their labels."""
    found = load_digits()
    images = found.data.reshape(-1, 1, 8, 8) / 16
    noise = np.random.default_rng(0).normal(scale=0.4, size=images.shape)
    return (images + noise).astype(np.float32), found.target.astype(np.int64)


def trained(name: str, images: Tensor, labels: Tensor) -> nn.Module:
    """Return a network that has learnt; raises where it has not."""
    torch.manual_seed(0)
    network = FACTORIES[name]()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(20):
        for rows in torch.randperm(len(images)).split(64):  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()  # type: ignore[no-untyped-call]  # likewise
            optimizer.step()
    network.eval()
    with torch.no_grad():
        right = float((network(images).argmax(1) == labels).double().mean())
    assert right > 0.8, f"{name} knows only {right:.0%} of the digits it was shown"
    return network


def untrained(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return FACTORIES[name]().eval()


def export(network: nn.Module, path: Path, *, rows: int = 2, free: bool = True) -> Path:
    """Write a network as ONNX, with a free or a fixed first axis."""
    axes = {"x": {0: "n"}, "y": {0: "n"}} if free else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without further packages is the older one, and says so
        torch.onnx.export(
            network, (torch.zeros(rows, 1, 8, 8),), path, dynamo=False, input_names=["x"], output_names=["y"],
            dynamic_axes=axes,
        )  # fmt: skip
    return path
