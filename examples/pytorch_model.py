"""The layers of a PyTorch model, recorded by forward hooks before and after training."""

from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from examples.digits.data import STUDIES, Split, digits
from interlayer.local import LocalInput, analyze
from interlayer.record import record
from interlayer.render.terminal import print_report


def loader(split: Split, *, shuffle: bool = False) -> "DataLoader[tuple[torch.Tensor, ...]]":
    """Give batches of (images, labels)."""
    data = TensorDataset(torch.from_numpy(split.images), torch.from_numpy(split.labels))
    return DataLoader(data, batch_size=128, shuffle=shuffle)


def train(model: nn.Module, split: Split, n_epochs: int = 10) -> None:
    """Fit the labels in the plainest way."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(n_epochs):
        for images, labels in loader(split, shuffle=True):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(images), labels))
            optimizer.step()


def main(folder: Path = Path()) -> None:
    """Record a network untrained and trained, on noisy digits it saw and on others, and compare."""
    torch.manual_seed(0)
    splits = digits(STUDIES[2], instance=0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    inputs = []
    for state in ("untrained", "trained"):
        if state == "trained":
            train(model, splits["train"])
        for split, data in splits.items():
            path = folder / f"{state}-{split}.safetensors"
            print(record(model, loader(data), path).shapes)
            inputs.append(LocalInput(path, state=state, split=split))
    print_report(analyze(inputs), Console())


if __name__ == "__main__":
    main()
