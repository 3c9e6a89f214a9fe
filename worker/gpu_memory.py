"""What a worker does where the memory of a GPU is too small for a piece of work even in the smallest tiles."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from contract.schemas import AnalysisRequest
from hpcore.errors import OutOfMemory
from hpcore.spanning_tree import resolve_device

Answer = TypeVar("Answer")
log = structlog.get_logger()


def where_it_fits(request: AnalysisRequest, work: Callable[[AnalysisRequest], Answer]) -> tuple[Answer, bool]:
    """Do work on the device of a request; on the CPU where it does not fit the GPU and the request leaves the choice.

    Numbers do not depend on the device. `work` is given the request to follow.

    Returns
    -------
    answer, left_gpu
        What the work returned, and whether the CPU took over.

    Raises
    ------
    OutOfMemory
        The request names its device, or the CPU's memory is too small.
    """
    try:
        return work(request), False
    except OutOfMemory as error:
        if request.device != "auto" or resolve_device(request.device) == "cpu":
            raise
        log.warning("the GPU's memory is too small, the CPU takes over", error=str(error))
    return work(request.model_copy(update={"device": "cpu"})), True
