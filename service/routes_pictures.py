"""Every chart of a report as SVG and PNG, every table as CSV."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from contract.schemas import ProblemError, Report
from service.deps import Reader, Stores, WithStores
from service.references import bytes_of, kept_report, report_of_analysis
from service.routes_analyses import AnalysisPath
from service.routes_history import ReportPath

_made = APIRouter(prefix="/v1/analyses/{analysis_id}/report", tags=["reports"])
_kept = APIRouter(prefix="/v1/reports/{report_id}", tags=["history"])
ChartPath = Literal["layers", "gap", "pairs", "scatter", "training"]
TablePath = Literal["pairs", "tests", "paper"]
PictureForm = Literal["svg", "png"]
NetworkQuery = Annotated[int, Query(ge=0, lt=2**31, description="Which network, as `GET …/charts` numbers them.")]
LayerQuery = Annotated[str | None, Query(max_length=512, description="Of charts that show one; the last.")]
_PICTURES: dict[int | str, dict[str, Any]] = {200: {"content": {"image/svg+xml": {}, "image/png": {}}}}
_TABLES: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}}}


class OfferedChart(BaseModel):
    """A chart that a report has something for."""

    name: ChartPath
    network: int
    instance: str
    step: int | None
    svg: str
    png: str


@_made.get("/charts", operation_id="list_charts")
def list_charts(analysis_id: AnalysisPath, found: WithStores, caller: Reader) -> list[OfferedChart]:
    """List the charts of a report: those of each network, one instance at one training step."""
    return _charts(_of_analysis(found, caller.tenant, analysis_id), f"/v1/analyses/{analysis_id}/report/charts")


@_kept.get("/charts", operation_id="list_stored_charts")
def list_stored_charts(report_id: ReportPath, found: WithStores, caller: Reader) -> list[OfferedChart]:
    """List the charts of a report of the history."""
    return _charts(_of_history(found, caller.tenant, report_id), f"/v1/reports/{report_id}/charts")


@_made.get("/charts/{chart}.{extension}", operation_id="get_chart", response_class=Response, responses=_PICTURES)
def get_chart(
    analysis_id: AnalysisPath,
    chart: ChartPath,
    extension: PictureForm,
    found: WithStores,
    caller: Reader,
    network: NetworkQuery = 0,
    layer: LayerQuery = None,
) -> Response:
    """Return a chart of a report. PNG is offered where the service has the extra `static`."""
    return _chart(_of_analysis(found, caller.tenant, analysis_id), chart, extension, network, layer)


@_kept.get("/charts/{chart}.{extension}", operation_id="get_stored_chart", response_class=Response, responses=_PICTURES)
def get_stored_chart(
    report_id: ReportPath,
    chart: ChartPath,
    extension: PictureForm,
    found: WithStores,
    caller: Reader,
    network: NetworkQuery = 0,
    layer: LayerQuery = None,
) -> Response:
    """Return a chart of a report of the history, as those of analyses."""
    return _chart(_of_history(found, caller.tenant, report_id), chart, extension, network, layer)


@_made.get("/tables/{table}.csv", operation_id="get_table", response_class=Response, responses=_TABLES)
def get_table(analysis_id: AnalysisPath, table: TablePath, found: WithStores, caller: Reader) -> Response:
    """Return a table of a report: every pair value, every test result, or the tables in the paper's layout."""
    return _table(_of_analysis(found, caller.tenant, analysis_id), table)


@_kept.get("/tables/{table}.csv", operation_id="get_stored_table", response_class=Response, responses=_TABLES)
def get_stored_table(report_id: ReportPath, table: TablePath, found: WithStores, caller: Reader) -> Response:
    """Return a table of a report of the history, as those of analyses."""
    return _table(_of_history(found, caller.tenant, report_id), table)


@dataclass(frozen=True)
class _Read:
    """A report, what it was asked for by, and the address of its bytes."""

    report: Report
    asked: str


def _of_analysis(found: Stores, tenant: str, analysis_id: str) -> _Read:
    sha256 = report_of_analysis(found, tenant, analysis_id)
    return _Read(Report.model_validate_json(bytes_of(found, sha256)), analysis_id)


def _of_history(found: Stores, tenant: str, report_id: str) -> _Read:
    sha256 = kept_report(found, tenant, report_id).sha256
    return _Read(Report.model_validate_json(bytes_of(found, sha256)), report_id)


def _charts(read: _Read, path: str) -> list[OfferedChart]:
    from interlayer.render.networks import networks
    from interlayer.render.svg import pictures

    shown = networks(read.report)
    return [
        OfferedChart(
            name=picture.name,
            network=picture.network,
            instance=shown[picture.network].instance,
            step=shown[picture.network].step,
            svg=f"{path}/{picture.name}.svg?network={picture.network}",
            png=f"{path}/{picture.name}.png?network={picture.network}",
        )
        for picture in pictures(read.report)
    ]


def _chart(read: _Read, chart: ChartPath, extension: PictureForm, network: int, layer: str | None) -> Response:
    from interlayer.render.png import PngUnavailable, to_png
    from interlayer.render.svg import to_svg

    try:
        svg = to_svg(read.report, chart, network=network, layer=layer)
        content = svg.encode() if extension == "svg" else to_png(svg)
    except PngUnavailable as error:
        raise ProblemError("rendering_unavailable", "this service draws no PNG; ask for .svg") from error
    except ValueError as error:
        raise ProblemError("not_found", str(error)) from error
    media_type = "image/svg+xml" if extension == "svg" else "image/png"
    return _file(content, media_type, f"{read.asked}-{chart}.{extension}")


def _table(read: _Read, table: TablePath) -> Response:
    from interlayer.render.tables import contrasts_to_csv, paper_to_csv, to_csv

    write: dict[TablePath, Callable[[Report], str]] = {
        "pairs": to_csv,
        "tests": contrasts_to_csv,
        "paper": paper_to_csv,
    }
    content = write[table](read.report).encode()
    return _file(content, "text/csv; charset=utf-8", f"{read.asked}-{table}.csv")


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {
        "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'inline; filename="{name}"',
        # A picture that is opened by itself is a document: it gets to run and fetch nothing.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    return Response(content, 200, headers, media_type)


router = APIRouter()
router.include_router(_made)
router.include_router(_kept)
