"""Every chart of a report as SVG and PNG, every table as CSV."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from contract.schemas import ProblemError, Report
from service.deps import Reader, Stores, WithStores
from service.references import bytes_of, report_of_analysis
from service.routes_analyses import AnalysisPath

router = APIRouter(prefix="/v1/analyses/{analysis_id}/report", tags=["reports"])
ChartPath = Literal["layers", "gap", "pairs", "scatter", "training"]
TablePath = Literal["pairs", "tests", "paper"]
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


@router.get("/charts", operation_id="list_charts")
def list_charts(analysis_id: AnalysisPath, found: WithStores, caller: Reader) -> list[OfferedChart]:
    """List the charts of a report: those of each network, one instance at one training step."""
    from interlayer.render.networks import networks
    from interlayer.render.svg import pictures

    report, _ = _read(found, caller.tenant, analysis_id)
    shown = networks(report)
    path = f"/v1/analyses/{analysis_id}/report/charts"
    return [
        OfferedChart(
            name=picture.name,
            network=picture.network,
            instance=shown[picture.network].instance,
            step=shown[picture.network].step,
            svg=f"{path}/{picture.name}.svg?network={picture.network}",
            png=f"{path}/{picture.name}.png?network={picture.network}",
        )
        for picture in pictures(report)
    ]


@router.get("/charts/{chart}.{extension}", operation_id="get_chart", response_class=Response, responses=_PICTURES)
def get_chart(
    analysis_id: AnalysisPath,
    chart: ChartPath,
    extension: Literal["svg", "png"],
    found: WithStores,
    caller: Reader,
    network: Annotated[int, Query(ge=0, lt=2**31, description="Which network, as `GET …/charts` numbers them.")] = 0,
    layer: Annotated[str | None, Query(max_length=512, description="Of charts that show one; the last.")] = None,
) -> Response:
    """Return a chart of a report. PNG is offered where the service has the extra `static`."""
    from interlayer.render.png import PngUnavailable, to_png
    from interlayer.render.svg import to_svg

    report, sha256 = _read(found, caller.tenant, analysis_id)
    try:
        svg = to_svg(report, chart, network=network, layer=layer)
        content = svg.encode() if extension == "svg" else to_png(svg)
    except PngUnavailable as error:
        raise ProblemError("rendering_unavailable", "this service draws no PNG; ask for .svg") from error
    except ValueError as error:
        raise ProblemError("not_found", str(error)) from error
    media_type = "image/svg+xml" if extension == "svg" else "image/png"
    etag = hashlib.sha256(f"{sha256} {chart} {network} {layer} {extension}".encode()).hexdigest()
    return _file(content, media_type, f"{analysis_id}-{chart}.{extension}", etag)


@router.get("/tables/{table}.csv", operation_id="get_table", response_class=Response, responses=_TABLES)
def get_table(analysis_id: AnalysisPath, table: TablePath, found: WithStores, caller: Reader) -> Response:
    """Return a table of a report: every pair value, every test result, or the tables in the paper's layout."""
    from interlayer.render.tables import contrasts_to_csv, paper_to_csv, to_csv

    report, sha256 = _read(found, caller.tenant, analysis_id)
    write: dict[TablePath, Callable[[Report], str]] = {
        "pairs": to_csv,
        "tests": contrasts_to_csv,
        "paper": paper_to_csv,
    }
    content = write[table](report).encode()
    return _file(content, "text/csv; charset=utf-8", f"{analysis_id}-{table}.csv", f"{sha256}-{table}")


def _read(found: Stores, tenant: str, analysis_id: str) -> tuple[Report, str]:
    sha256 = report_of_analysis(found, tenant, analysis_id)
    return Report.model_validate_json(bytes_of(found, sha256)), sha256


def _file(content: bytes, media_type: str, name: str, etag: str) -> Response:
    headers = {
        "ETag": f'"{etag}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'inline; filename="{name}"',
        # A picture that is opened by itself is a document: it gets to run and fetch nothing.
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    return Response(content, 200, headers, media_type)
