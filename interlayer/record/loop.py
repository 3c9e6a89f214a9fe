"""Record a model from a data loader."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interlayer.record.errors import RecordingError
from interlayer.record.model_modes import evaluation_mode, own_random_numbers, unwrapped
from interlayer.record.recorder import LayerRecorder, RecordedLayers, import_torch
from interlayer.record.token_pooling import Pooling

if TYPE_CHECKING:
    import torch
    from torch import nn


def record(
    model: "nn.Module",
    loader: Iterable[Any],
    path: str | Path,
    *,
    layers: Literal["auto"] | Sequence[str] = "auto",
    per_class: int | None = None,
    dtype: Literal["float16", "float32"] | None = None,
    pooling: Pooling = "none",
    seed: int = 0,
    device: "torch.device | str | None" = None,
) -> RecordedLayers:
    """Run `model` over `loader` in evaluation mode and write the activations of its layers to `path`.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it was found: training flags of every module and PyTorch's random state are restored, gradients are
        not computed. What `torch.compile` or `DataParallel` wraps is run without the wrapping.
    loader : iterable of batches
        A batch is a pair ``(inputs, labels)``, or a mapping with the key ``labels`` whose other entries are passed to
        the model by name. ``inputs`` is a tensor, a mapping (passed by name) or a sequence (passed by position).
        Labels are (batch,) integers or strings. A loader that does not shuffle makes files of several network states
        agree row by row.
    path : str or Path
        The safetensors file to write; it appears, or is replaced, only when the recording is complete.
    layers : "auto" or sequence of str
        ``"auto"`` records the input and every innermost module that changes its input, named by the number of layers
        with weights so far and the type: ``0.Input``, ``1.Conv``, ``1.ReLU``, ``2.Conv``, ``2.MaxPool``, ``3.Dense``.
        Otherwise names from ``model.named_modules()``, in which ``*`` stands for one part between dots and ``**`` for
        any number of parts; ``"0.Input"`` is the input of the model. A module used again gets ``:2`` after its name.
        What fits no module means these automatic names: ``["1.ReLU", "*.Dense"]``.
        Several tensors in an output are several layers: ``lstm.0``, ``head.logits``.
        Operations outside modules are seen only through the module that follows them.
    per_class : int, optional
        Keep a uniform random sample of at most this many rows of each class. Batches without a kept row are not run.
    dtype : "float16" or "float32", optional
        Convert floating-point activations. By default they are kept (bfloat16 becomes float32).
    pooling : "none", "mean", "cls" or "last"
        What is kept of layers with the axes (batch, token, feature): all tokens side by side, their mean, the first,
        or the last. An ``attention_mask`` that the model is given by name says which tokens count. The choice is
        written to the metadata of the file.
    seed : int
        Seed of the sample.
    device : torch.device or str, optional
        Where inputs are sent; by default, where the first parameter of the model is. The model is not moved.

    Returns
    -------
    RecordedLayers

    Raises
    ------
    RecordingError
        If a layer is unknown, never called, returns no tensor with a row per label, changes
        shape between batches, or holds NaN or infinity; or if labels are neither integers nor strings.

    Notes
    -----
    Memory: one batch beside the model, and the labels. Disk: the file, and beside it the largest layer while it is
    assembled. Where the loader is a list, or a `DataLoader` over a data set with a length, and every row is kept, rows
    are written to where they stay.
    """
    torch = import_torch()
    model = unwrapped(model)
    if device is None:
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    recorder = LayerRecorder(
        model,
        path,
        layers=layers,
        per_class=per_class,
        dtype=dtype,
        pooling=pooling,
        seed=seed,
        n_rows=_known_rows(loader) if per_class is None else None,
    )
    with recorder, evaluation_mode(model), own_random_numbers(), torch.no_grad():
        for batch in loader:
            inputs, labels = _split_batch(batch)
            with recorder.batch(labels) as n_kept:
                if n_kept:
                    _forward(model, _to_device(inputs, device))
    return recorder.recorded


def _known_rows(loader: Iterable[Any]) -> int | None:
    """Say how many rows will come, where that can be known without a look at them."""
    from torch.utils.data import DataLoader

    if isinstance(loader, list | tuple):
        return sum(len(_split_batch(batch)[1]) for batch in loader)
    if not isinstance(loader, DataLoader) or loader.batch_size is None:
        return None
    try:
        n_rows = len(loader.sampler)  # type: ignore[arg-type]  # a sampler may have a length
    except TypeError:
        return None
    return n_rows - n_rows % loader.batch_size if loader.drop_last else n_rows


def _split_batch(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, Mapping) and "labels" in batch:
        return {name: value for name, value in batch.items() if name != "labels"}, batch["labels"]
    if isinstance(batch, Sequence) and len(batch) == 2:
        return batch[0], batch[1]
    raise RecordingError("a batch must be a pair (inputs, labels) or a mapping with the key 'labels'")


def _to_device(inputs: Any, device: "torch.device | str") -> Any:
    if isinstance(inputs, Mapping):
        return {name: _to_device(value, device) for name, value in inputs.items()}
    if isinstance(inputs, list | tuple):
        return [_to_device(value, device) for value in inputs]
    return inputs.to(device) if hasattr(inputs, "to") else inputs


def _forward(model: "nn.Module", inputs: Any) -> None:
    if isinstance(inputs, Mapping):
        model(**inputs)
    elif isinstance(inputs, list):
        model(*inputs)
    else:
        model(inputs)
