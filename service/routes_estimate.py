"""What an analysis would take."""

import asyncio
import time
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header

from contract.schemas import AnalysisRequest, Estimate, Inspection, ProblemError
from service.deps import Stores, Submitter, WithStores
from service.estimate import estimate
from service.inputs import used_artifacts
from service.preferences import preferred_wait

router = APIRouter(prefix="/v1/analyses", tags=["analyses"])
_LOOK_SECONDS = 0.05


@router.post(":estimate", operation_id="estimate_analysis")
async def estimate_analysis(
    body: AnalysisRequest,
    found: WithStores,
    caller: Submitter,
    prefer: Annotated[
        str | None, Header(description="`wait=N` waits up to N seconds for the worker that looks into new files.")
    ] = None,
) -> Estimate:
    """Say what an analysis would take, without starting it."""
    end = time.monotonic() + preferred_wait(prefer)
    while True:
        try:
            return estimate(body, await run_sync(_inspections, body, found, caller.tenant))
        except ProblemError as error:
            if error.problem.code != "not_finished" or time.monotonic() >= end:
                raise
        await asyncio.sleep(_LOOK_SECONDS)


def _inspections(body: AnalysisRequest, found: Stores, tenant: str) -> list[Inspection]:
    used = used_artifacts(body, found, tenant)
    inspections = []
    for item in body.inputs:
        if item.artifact is None:
            raise ProblemError("model_unsupported", "what a model takes is not estimated; give recorded activations")
        inspection = used[item.artifact].inspection
        if inspection is None:
            raise ProblemError(
                "not_finished",
                f"{item.artifact} has not been inspected yet; ask again in a moment, or let the request wait for it "
                "(`Prefer: wait=10`)",
                headers={"Retry-After": "1"},
            )
        inspections.append(inspection)
    return inspections
