"""The history of reports: those that were made elsewhere join it without their activations leaving home."""

import errno
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.requests import ClientDisconnect

from contract.keys import Caller
from contract.schemas import ProblemError
from contract.schemas.history import StoredReport, StoredReportPage
from contract.schemas.reading import read_report
from service import renderings
from service.deps import Reader, Stores, Submitter, WithStores
from service.pagination import decode_cursor, encode_cursor
from service.references import bytes_of, kept_report

router = APIRouter(prefix="/v1/reports", tags=["history"])
ReportPath = Annotated[str, Path(pattern=r"^rp_[0-9a-f]{30}$", examples=["rp_0006440d1f4a3c5b8e2f1a9d7c6b4e"])]
_BODY = {"content": {"application/json": {"schema": {"type": "object", "description": "A report, schema 1.x."}}}}


@router.post(
    "",
    status_code=201,
    response_model=StoredReport,
    operation_id="push_report",
    openapi_extra={"requestBody": {"required": True, **_BODY}},
    responses={200: {"model": StoredReport, "description": "The same bytes are in the history already"}},
)
async def push_report(request: Request, response: Response, found: WithStores, caller: Submitter) -> StoredReport:
    """Add a report that `interlayer analyze` made. Only the report is sent: the activations stay where they are."""
    limit = found.settings.max_report_bytes
    declared = int(request.headers.get("content-length", 0))
    if declared <= limit:
        await run_sync(found.uploads.require_room, caller.tenant, declared)
    content = await _body(request, limit)
    stored, new = await run_sync(_keep, found, caller, content)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/reports/{stored.id}"
    return stored


async def _body(request: Request, limit: int) -> bytes:
    if "json" not in request.headers.get("content-type", "").lower():
        raise ProblemError("unsupported_media_type", "send the report as application/json")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise ProblemError("unsupported_media_type", "send the report itself, without Content-Encoding")
    refusal = ProblemError("report_too_large", f"the report is larger than {limit} bytes; analyse fewer layers")
    if int(request.headers.get("content-length", 0)) > limit:
        raise refusal
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise refusal
    except ClientDisconnect as error:
        raise ProblemError("upload_incomplete", "the connection closed before the end of the report") from error
    return bytes(body)


def _keep(found: Stores, caller: Caller, content: bytes) -> tuple[StoredReport, bool]:
    report = read_report(content)
    found.uploads.require_room(caller.tenant, len(content))  # a body in chunks declares no length
    try:
        sha256 = found.blobs.put_report(content)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ProblemError("insufficient_storage", "the disk is full; nothing was kept") from error
    return found.reports.add(
        caller.tenant,
        caller.key_id,
        sha256,
        len(content),
        report,
        admit=lambda connection: found.quotas.hold_bytes(connection, caller.tenant, len(content)),
    )


@router.get("", operation_id="list_reports")
def list_reports(
    found: WithStores,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> StoredReportPage:
    """List the reports that were sent or blessed, newest first."""
    before = None if cursor is None else decode_cursor(cursor)
    items = found.reports.newest(caller.tenant, limit=limit + 1, before=before)
    more = len(items) > limit
    return StoredReportPage(items=items[:limit], next_cursor=encode_cursor(items[limit - 1].id) if more else None)


# Before the route without an extension, whose pattern would take the dot for a part of the id.
@router.get(
    "/{report_id}.{extension}",
    operation_id="get_stored_report_as",
    response_class=Response,
    responses={200: {"content": renderings.CONTENT}},
)
def get_stored_report_as(report_id: ReportPath, extension: str, found: WithStores, caller: Reader) -> Response:
    """Return a report of the history in the form that the extension names, as those of analyses."""
    return _answer(found, caller.tenant, report_id, renderings.known(extension))


@router.get(
    "/{report_id}",
    operation_id="get_stored_report",
    response_class=Response,
    responses={200: {"content": renderings.CONTENT}},
)
def get_stored_report(
    report_id: ReportPath, found: WithStores, caller: Reader, accept: Annotated[str, Header()] = "*/*"
) -> Response:
    """Return a report of the history: JSON, or what `Accept` prefers of its other forms."""
    return _answer(found, caller.tenant, report_id, renderings.preferred(accept))


def _answer(found: Stores, tenant: str, report_id: str, extension: str) -> Response:
    sha256 = kept_report(found, tenant, report_id).sha256
    return renderings.answer(bytes_of(found, sha256), extension, report_id)


@router.delete("/{report_id}", status_code=204, operation_id="delete_report")
def delete_report(report_id: ReportPath, found: WithStores, caller: Submitter) -> None:
    """Delete a report from the history, unless a baseline names it."""
    outcome = found.reports.delete(caller.tenant, report_id)
    if outcome is False:
        raise ProblemError("not_found", f"there is no report {report_id}")
    if isinstance(outcome, str):
        raise ProblemError(
            "report_blessed", f"the baseline {outcome!r} names {report_id}; bless another report or delete the baseline"
        )
