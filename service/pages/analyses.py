"""The list of analyses, and one analysis while it runs and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request, Response

from contract.jobs import FINAL
from contract.keys import Caller
from contract.schemas import Analysis, AnalysisStatus, Report, Separation
from interlayer.render.overview import overview
from service.analyses import accept_again, existing, newest
from service.deps import Reader, Stores, Submitter, WithStores
from service.pages.answers import PageRoute, page, see_other
from service.references import bytes_of, report_of_analysis
from service.routes_analyses import (
    AnalysisPath,
    cancel_analysis,
    delete_analysis,
)
from service.routes_layers import get_layers

router = APIRouter(route_class=PageRoute)
_PAGE_LENGTH = 25
_STAGES = ("waiting", "measuring layers", "testing", "report")
_LEAST_FRACTION = 0.03  # below it, a guess of the time left would be noise


@router.get("/")
def analyses(
    request: Request,
    found: WithStores,
    caller: Reader,
    status: Annotated[str, Query(max_length=20)] = "",
    tag: Annotated[str, Query(max_length=400)] = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List analyses, newest first."""
    statuses: tuple[AnalysisStatus, ...] = get_args(AnalysisStatus)
    wanted = next((name for name in statuses if name == status), None)  # a filter that fits nothing filters nothing
    tagged = tag if ":" in tag else None
    shown = newest(found, caller.tenant, _PAGE_LENGTH, status=wanted, tag=tagged, cursor=cursor)
    return page(
        request,
        "analyses.html",
        caller,
        items=shown.items,
        next_cursor=shown.next_cursor,
        first=cursor is None,
        statuses=statuses,
        status=status,
        tag=tag,
        unfinished=any(item.status not in FINAL for item in shown.items),
    )


@dataclass(frozen=True)
class Stage:
    """One step of an analysis, as its page shows it."""

    name: str
    done: bool
    current: bool


@router.get("/analyses/{analysis_id}")
def analysis(request: Request, analysis_id: AnalysisPath, found: WithStores, caller: Reader) -> Response:
    """Show an analysis: how far it is, the layers finished so far, and what was found once it has ended."""
    item = existing(found, caller.tenant, analysis_id)
    separations = [] if item.status == "succeeded" else get_layers(analysis_id, found, caller).separations
    report = _report(found, caller, item)
    return page(
        request,
        "analysis.html",
        caller,
        item=item,
        stages=_stages(item),
        left=_seconds_left(item),
        ahead=found.unfinished.ahead(caller.tenant, analysis_id),
        picture=overview(report.layers, report.separations) if report else overview(_names(separations), separations),
        n_finished=len(separations),
        report=report,
        final=item.status in FINAL,
    )


def _names(separations: Sequence[Separation]) -> list[str]:
    return list(dict.fromkeys(part.layer for part in separations))


def _report(found: Stores, caller: Caller, item: Analysis) -> Report | None:
    if item.status != "succeeded":
        return None
    return Report.model_validate_json(bytes_of(found, report_of_analysis(found, caller.tenant, item.id)))


def _stages(item: Analysis) -> list[Stage]:
    testing = item.progress.stage == "tests" or "training against validation" in item.progress.stage
    at = {"queued": 0, "succeeded": len(_STAGES)}.get(item.status, 2 if testing else 1)
    return [Stage(name, index < at, index == at and item.status not in FINAL) for index, name in enumerate(_STAGES)]


def _seconds_left(item: Analysis) -> float | None:
    """Guess the time left from the time spent: progress is in shares of the work."""
    fraction = item.progress.fraction
    if item.status != "running" or item.started_at is None or fraction < _LEAST_FRACTION:
        return None
    return (datetime.now(UTC) - item.started_at).total_seconds() * (1 - fraction) / fraction


@router.post("/analyses/{analysis_id}/cancel")
def cancel(analysis_id: AnalysisPath, found: WithStores, caller: Submitter) -> Response:
    """Cancel an analysis."""
    cancel_analysis(analysis_id, found, caller)
    return see_other(f"/analyses/{analysis_id}")


@router.post("/analyses/{analysis_id}/retry")
def retry(analysis_id: AnalysisPath, found: WithStores, caller: Submitter) -> Response:
    """Try again what failed or was canceled, and show the analysis that does."""
    again, _ = accept_again(analysis_id, found, caller)
    return see_other(f"/analyses/{again.id}")


@router.post("/analyses/{analysis_id}/delete")
def delete(analysis_id: AnalysisPath, found: WithStores, caller: Submitter) -> Response:
    """Delete an analysis that has ended."""
    delete_analysis(analysis_id, found, caller)
    return see_other("/")
