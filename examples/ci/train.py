"""Train a small network on handwritten digits and record its layers, as a training job in a pipeline does.

    python train.py [--noisy-labels SHARE] [--dropout SHARE] [--leak]     # the options are bugs to plant

Writes train.safetensors and validation.safetensors: what every layer makes of the rows of both splits.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from interlayer.record import record

DATA_SEED = 1907
EPOCHS = 20


def splits() -> dict[str, tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Give images and labels: half of each class for training, the other half held out."""
    images, labels = load_digits(return_X_y=True)
    noise = np.random.default_rng(DATA_SEED).normal(0.0, 0.4, images.shape)  # digits alone leave nothing to learn
    images = (images / 16.0 + noise).astype(np.float32)
    halves = [np.array_split(np.flatnonzero(labels == digit), 2) for digit in range(10)]
    rows = {split: np.concatenate([half[i] for half in halves]) for i, split in enumerate(("train", "validation"))}
    return {split: (images[index], labels[index]) for split, index in rows.items()}


def network(dropout: float, seed: int) -> nn.Sequential:
    """Give the untrained network."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 64), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(64, 10),
    )  # fmt: skip


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, seed: int) -> None:
    """Fit the labels in place."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(labels), generator=generator), 64):
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()


def main() -> None:
    """Train, and record both splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noisy-labels", type=float, default=0.0, metavar="SHARE", help="bug: so many random labels")
    parser.add_argument("--dropout", type=float, default=0.2, metavar="SHARE", help="0.2 is fine, 0.9 is a bug")
    parser.add_argument("--leak", action="store_true", help="bug: validate on training data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path())
    arguments = parser.parse_args()
    data = splits()
    images, labels = data["train"]
    taught = labels.copy()
    generator = np.random.default_rng(DATA_SEED)
    wrong = generator.random(len(labels)) < arguments.noisy_labels
    taught[wrong] = generator.permutation(taught[wrong])
    if arguments.leak:
        data["validation"] = data["train"]
    model = network(arguments.dropout, arguments.seed)
    train(model, torch.from_numpy(images), torch.from_numpy(taught), arguments.seed)
    data["train"] = images, taught  # what the network was taught is what its training separation is about
    model.eval()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for split, (rows, classes) in data.items():
        dataset = torch.utils.data.TensorDataset(torch.from_numpy(rows), torch.from_numpy(classes))
        loader = torch.utils.data.DataLoader(dataset, batch_size=256)
        record(model, loader, arguments.out / f"{split}.safetensors")
    with torch.no_grad():
        held_out, truth = (torch.from_numpy(part) for part in data["validation"])
        accuracy = float((model(held_out).argmax(dim=1) == truth).float().mean())
    print(f"validation accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
