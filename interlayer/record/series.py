"""A training run as a series of recordings, and one call to submit recordings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.schemas import Analysis, AnalysisRequest
from interlayer.local import LocalInput
from interlayer.record.errors import RecordingError
from interlayer.record.loop import record

if TYPE_CHECKING:
    from torch import nn

    from interlayer.client import Client


def submit_recordings(client: "Client", inputs: Sequence[LocalInput], **options: Any) -> Analysis:
    """Upload recordings and submit one analysis of them.

    Parameters
    ----------
    client : interlayer.client.Client
    inputs : sequence of LocalInput
        The files and what each is: one network state on one split.
    **options
        Further fields of the request: `metric`, `layers`, `components`, `sampling`, `tests`, `seed`, `tags`.

    Returns
    -------
    Analysis
        Queued; ``client.wait(analysis.id)`` waits for its end.

    Raises
    ------
    ServiceUnreachable, RequestRefused
        No answer, or the service's problem.
    """
    references = [item.reference(client.upload(item.path).id).model_dump() for item in inputs]
    return client.submit(AnalysisRequest.model_validate({"inputs": references, **options}))


class RecordedSeries:
    """Recordings of one network at several steps of its training, on one or more splits.

    Parameters
    ----------
    loaders : mapping of "train" or "validation" to iterable of batches
        What to record on; see `record`. Loaders that do not shuffle make the steps agree row by row.
    folder : str or Path
        Where the files go, ``train-3.safetensors`` for step 3; made if it is absent.
    **options
        Passed to `record`: `layers`, `per_class`, `dtype`, `pooling`, `seed`, `device`.
    """

    def __init__(self, loaders: Mapping[str, Iterable[Any]], folder: str | Path, **options: Any) -> None:
        if not loaders or not set(loaders) <= {"train", "validation"}:
            raise RecordingError(f"`loaders` has the keys {list(loaders)}; they may be 'train' and 'validation'")
        self._loaders = dict(loaders)
        self._folder = Path(folder)
        self._options = options
        self._inputs: dict[tuple[str, int], LocalInput] = {}

    @property
    def inputs(self) -> tuple[LocalInput, ...]:
        """What was recorded, for `interlayer.local.analyze` and `submit_recordings`."""
        return tuple(self._inputs.values())

    def record(self, model: "nn.Module", step: int) -> None:
        """Record the model as it is now; a step recorded again replaces the former recording of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for split, loader in self._loaders.items():
            path = self._folder / f"{split}-{step}.safetensors"
            record(model, loader, path, **self._options)
            self._inputs[split, step] = LocalInput(path, split=split, step=step)

    def submit(self, client: "Client", **options: Any) -> Analysis:
        """Upload all recordings and submit one analysis of them; see `submit_recordings`."""
        return submit_recordings(client, self.inputs, **options)
