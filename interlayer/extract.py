"""A model and data, both files of the user's own machine, to a file of activations."""

import importlib
import inspect
import json
import os
import sys
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from contract.formats import file_format
from contract.schemas import Pooling, ProblemError
from interlayer.errors import AnalysisFailed, InterlayerError, UsageError
from interlayer.record import RecordedLayers, RecordingError, record
from interlayer.record.row_sample import RowSample

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


@dataclass(frozen=True)
class Extraction:
    """Options; those of `interlayer.record.record`, and where the weights are."""

    layers: Literal["auto"] | Sequence[str] = "auto"
    per_class: int | None = None
    pooling: str = "none"
    batch_size: int = 64
    dtype: str | None = None
    seed: int = 0
    device: str = "cpu"
    weights: Path | None = None


def extract(model: str, data: Path, output: Path, options: Extraction) -> RecordedLayers:
    """Run a model over data and write its layers to `output`.

    Raises
    ------
    UsageError
        The model is none of the three kinds.
    InterlayerError
        The data or the model cannot be used; the message says why.
    """
    arrays = _arrays(data)
    if Path(model).suffix == ".onnx":
        return _from_onnx(Path(model), data, arrays["labels"], output, options)
    try:
        network = _network(model, options)
        return record(
            network,
            _batches(network, arrays, options.batch_size),
            output,
            layers=options.layers,
            per_class=options.per_class,
            dtype=cast("Any", options.dtype),  # checked by `record`
            pooling=cast("Any", options.pooling),  # checked by `record`
            seed=options.seed,
            device=options.device,
        )
    except RecordingError as error:
        raise InterlayerError(str(error)) from error
    except ProblemError as error:
        raise AnalysisFailed(error.problem) from error
    except (InterlayerError, OSError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise InterlayerError(
            f"{model} cannot be run on {data}: {_where_it_failed(error)}; the arrays are "
            + ", ".join(f"`{name}` {array.dtype} {array.shape}" for name, array in arrays.items())
        ) from error


def _where_it_failed(error: Exception) -> str:
    """Give what an error says, and the line of the user's code that it came from, if there is one."""
    said = (str(error).strip().splitlines() or [""])[0]
    own = str(Path(__file__).parent)
    frames = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if "site-packages" not in each.filename and not each.filename.startswith(own)
    ]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {said}{where}"


def _network(model: str, options: Extraction) -> "nn.Module":
    import torch

    path = Path(model)
    torch.manual_seed(options.seed)
    network = _from_folder(path) if path.is_dir() else _from_factory(model)
    if options.weights is not None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            network.load_state_dict(load_file(options.weights))
        except FileNotFoundError as error:
            raise UsageError(f"there is no file {options.weights}") from error
        except SafetensorError as error:
            raise InterlayerError(
                f"{options.weights} does not fit the model: it is no .safetensors file ({error}); store weights with "
                "safetensors.torch.save_file"
            ) from error
        except RuntimeError as error:
            raise InterlayerError(f"{options.weights} does not fit the model: {error}") from error
    return network.to(options.device)


def _from_onnx(model: Path, data: Path, labels: "np.ndarray", output: Path, options: Extraction) -> RecordedLayers:
    """Record an ONNX file with the code that does it for analyses, so that names and numbers are the same."""
    import numpy as np
    from safetensors import safe_open

    from worker.models.recording import record as record_models

    for name, given in (("--dtype", options.dtype), ("--weights", options.weights)):
        if given is not None:
            raise UsageError(f"{name} does not go with an .onnx file")
    if options.pooling not in get_args(Pooling):
        raise UsageError(f"--pooling of an .onnx file may be {', '.join(get_args(Pooling))}, not {options.pooling!r}")
    rows = None
    if options.per_class is not None:
        kept, _ = RowSample(options.per_class, options.seed).place(labels)
        rows = None if kept is None else kept.tolist()
    for file in (model, data):
        if not file.is_file():
            raise UsageError(f"there is no file {file}")
    run = {
        "model": model, "entry": None, "trained": True, "seed": options.seed, "pooling": options.pooling,
        "data": data, "split": "train", "rows": rows, "out": output,
    }  # fmt: skip
    work = {
        "runs": [run], "layers": {"include": ["*"] if options.layers == "auto" else list(options.layers)},
        "device": options.device, "n_threads": None, "memory_bytes": None, "max_unpacked_bytes": 2**40,
    }  # fmt: skip
    try:
        (found,) = record_models(work, lambda _done, _total: None)
    except ProblemError as error:
        output.unlink(missing_ok=True)
        raise AnalysisFailed(error.problem) from error
    with safe_open(output, framework="numpy") as file:
        layers = json.loads((file.metadata() or {})["layers"])
        shapes = {name: tuple(file.get_slice(name).get_shape()[1:]) for name in layers}
    used = labels if rows is None else labels[rows]
    names, counts = np.unique(used, return_counts=True)
    return RecordedLayers(output, shapes, dict(zip(names.tolist(), counts.tolist(), strict=True)), found["left_out"])


def _from_factory(model: str) -> "nn.Module":
    """Call `module:function`; modules of the working directory are found, as with `python -m`."""
    module_name, colon, function = model.partition(":")
    if not colon or not module_name or not function:
        raise UsageError(
            f"{model!r} is neither an .onnx file, nor a folder, nor module:function; weights alone are no model: "
            "write a function that makes the network, and give them as .safetensors with --weights"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        factory: Callable[[], Any] = getattr(importlib.import_module(module_name), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UsageError(f"{model!r} cannot be imported: {error}") from error
    from torch import nn

    network = factory()
    if not isinstance(network, nn.Module):
        raise UsageError(f"{model!r} returned a {type(network).__name__}; it must return a torch.nn.Module")
    return network


def _from_folder(path: Path) -> "nn.Module":
    """Load a Hugging Face folder: safetensors only, no code from the folder, nothing from the network."""
    if not (path / "config.json").is_file():
        raise UsageError(f"{path} is no Hugging Face folder: there is no config.json")
    os.environ["HF_HUB_OFFLINE"] = "1"
    from worker.models.transformer import open_transformer

    if not (path / "model.safetensors").is_file():
        raise InterlayerError(
            f"{path} has no model.safetensors; save_pretrained writes one. Pickled weights stay closed"
        )
    try:
        return open_transformer(path, trained=True)
    except ProblemError as error:
        raise AnalysisFailed(error.problem) from error


def _arrays(path: Path) -> "dict[str, np.ndarray]":
    import numpy as np

    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    arrays: dict[str, np.ndarray]
    try:
        kind = file_format(path)
        if kind == "onnx":
            raise UsageError(f"{path} is a model, not data; the order is MODEL DATA")
        if kind == "safetensors":
            arrays = load_file(path)
        else:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = dict(file)
    except ProblemError as error:
        raise InterlayerError(f"{path}: {error.problem.detail}") from error
    except (ValueError, TypeError, zipfile.BadZipFile, SafetensorError) as error:
        raise InterlayerError(f"{path} cannot be read as .{kind}: {error}") from error
    if "labels" not in arrays or len(arrays) < 2:
        raise InterlayerError(f"{path} has the arrays {sorted(arrays)}; it needs `labels` and `inputs`")
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != len(arrays["labels"]):
            raise InterlayerError(
                f"{path}: {name!r} has shape {array.shape}, but there are {len(arrays['labels'])} labels"
            )
    return arrays


def _batches(
    network: "nn.Module", arrays: "dict[str, np.ndarray]", size: int
) -> "Iterator[tuple[dict[str, Tensor] | Tensor, np.ndarray]]":
    """Give batches as a job would run them: `inputs` is what the network takes first, others go by their names."""
    import torch

    weights = next((each for each in network.parameters() if each.is_floating_point()), None)
    names = [name for name in arrays if name != "labels"]
    for start in range(0, len(arrays["labels"]), size):
        part = {name: torch.from_numpy(arrays[name][start : start + size]) for name in names}
        if weights is not None:
            part = {n: each.to(weights.dtype) if each.is_floating_point() else each for n, each in part.items()}
        labels = arrays["labels"][start : start + size]
        if hasattr(network, "main_input_name"):
            from worker.models.transformer import named_inputs

            main = network.main_input_name
            given = {"inputs" if name == main else name: each for name, each in part.items()}
            yield named_inputs(network, given), labels
        elif names == ["inputs"]:
            yield part["inputs"], labels
        else:
            first = next(iter(inspect.signature(network.forward).parameters), "inputs")
            yield {first if name == "inputs" else name: each for name, each in part.items()}, labels
