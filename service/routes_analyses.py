"""Analyses: accept, watch, cancel, list."""

import asyncio
import time
from collections.abc import AsyncIterable, Callable
from functools import partial
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy import Connection

from contract.audit_log import write_down
from contract.jobs import FINAL
from contract.keys import Caller
from contract.schemas import (
    Analysis,
    AnalysisPage,
    AnalysisRequest,
    AnalysisStatus,
    ProblemError,
)
from service.analyses import Witness, accept, accept_again, existing, newest, no_witness, require_key
from service.deps import Reader, Stores, Submitter, WithStores
from service.preferences import preferred_wait
from service.requests import deed

router = APIRouter(prefix="/v1/analyses", tags=["analyses"])
AnalysisPath = Annotated[
    str, PathParameter(pattern=r"^an_[0-9a-f]{30}$", examples=["an_0006440d1f4a3c5b8e2f1a9d7c6b4e"])
]
Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the end before answering.")]
_TAG = r"^[^\x00-\x1f\x7f:]+:[^\x00-\x1f\x7f]*$"
_LOOK_SECONDS = 0.05
_EVENT_SECONDS = 0.2


@router.post(
    "",
    status_code=202,
    response_model=Analysis,
    operation_id="create_analysis",
    responses={200: {"model": Analysis, "description": "Finished within the wait"}},
)
async def create_analysis(
    body: AnalysisRequest,
    request: Request,
    found: WithStores,
    caller: Submitter,
    idempotency_key: Annotated[
        str | None, Header(description="The same key with the same body is the same analysis, however often sent.")
    ] = None,
    prefer: Annotated[str | None, Header(description="`wait=N` waits up to N seconds for the end.")] = None,
) -> Response:
    """Accept an analysis. Once this has answered, the analysis ends exactly once, whatever crashes."""
    require_key(idempotency_key)
    return await _accepted(
        lambda witness: accept(body, found, caller, idempotency_key, witness),
        request,
        found,
        caller,
        preferred_wait(prefer),
    )


async def _accepted(
    how: Callable[[Witness], tuple[Analysis, bool]], request: Request, found: Stores, caller: Caller, wait: float
) -> Response:
    # What is answered at once gets into the audit log with the job; else the answer is not known yet.
    analysis, new = await run_sync(how, no_witness if wait else partial(_write_down, request, caller))
    analysis = await _finished(found, caller.tenant, analysis, wait, request)
    headers = {"Location": f"/v1/analyses/{analysis.id}"}
    if not new:
        headers["Idempotent-Replayed"] = "true"
    if analysis.status not in FINAL:
        headers["Retry-After"] = "1"
    return Response(analysis.model_dump_json(), _status(analysis), headers, "application/json")


def _status(analysis: Analysis) -> int:
    return 200 if analysis.status in FINAL else 202


def _write_down(request: Request, caller: Caller, connection: Connection, analysis: Analysis) -> None:
    place = f"/v1/analyses/{analysis.id}"
    write_down(connection, deed(request.scope, caller, place, _status(analysis)))
    request.state.written_down = True


async def _finished(found: Stores, tenant: str, analysis: Analysis, wait: float, request: Request) -> Analysis:
    """Return the analysis as soon as it is final, at the latest after `wait` seconds, or when nobody waits any more."""
    end = time.monotonic() + wait
    while analysis.status not in FINAL and time.monotonic() < end and not await request.is_disconnected():
        await asyncio.sleep(_LOOK_SECONDS)
        analysis = await run_sync(existing, found, tenant, analysis.id)
    return analysis


@router.get("", response_model=AnalysisPage, operation_id="list_analyses")
def list_analyses(
    found: WithStores,
    caller: Reader,
    status: AnalysisStatus | None = None,
    tag: Annotated[str | None, Query(description="`name:value`", max_length=400, pattern=_TAG)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List analyses, newest first."""
    page = newest(found, caller.tenant, limit, status=status, tag=tag, cursor=cursor)
    return Response(page.model_dump_json(), media_type="application/json")  # by this thread, which needs no second one


@router.get("/{analysis_id}", operation_id="get_analysis")
async def get_analysis(
    analysis_id: AnalysisPath, request: Request, found: WithStores, caller: Reader, wait: Wait = 0
) -> Analysis:
    """Tell how an analysis is doing; with `wait`, answer when it has ended or the time is over."""
    analysis = await run_sync(existing, found, caller.tenant, analysis_id)
    return await _finished(found, caller.tenant, analysis, wait, request)


def _existing(analysis_id: AnalysisPath, found: WithStores, caller: Reader) -> Analysis:
    # Once a stream has begun there is no way to answer 404.
    return existing(found, caller.tenant, analysis_id)


@router.get("/{analysis_id}/events", operation_id="watch_analysis", response_class=EventSourceResponse)
async def watch_analysis(
    found: WithStores,
    caller: Reader,
    first: Annotated[Analysis, Depends(_existing)],
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Send the analysis as an event `analysis` whenever it changes, the last time when it has ended.

    Every event carries the whole state, so a client that reconnects misses nothing.
    """
    analysis: Analysis | None = first
    seen = last_event_id
    while analysis is not None:  # it may be deleted while somebody looks
        event_id = _event_id(analysis)
        if event_id != seen:
            seen = event_id
            yield ServerSentEvent(event="analysis", id=event_id, data=analysis)
        if analysis.status in FINAL:
            return
        await asyncio.sleep(_EVENT_SECONDS)
        analysis = await run_sync(found.jobs.get, caller.tenant, analysis.id)


def _event_id(analysis: Analysis) -> str:
    progress = analysis.progress
    return f"{analysis.execution.attempts}.{analysis.status}.{progress.done}.{progress.fraction:.4f}"


@router.post("/{analysis_id}/cancel", operation_id="cancel_analysis")
def cancel_analysis(analysis_id: AnalysisPath, found: WithStores, caller: Submitter) -> Analysis:
    """Cancel an analysis. Asking again is fine; one that has ended otherwise stays as it is (409)."""
    analysis = found.jobs.request_cancel(caller.tenant, analysis_id)
    if analysis is None:
        raise ProblemError("not_found", f"there is no analysis {analysis_id}")
    if analysis.status in ("succeeded", "failed"):
        raise ProblemError("already_finished", f"the analysis has {analysis.status}; there is nothing to cancel")
    return analysis


@router.post(
    "/{analysis_id}/retry",
    status_code=202,
    response_model=Analysis,
    operation_id="retry_analysis",
    responses={200: {"model": Analysis, "description": "The analysis that tries again has finished"}},
)
async def retry_analysis(analysis_id: AnalysisPath, request: Request, found: WithStores, caller: Submitter) -> Response:
    """Try again what failed or was canceled, as a new analysis. However often this is asked, one is made."""
    return await _accepted(
        lambda witness: accept_again(analysis_id, found, caller, witness), request, found, caller, 0.0
    )


@router.delete("/{analysis_id}", status_code=204, operation_id="delete_analysis")
def delete_analysis(analysis_id: AnalysisPath, found: WithStores, caller: Submitter) -> None:
    """Delete a finished analysis and its report from the history."""
    if not found.jobs.delete(caller.tenant, analysis_id):
        status = existing(found, caller.tenant, analysis_id).status
        raise ProblemError("not_finished", f"the analysis is {status}; cancel it or wait before deleting it")
