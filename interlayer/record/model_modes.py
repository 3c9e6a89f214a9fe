"""The state of a model and of PyTorch around a recording, all of it given back."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from interlayer.record.errors import RecordingError

if TYPE_CHECKING:
    from torch import nn


def unwrapped(model: "nn.Module") -> "nn.Module":
    """Give the model inside `torch.compile`, `DataParallel` and `DistributedDataParallel`: the same weights."""
    import torch
    from torch import nn

    if not isinstance(model, nn.Module):
        raise RecordingError(f"`model` is a {type(model).__name__}; give a torch.nn.Module")
    while True:
        if "_orig_mod" in model._modules:
            inner = model._modules["_orig_mod"]
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        else:
            break
        assert inner is not None
        model = inner
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise RecordingError(
                f"{f'module {name!r}' if name else 'the model'} is TorchScript, whose parts run without being seen: "
                "record the model that it was made from"
            )
    return model


@contextmanager
def evaluation_mode(model: "nn.Module") -> Iterator[None]:
    """Turn training behaviour off, and give every module its own flag back: some may have been frozen on purpose."""
    training = {module: module.training for module in model.modules()}
    try:
        model.eval()
    except NotImplementedError as error:  # from the modules of an exported program
        raise RecordingError(
            f"the model has no evaluation mode ({error}): record the model that it was exported from"
        ) from error
    try:
        yield
    finally:
        for module, flag in training.items():
            module.training = flag


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Give PyTorch's random state back: a data loader draws from it even where it does not shuffle."""
    import torch

    is_used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch has no types there
    devices = range(torch.cuda.device_count()) if is_used else ()
    with torch.random.fork_rng(devices):
        yield


def eagerly() -> AbstractContextManager[object]:
    """Run what is compiled, be it the model, a part of it or the loop around it, as it was written.

    Compiled code passes hooks by, or is compiled anew together with them.
    """
    if "torch._dynamo" not in sys.modules:  # a slow import; without it nothing is compiled
        return nullcontext()
    import torch

    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance
