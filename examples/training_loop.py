"""A training loop of your own that records its layers as it goes: one file an epoch, analysed as a series."""

from pathlib import Path

import torch
from torch import nn

from examples.digits.data import STUDIES, digits
from interlayer.local import LocalInput, analyze
from interlayer.record import LayerRecorder


def main(folder: Path = Path(), n_epochs: int = 4) -> None:
    """Train under noise, and print how the separation of the hidden layer grows."""
    torch.manual_seed(0)
    data = digits(STUDIES[2], instance=0)["train"]
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    inputs = []
    for epoch in range(n_epochs):
        path = folder / f"epoch-{epoch}.safetensors"
        # The pass that trains is the pass that is recorded; names are those of `model.named_modules()`.
        with LayerRecorder(model, path, layers=["2"], dtype="float16", per_class=50) as recorder:
            for rows in torch.split(torch.arange(len(labels)), 64):
                with recorder.batch(labels[rows]):
                    loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
        inputs.append(LocalInput(path, step=epoch))
    for separation in analyze(inputs).separations:
        print(f"epoch {separation.step}: mean separation {separation.mean:.3f}")


if __name__ == "__main__":
    main()
