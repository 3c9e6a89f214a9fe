"""What a worker does where the memory of a GPU is too small for a piece of work: smaller tiles, then the CPU."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog

from contract.schemas import AnalysisRequest
from hpcore.errors import OutOfMemory, SmallerParts
from hpcore.spanning_tree import resolve_device

Answer = TypeVar("Answer")
log = structlog.get_logger()


@dataclass
class Fit:
    """How a piece of work fitted the memory of a GPU."""

    small_tiles: bool = False
    left_gpu: bool = False


def where_it_fits(request: AnalysisRequest, work: Callable[[AnalysisRequest], Answer]) -> tuple[Answer, Fit]:
    """Do work on the device of a request; on the CPU where it does not fit the GPU and the request leaves the choice.

    Numbers do not depend on the device. `work` is given the request to follow.

    Returns
    -------
    answer, fit
        What the work returned, and whether it took smaller tiles, or the CPU.

    Raises
    ------
    OutOfMemory
        The request names its device, or the CPU's memory is too small.
    """
    fit = Fit()
    try:
        with _smaller_tiles_noted(fit):
            return work(request), fit
    except OutOfMemory as error:
        if request.device != "auto" or resolve_device(request.device) == "cpu":
            raise
        log.warning("the GPU's memory is too small, the CPU takes over", error=str(error))
    return work(request.model_copy(update={"device": "cpu"})), Fit(left_gpu=True)


@contextmanager
def _smaller_tiles_noted(fit: Fit) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SmallerParts)
        yield
    for each in caught:
        if issubclass(each.category, SmallerParts):
            fit.small_tiles = True
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
