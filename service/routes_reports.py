"""The reports of analyses, as JSON and in every rendering of it."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from service import renderings
from service.deps import Reader, WithStores
from service.references import bytes_of, report_of_analysis
from service.routes_analyses import AnalysisPath

router = APIRouter(prefix="/v1/analyses/{analysis_id}", tags=["reports"])


@router.get(
    "/report", operation_id="get_report", response_class=Response, responses={200: {"content": renderings.CONTENT}}
)
def get_report(
    analysis_id: AnalysisPath, found: WithStores, caller: Reader, accept: Annotated[str, Header()] = "*/*"
) -> Response:
    """Return the report of a succeeded analysis: JSON, or what `Accept` prefers of its other forms."""
    return _answer(found, caller.tenant, analysis_id, renderings.preferred(accept))


@router.get(
    "/report.{extension}",
    operation_id="get_report_as",
    response_class=Response,
    responses={200: {"content": renderings.CONTENT}},
)
def get_report_as(analysis_id: AnalysisPath, extension: str, found: WithStores, caller: Reader) -> Response:
    """Return the report in the form that the extension names: json, html, md, csv, xml (JUnit) or sarif."""
    return _answer(found, caller.tenant, analysis_id, renderings.known(extension))


def _answer(found: WithStores, tenant: str, analysis_id: str, extension: str) -> Response:
    sha256 = report_of_analysis(found, tenant, analysis_id)
    return renderings.answer(bytes_of(found, sha256), extension, analysis_id)
