"""Reports, as JSON and in every rendering of it."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Response

from contract.schemas import ProblemError, Report
from service.deps import Reader, WithStores
from service.routes_analyses import AnalysisPath

router = APIRouter(prefix="/v1/analyses/{analysis_id}", tags=["reports"])
_JSON = "application/json"
_MEDIA_TYPES = {"json": _JSON, "html": "text/html", "md": "text/markdown", "csv": "text/csv"}
_CONTENT: dict[str, dict[str, str]] = {media_type: {} for media_type in _MEDIA_TYPES.values()}


@router.get("/report", operation_id="get_report", response_class=Response, responses={200: {"content": _CONTENT}})
def get_report(
    analysis_id: AnalysisPath, found: WithStores, caller: Reader, accept: Annotated[str, Header()] = "*/*"
) -> Response:
    """Return the report of a succeeded analysis: JSON, or what `Accept` prefers of HTML, Markdown and CSV."""
    return _answer(found, caller.tenant, analysis_id, _negotiate(accept))


@router.get(
    "/report.{extension}", operation_id="get_report_as", response_class=Response, responses={200: {"content": _CONTENT}}
)
def get_report_as(analysis_id: AnalysisPath, extension: str, found: WithStores, caller: Reader) -> Response:
    """Return the report in the form that the extension names: json, html, md or csv."""
    if extension not in _MEDIA_TYPES:
        raise ProblemError("not_acceptable", f"there is no {extension!r} report; there are {', '.join(_MEDIA_TYPES)}")
    return _answer(found, caller.tenant, analysis_id, extension)


def _negotiate(accept: str) -> str:
    """Return the extension of the representation that `Accept` (RFC 9110) prefers."""
    ranges = [_media_range(item) for item in accept.split(",") if item.strip()] or [(1.0, "*/*")]
    preferences = {extension: _preference(offered, ranges) for extension, offered in _MEDIA_TYPES.items()}
    best = max(preferences, key=lambda extension: preferences[extension])
    if preferences[best][0] == 0:
        raise ProblemError("not_acceptable", f"there is {', '.join(_MEDIA_TYPES.values())}")
    return best


def _preference(offered: str, ranges: Sequence[tuple[float, str]]) -> tuple[float, int]:
    """Return the quality that the most specific fitting range gives to a media type, and how specific that is."""
    found = (0.0, 0)
    for specificity, wanted in enumerate(("*/*", offered.partition("/")[0] + "/*", offered)):
        for quality, media_type in ranges:
            if media_type == wanted:
                found = (quality, specificity)
    return found


def _media_range(item: str) -> tuple[float, str]:
    media_type, *parameters = (part.strip() for part in item.lower().split(";"))
    for parameter in parameters:
        if match := re.fullmatch(r"q=([01](?:\.\d{0,3})?)", parameter):
            return float(match[1]), media_type
    return 1.0, media_type


def _answer(found: WithStores, tenant: str, analysis_id: str, extension: str) -> Response:
    analysis = found.jobs.get(tenant, analysis_id)
    if analysis is None:
        raise ProblemError("not_found", f"there is no analysis {analysis_id}")
    if analysis.status == "failed":
        detail = analysis.error.detail if analysis.error else "the status says why"
        raise ProblemError("analysis_failed", f"there is no report: {detail}")
    if analysis.status == "canceled":
        raise ProblemError("analysis_canceled", "there is no report: the analysis was canceled")
    sha256 = found.jobs.report_sha256(tenant, analysis_id)
    if sha256 is None:
        raise ProblemError("not_finished", f"the analysis is {analysis.status}; wait with GET …/{analysis_id}?wait=60")
    content = found.blobs.report(sha256).read_bytes()
    if extension != "json":
        content = _renderer(extension)(Report.model_validate_json(content)).encode()
    media_type = _MEDIA_TYPES[extension]
    disposition = "inline" if extension == "html" else "attachment"
    headers = {
        "ETag": f'"{sha256}-{extension}"',
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'{disposition}; filename="{analysis_id}.{extension}"',
    }
    if extension == "html":
        headers["Content-Security-Policy"] = "sandbox allow-scripts"  # its own policy is inside; this isolates it
    charset = "" if extension == "json" else "; charset=utf-8"
    return Response(content, 200, headers, media_type + charset)


def _renderer(extension: str) -> Callable[[Report], str]:
    if extension == "html":
        from interlayer.render.html import to_html

        return to_html
    from interlayer.render.tables import to_csv, to_markdown

    return to_markdown if extension == "md" else to_csv
