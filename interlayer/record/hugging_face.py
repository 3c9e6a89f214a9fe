"""A callback of the Hugging Face `Trainer` that records layers at the end of epochs. Importing imports transformers."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from interlayer.record.series import RecordedSeries

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'this callback needs transformers: pip install "interlayer[models]" accelerate', name="transformers"
    ) from error


class RecordLayers(TrainerCallback):
    """Record the layers before training (step 0) and after every `every` epochs; `series` holds the recordings.

    Parameters
    ----------
    loaders, folder, **options
        See `interlayer.record.RecordedSeries`. Batches are mappings of what the model takes by name, and ``labels``.
    every : int
        Epochs between two recordings.
    """

    def __init__(
        self, loaders: Mapping[str, Iterable[Any]], folder: str | Path, *, every: int = 1, **options: Any
    ) -> None:
        self.series = RecordedSeries(loaders, folder, **options)
        self._every = every

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the trainer calls it so
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - likewise
        **kwargs: Any,
    ) -> None:
        """Record the network as training finds it, once."""
        if state.global_step == 0 and state.is_world_process_zero:
            self.series.record(kwargs["model"], 0)

    def on_epoch_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the trainer calls it so
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - likewise
        **kwargs: Any,
    ) -> None:
        """Record, where the epoch is one of those asked for."""
        done = round(state.epoch or 0)
        if state.is_world_process_zero and done % self._every == 0:
            self.series.record(kwargs["model"], done)
