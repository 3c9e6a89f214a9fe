"""A callback of Lightning that records layers at the end of epochs. Importing this module imports Lightning."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from interlayer.record.series import RecordedSeries

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("this callback needs Lightning: pip install lightning", name="lightning") from error


class RecordLayers(Callback):
    """Record the layers before training (step 0) and after every `every` epochs; `series` holds the recordings.

    Parameters
    ----------
    loaders, folder, **options
        See `interlayer.record.RecordedSeries`.
    every : int
        Epochs between two recordings; the last epoch of ``max_epochs`` is always recorded.
    module : str, optional
        Name of the attribute that is the network, such as ``"model"``; by default the LightningModule itself, whose
        ``forward`` then is what is recorded.
    """

    def __init__(
        self,
        loaders: Mapping[str, Iterable[Any]],
        folder: str | Path,
        *,
        every: int = 1,
        module: str | None = None,
        **options: Any,
    ) -> None:
        self.series = RecordedSeries(loaders, folder, **options)
        self._every, self._module = every, module

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the network as training finds it, once."""
        if trainer.current_epoch == 0 and trainer.is_global_zero:
            self._record(pl_module, 0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record, where the epoch is one of those asked for."""
        done = trainer.current_epoch + 1
        if trainer.is_global_zero and (done % self._every == 0 or done == trainer.max_epochs):
            self._record(pl_module, done)

    def _record(self, pl_module: LightningModule, step: int) -> None:
        self.series.record(pl_module if self._module is None else pl_module.get_submodule(self._module), step)
