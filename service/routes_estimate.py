"""What an analysis would take."""

import asyncio
import time
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header

from contract.schemas import AnalysisRequest, Estimate, ProblemError
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
            return await run_sync(_estimate, body, found, caller.tenant)
        except ProblemError as error:
            if error.problem.code != "not_finished" or time.monotonic() >= end:
                raise
        await asyncio.sleep(_LOOK_SECONDS)


def _estimate(body: AnalysisRequest, found: Stores, tenant: str) -> Estimate:
    return estimate(body, used_artifacts(body, found, tenant), found)
