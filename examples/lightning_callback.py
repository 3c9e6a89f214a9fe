"""A network trained by Lightning, its layers recorded before training and after every epoch, analysed as a series."""

from pathlib import Path

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from examples.digits.data import STUDIES, digits
from interlayer.local import analyze
from interlayer.record.lightning import RecordLayers


class Classifier(lightning.LightningModule):
    """A small network under noise."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def training_step(self, batch: tuple[Tensor, Tensor], _number: int) -> Tensor:
        """Give the loss of a batch."""
        images, labels = batch
        return nn.functional.cross_entropy(self.network(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Give the optimizer."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main(folder: Path = Path(), n_epochs: int = 3) -> None:
    """Train, and print how the separation of the hidden layer grows."""
    lightning.seed_everything(0, verbose=False)
    split = digits(STUDIES[2], instance=0)["train"]
    data = TensorDataset(torch.from_numpy(split.images), torch.from_numpy(split.labels))
    callback = RecordLayers(
        {"train": DataLoader(data, batch_size=256)}, folder, module="network", layers=["2"], per_class=50
    )
    trainer = lightning.Trainer(
        max_epochs=n_epochs, callbacks=[callback], accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Classifier(), DataLoader(data, batch_size=64, shuffle=True))
    for separation in analyze(callback.series.inputs).separations:
        print(f"epoch {separation.step}: mean separation {separation.mean:.3f}")


if __name__ == "__main__":
    main()
