"""Is there enough of everything for an analysis? Judged before it computes, by the rule of the service."""

from collections.abc import Sequence

from contract.predictions import KnownInput, Limits, predict, require_fit
from contract.schemas import AnalysisRequest
from worker.activations import ActivationFile


def require_feasible(request: AnalysisRequest, files: Sequence[ActivationFile], limits: Limits) -> None:
    """Refuse what cannot be computed here; a service that knew the files has done so before.

    Raises
    ------
    ProblemError
        `job_too_large`.
    """
    inputs = [
        KnownInput(item, file.inspection(), file.format, file.bytes)
        for item, file in zip(request.inputs, files, strict=True)
    ]
    require_fit(predict(request, inputs, limits.processor), limits)
