"""A transformer in a folder as Hugging Face's library writes it: its configuration and .safetensors, nothing else.

No code of the folder is run, nothing is fetched, and weights that do not belong to the architecture are refused: the
library itself would draw those that are missing at random.
"""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.schemas import ProblemError

if TYPE_CHECKING:
    import torch
    from torch import nn

_SPARE = "pooler."  # a head on the hidden states, absent from what was trained without one
_SHOWN = 5


def open_transformer(folder: Path, *, trained: bool) -> "nn.Module":
    """Return the bare model of a folder, with its weights or with random ones.

    Raises
    ------
    ProblemError
        `remote_code_forbidden`, `weights_mismatch`. What the library raises else is for the caller.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    _refuse_code(folder / "config.json")
    if not trained:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        made: nn.Module = AutoModel.from_config(  # type: ignore[no-untyped-call]  # the library types only half of it
            config, trust_remote_code=False, attn_implementation="eager"
        )
        return made
    try:
        network: nn.Module
        network, found = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, attn_implementation="eager",
            output_loading_info=True,
        )  # fmt: skip
    except SafetensorError as error:
        raise ProblemError("weights_mismatch", f"model.safetensors is no .safetensors file ({error})") from error
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(_SPARE))
    if missing or found["mismatched_keys"]:
        names = missing or sorted(str(name) for name in found["mismatched_keys"])
        raise ProblemError(
            "weights_mismatch",
            f"model.safetensors lacks {len(names)} weights of {type(network).__name__}, the architecture of "
            f"config.json: {', '.join(names[:_SHOWN])}; it is of another network",
        )
    return network


def _refuse_code(path: Path) -> None:
    config = json.loads(path.read_text())
    if "auto_map" in config:
        raise ProblemError(
            "remote_code_forbidden",
            f"config.json asks for code of the folder's own ({', '.join(map(str, config['auto_map'].values()))}), "
            "which is never run; register the network as a `factory`, or, where the library has the architecture, "
            "remove `auto_map`",
        )


def named_inputs(network: "nn.Module", given: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Return the arrays of the data under the names that the transformer takes.

    Raises
    ------
    ProblemError
        `input_mismatch`: what the model takes, and what it was given.
    """
    kind = type(network).__name__
    main: str = getattr(network, "main_input_name", "input_ids")
    named = {main if name == "inputs" else name: values for name, values in given.items()}
    takes = [
        name
        for name, parameter in inspect.signature(network.forward).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    for name in named:
        if name not in takes:
            raise ProblemError(
                "input_mismatch", f"the data have an array {name!r}, but {kind} takes {', '.join(takes[:8])}"
            )
    _check(kind, main, getattr(network, "config", None), named[main])
    return named


def _check(kind: str, main: str, config: Any, values: "torch.Tensor") -> None:
    """Refuse what the model would not understand, or say nothing of what only it can know."""
    shape, way_out = list(values.shape[1:]), ""
    if main == "input_ids":
        wants = "tokens: int64, one number for each, rows of [tokens]"
        fits = values.ndim == 2 and not values.is_floating_point() and not values.is_complex()
        way_out = "tokenize texts before they are stored"
    elif main == "pixel_values":
        channels = getattr(config, "num_channels", None)
        wants = f"images: float32, rows of [{channels or 'channels'}, height, width]"
        fits = values.ndim == 4 and values.is_floating_point() and channels in (None, values.shape[1])
        way_out = "`scale` and `channels` under [models.NAME.input] of the registry turn bytes into such"
    else:
        return
    if not fits:
        raise ProblemError(
            "input_mismatch",
            f"{kind} takes `{main}` ({wants}), but the `inputs` of the data are "
            f"{str(values.dtype).removeprefix('torch.')}, rows of {shape}; {way_out}",
        )
    vocabulary = getattr(config, "vocab_size", None)
    if main == "input_ids" and vocabulary and values.numel():
        low, high = int(values.min()), int(values.max())
        if low < 0 or high >= vocabulary:
            raise ProblemError(
                "input_mismatch",
                f"the `inputs` of the data have tokens from {low} to {high}, but {kind} knows 0 to {vocabulary - 1}; "
                "tokenize with the tokenizer of this model",
            )
