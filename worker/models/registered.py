"""A registered model, built from the administrator's description and given its weights. Nothing is downloaded."""

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.registry import Preprocessing, RegisteredModel
from contract.schemas import Pooling, ProblemError
from worker.arrays import Array
from worker.models.data import Batch
from worker.models.torch_model import TorchModel
from worker.models.transformer import open_transformer

if TYPE_CHECKING:
    from torch import nn

_SHOWN_LINES, _SHOWN_CHARACTERS = 4, 300  # of an error; PyTorch says from the second line on which weights do not fit


def build(
    entry: RegisteredModel, folder: Path, *, trained: bool, seed: int, device: str, pooling: Pooling | None
) -> TorchModel:
    """Return a registered model: with the weights that lie in `folder`, or untrained, drawn with `seed`.

    Raises
    ------
    ProblemError
        `library_missing`, `weights_mismatch`, `remote_code_forbidden`, `model_failed`.
    """
    import torch

    torch.manual_seed(seed)
    try:
        module = _architecture(entry, folder, trained=trained)
    except ProblemError:
        raise
    except ModuleNotFoundError as error:
        raise ProblemError("library_missing", _absent(entry, error.name or str(error))) from error
    except PermissionError as error:
        raise ProblemError(
            "model_failed",
            f"the registered model cannot be built: nothing may read {Path(error.filename or '').name} while a model "
            "runs; the administrator can put the code of factories into a folder without the service's files",
        ) from error
    except Exception as error:
        raise ProblemError("model_failed", f"the registered model cannot be built: {_short(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise ProblemError("model_failed", f"the factory returned {type(module).__name__}, not a torch.nn.Module")
    if trained and entry.weights is not None:
        _load(module, folder / "model.safetensors")
    own_pooling = entry.pooling if pooling is None else pooling
    return TorchModel(module, device=device, pooling=own_pooling, hidden_states=entry.transformers is not None)


def _architecture(entry: RegisteredModel, folder: Path, *, trained: bool) -> Any:
    if entry.factory is not None:
        module, _, function = entry.factory.partition(":")
        return getattr(importlib.import_module(module), function)(**entry.arguments)
    if entry.transformers is not None:
        return open_transformer(folder, trained=trained)
    if entry.torchvision is not None:
        models = _library("torchvision").models
        takes = inspect.signature(models.get_model_builder(entry.torchvision)).parameters
        # Networks with a backbone would fetch the weights of that, unless they are told otherwise as well.
        none = {name: None for name in ("weights", "weights_backbone") if name in takes}
        return models.get_model(entry.torchvision, **none, **entry.arguments)
    return _library("timm").create_model(entry.timm, pretrained=False, **entry.arguments)


def _absent(entry: RegisteredModel, module: str) -> str:
    """Say how to get a module that is not there, one of a library or the administrator's own."""
    if entry.factory is not None and entry.factory.partition(":")[0].split(".")[0] == module.split(".", maxsplit=1)[0]:
        return (
            f"there is no module {module}, which the registry names; the administrator can install it in the worker's "
            "environment, or put the folder that holds it on PYTHONPATH"
        )
    return f"the model needs {module}: the administrator can install it for the worker (pip install {module})"


def _library(name: str) -> Any:
    """Import a library of architectures, or say why that cannot be."""
    import torch

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # an extension of C++ that was built for another torch ends in all kinds
        raise ProblemError(
            "library_missing",
            f"{name} is installed, but cannot be imported beside torch {torch.__version__} ({_short(error)}); the "
            "administrator can install the version that goes with it",
        ) from error


def _load(module: "nn.Module", path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        module.load_state_dict(load_file(path), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise ProblemError(
            "weights_mismatch", f"the weights do not fit the architecture: {_short(error)}; tell the administrator"
        ) from error


def prepared(batch: Batch, steps: Preprocessing) -> Batch:
    """Return a batch after the preprocessing of its `inputs`."""
    import numpy as np

    inputs = batch["inputs"]
    if steps.shape is not None:
        try:
            inputs = inputs.reshape(len(inputs), *steps.shape)
        except ValueError as error:
            detail = f"rows of {list(inputs.shape[1:])} cannot be given the shape {steps.shape} that the model wants"
            raise ProblemError("input_mismatch", detail) from error
    channel_axis = 1 if inputs.ndim == 4 else -1
    if steps.channels is not None and inputs.ndim == 4:
        inputs = np.moveaxis(inputs, -1, 1) if steps.channels == "first" else np.moveaxis(inputs, 1, -1)
        channel_axis = 1 if steps.channels == "first" else -1
    if steps.resize is not None:
        inputs = _resized(inputs, steps.resize, channel_axis)
    if steps.scale is not None:
        inputs = inputs.astype(np.float32) * np.float32(steps.scale)
    if steps.mean is not None and steps.std is not None:
        if inputs.shape[channel_axis] != len(steps.mean) != 1:
            detail = f"the data have {inputs.shape[channel_axis]} channels, the model's `mean` has {len(steps.mean)}"
            raise ProblemError("input_mismatch", detail)
        shape = [1] * inputs.ndim
        shape[channel_axis] = len(steps.mean)
        mean, std = (np.array(values, np.float32).reshape(shape) for values in (steps.mean, steps.std))
        inputs = (inputs.astype(np.float32) - mean) / std
    if steps.dtype is not None:
        inputs = inputs.astype(steps.dtype)
    return {**batch, "inputs": np.ascontiguousarray(inputs)}


def _resized(inputs: Array, size: list[int], channel_axis: int) -> Array:
    import torch

    if inputs.ndim != 4:
        raise ProblemError("input_mismatch", f"only images can be resized, not rows of {list(inputs.shape[1:])}")
    images = torch.from_numpy(inputs if channel_axis == 1 else inputs.transpose(0, 3, 1, 2).copy()).float()
    found: Array = torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True).numpy()
    return found if channel_axis == 1 else found.transpose(0, 2, 3, 1)


def _short(error: Exception) -> str:
    said = " ".join(line.strip() for line in str(error).splitlines()[:_SHOWN_LINES]).strip()
    return said[:_SHOWN_CHARACTERS] or type(error).__name__
