"""The state of a model and of PyTorch around a recording, all of it given back."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def unwrapped(model: "nn.Module") -> "nn.Module":
    """Give the model inside `torch.compile`, `DataParallel` and `DistributedDataParallel`: the same weights."""
    from torch import nn

    while True:
        if "_orig_mod" in model._modules:
            inner = model._modules["_orig_mod"]
        elif isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        else:
            return model
        assert inner is not None
        model = inner


@contextmanager
def evaluation_mode(model: "nn.Module") -> Iterator[None]:
    """Turn training behaviour off, and give every module its own flag back: some may have been frozen on purpose."""
    training = {module: module.training for module in model.modules()}
    model.eval()
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
