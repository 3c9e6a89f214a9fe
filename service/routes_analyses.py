"""Analyses: accept, watch, cancel, list."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterable
from datetime import timedelta
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi import Path as PathParameter
from fastapi.sse import EventSourceResponse, ServerSentEvent

from contract.artifacts import ID_PREFIX
from contract.jobs import FINAL, NewJob
from contract.keys import Caller
from contract.schemas import (
    Analysis,
    AnalysisPage,
    AnalysisRequest,
    AnalysisStatus,
    ProblemError,
)
from service.deps import Reader, Stores, Submitter, WithStores, require_unexpired
from service.estimate import estimated_seconds
from service.inputs import check_inputs
from service.pagination import decode_cursor, encode_cursor
from service.preferences import preferred_wait

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
    response: Response,
    found: WithStores,
    caller: Submitter,
    idempotency_key: Annotated[
        str | None, Header(description="The same key with the same body is the same analysis, however often sent.")
    ] = None,
    prefer: Annotated[str | None, Header(description="`wait=N` waits up to N seconds for the end.")] = None,
) -> Analysis:
    """Accept an analysis. Once this has answered, the analysis ends exactly once, whatever crashes."""
    _check_key(idempotency_key)
    return await _accept(body, response, found, caller, idempotency_key, preferred_wait(prefer))


async def _accept(
    body: AnalysisRequest, response: Response, found: Stores, caller: Caller, idempotency_key: str | None, wait: float
) -> Analysis:
    await run_sync(check_inputs, body, found, caller.tenant)
    await run_sync(_check_size, body, found, caller.tenant)
    request = body.model_dump(mode="json")
    job = NewJob(
        tenant=caller.tenant,
        kind="analysis",
        request=request,
        queue=_queue(body, found),
        fingerprint=hashlib.sha256(body.model_dump_json().encode()).hexdigest(),
        idempotency_key=idempotency_key,
        inputs=[artifact.removeprefix(ID_PREFIX) for artifact in body.artifacts],
        tags=body.tags,
    )
    limit = found.settings.limits_of(caller.tenant).max_unfinished_jobs or found.settings.max_unfinished_jobs
    analysis, new = await run_sync(lambda: found.jobs.submit(job, max_unfinished=limit))
    if not new:
        response.headers["Idempotent-Replayed"] = "true"
    analysis = await _finished(found, caller.tenant, analysis, wait)
    response.headers["Location"] = f"/v1/analyses/{analysis.id}"
    if analysis.status in FINAL:
        response.status_code = 200
    else:
        response.headers["Retry-After"] = "1"
    return analysis


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= 255 and key.isprintable() and key.isascii()):
        raise ProblemError("idempotency_key_invalid", "use 1 to 255 printable ASCII characters, a UUID for example")


def _check_size(body: AnalysisRequest, found: Stores, tenant: str) -> None:
    """Refuse what the tenant may not compute today, and what would hopelessly never end."""
    found.quotas.require_compute(tenant)
    known = [
        found.artifacts.get(tenant, item.artifact.removeprefix(ID_PREFIX)) for item in body.inputs if item.artifact
    ]
    inspections = [
        artifact.inspection for artifact in known if artifact is not None and artifact.inspection is not None
    ]
    seconds, limit = estimated_seconds(body, inspections), found.settings.max_estimated_seconds
    if seconds > limit:
        raise ProblemError(
            "job_too_large",
            f"this would take about {seconds / 3600:,.0f} hours, and at most {limit / 3600:,.0f} are accepted; "
            "analyse fewer rows per class, classes or layers (POST /v1/analyses:estimate tells what that saves)",
        )


def _queue(body: AnalysisRequest, found: Stores) -> str:
    if found.settings.model_queue and any(item.model is not None for item in body.inputs):
        return found.settings.model_queue
    if body.device != "cuda":
        return "cpu"  # workers with a GPU serve this queue too
    if "gpu" not in found.settings.queue_names():
        raise ProblemError("device_unavailable", "no worker of this service has a GPU; ask for device 'auto' or 'cpu'")
    return "gpu"


async def _finished(found: Stores, tenant: str, analysis: Analysis, wait: float) -> Analysis:
    """Return the analysis as soon as it is final, at the latest after `wait` seconds."""
    end = time.monotonic() + wait
    while analysis.status not in FINAL and time.monotonic() < end:
        await asyncio.sleep(_LOOK_SECONDS)
        analysis = await run_sync(_get, found, tenant, analysis.id)
    return analysis


def _get(found: Stores, tenant: str, analysis_id: str) -> Analysis:
    analysis = found.jobs.get(tenant, analysis_id)
    if analysis is None:
        require_unexpired(found, tenant, analysis_id)
        raise ProblemError("not_found", f"there is no analysis {analysis_id}")
    seconds = found.settings.job_seconds
    if seconds is None or analysis.finished_at is None:
        return analysis
    return analysis.model_copy(update={"expires_at": analysis.finished_at + timedelta(seconds=seconds)})


@router.get("", operation_id="list_analyses")
def list_analyses(
    found: WithStores,
    caller: Reader,
    status: AnalysisStatus | None = None,
    tag: Annotated[str | None, Query(description="`name:value`", max_length=400, pattern=_TAG)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> AnalysisPage:
    """List analyses, newest first."""
    name, _, value = (tag or "").partition(":")
    items = found.jobs.newest(
        caller.tenant,
        limit=limit + 1,
        before=None if cursor is None else decode_cursor(cursor),
        status=status,
        tag=None if tag is None else (name, value),
    )
    more = len(items) > limit
    return AnalysisPage(items=items[:limit], next_cursor=encode_cursor(items[limit - 1].id) if more else None)


@router.get("/{analysis_id}", operation_id="get_analysis")
async def get_analysis(analysis_id: AnalysisPath, found: WithStores, caller: Reader, wait: Wait = 0) -> Analysis:
    """Tell how an analysis is doing; with `wait`, answer when it has ended or the time is over."""
    return await _finished(found, caller.tenant, await run_sync(_get, found, caller.tenant, analysis_id), wait)


def _existing(analysis_id: AnalysisPath, found: WithStores, caller: Reader) -> Analysis:
    # Once a stream has begun there is no way to answer 404.
    return _get(found, caller.tenant, analysis_id)


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
async def retry_analysis(
    analysis_id: AnalysisPath, response: Response, found: WithStores, caller: Submitter
) -> Analysis:
    """Try again what failed or was canceled, as a new analysis. However often this is asked, one is made."""
    status = (await run_sync(_get, found, caller.tenant, analysis_id)).status
    if status == "succeeded":
        raise ProblemError("already_finished", "the analysis has succeeded; there is nothing to try again")
    if status not in FINAL:
        raise ProblemError("not_finished", f"the analysis is {status}; only one that has ended can be tried again")
    request = await run_sync(found.jobs.request, caller.tenant, analysis_id)
    # No client can send a key with a line feed, so this one is ours alone.
    key = f"retry\n{analysis_id}"
    return await _accept(AnalysisRequest.model_validate(request), response, found, caller, key, 0.0)


@router.delete("/{analysis_id}", status_code=204, operation_id="delete_analysis")
def delete_analysis(analysis_id: AnalysisPath, found: WithStores, caller: Submitter) -> None:
    """Delete a finished analysis and its report from the history."""
    if not found.jobs.delete(caller.tenant, analysis_id):
        status = _get(found, caller.tenant, analysis_id).status
        raise ProblemError("not_finished", f"the analysis is {status}; cancel it or wait before deleting it")
