"""The history of reports: the list, one report, and the baselines that name some of them."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import ValidationError

from contract.keys import Caller
from contract.schemas import ProblemError, Report
from contract.schemas.history import Baseline, BaselineRequest, ReportReference
from interlayer.render.html import report_body
from service.deps import Reader, Stores, Submitter, WithStores
from service.pages.answers import PageRoute, page, see_other
from service.pages.judging import judged, not_judged
from service.references import bytes_of, kept_report, report_of_analysis
from service.routes_analyses import AnalysisPath
from service.routes_baselines import delete_baseline, get_baseline_history, put_baseline
from service.routes_history import ReportPath, delete_report, list_reports

router = APIRouter(route_class=PageRoute)
_PAGE_LENGTH = 25
PolicyText = Annotated[str, Form(max_length=200_000)]
BaselineName = Annotated[str, Form(max_length=100)]
_SUFFIXES = (("html", "page"), ("json", "JSON"), ("md", "Markdown"), ("csv", "CSV of pairs"))


@router.get("/reports")
def reports(
    request: Request,
    found: WithStores,
    caller: Reader,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """List the baselines, and the reports that were sent or blessed, newest first."""
    baselines = found.baselines.list(caller.tenant)
    named: dict[str, list[str]] = {}
    for baseline in baselines:
        named.setdefault(baseline.report.id, []).append(baseline.name)
    shown = list_reports(found, caller, _PAGE_LENGTH, cursor)
    return page(
        request,
        "reports.html",
        caller,
        items=shown.items,
        next_cursor=shown.next_cursor,
        first=cursor is None,
        baselines=baselines,
        named=named,
    )


@router.get("/reports/{report_id}")
def stored_report(request: Request, report_id: ReportPath, found: WithStores, caller: Reader) -> Response:
    """Show a report of the history."""
    kept = kept_report(found, caller.tenant, report_id)
    return _report_page(request, found, caller, report_id, kept.sha256, analysis=kept.analysis, sent=True)


@router.get("/analyses/{analysis_id}/report")
def report_of(request: Request, analysis_id: AnalysisPath, found: WithStores, caller: Reader) -> Response:
    """Show the report of an analysis that has succeeded."""
    sha256 = report_of_analysis(found, caller.tenant, analysis_id)
    return _report_page(request, found, caller, analysis_id, sha256, analysis=analysis_id, sent=False)


def _report_page(
    request: Request,
    found: Stores,
    caller: Caller,
    reference: str,
    sha256: str,
    *,
    analysis: str | None,
    sent: bool,
    given: tuple[str, str] | None = None,
) -> Response:
    report = Report.model_validate_json(bytes_of(found, sha256))
    judgement = not_judged() if given is None else judged(found, caller.tenant, report, *given)
    baselines = found.baselines.list(caller.tenant)
    address = f"/v1/reports/{reference}" if sent else f"/v1/analyses/{reference}/report"
    return page(
        request,
        "report.html",
        caller,
        status_code=judgement.problem.status if judgement.problem else 200,
        judged=judgement,
        reference=reference,
        analysis=analysis if analysis and found.jobs.get(caller.tenant, analysis) else None,
        sent=sent,
        downloads=[(f"{address}.{suffix}", name) for suffix, name in _SUFFIXES],
        address=address,
        body=report_body(report, judgement.verdict),
        naming=[baseline for baseline in baselines if baseline.report.sha256 == sha256],
        names=[baseline.name for baseline in baselines],
    )


@router.post("/reports/{report_id}")
def judge_stored_report(
    request: Request,
    report_id: ReportPath,
    found: WithStores,
    caller: Reader,
    policy: PolicyText = "",
    baseline: BaselineName = "",
) -> Response:
    """Show a report of the history with what a policy says of it."""
    kept = kept_report(found, caller.tenant, report_id)
    given = (policy, baseline)
    return _report_page(request, found, caller, report_id, kept.sha256, analysis=kept.analysis, sent=True, given=given)


@router.post("/analyses/{analysis_id}/report")
def judge_report_of(
    request: Request,
    analysis_id: AnalysisPath,
    found: WithStores,
    caller: Reader,
    policy: PolicyText = "",
    baseline: BaselineName = "",
) -> Response:
    """Show the report of an analysis with what a policy says of it."""
    sha256 = report_of_analysis(found, caller.tenant, analysis_id)
    given = (policy, baseline)
    return _report_page(request, found, caller, analysis_id, sha256, analysis=analysis_id, sent=False, given=given)


@router.post("/reports/{report_id}/delete")
def delete(report_id: ReportPath, found: WithStores, caller: Submitter) -> Response:
    """Delete a report from the history."""
    delete_report(report_id, found, caller)
    return see_other("/reports")


@router.get("/baselines/{name}")
def baseline(request: Request, name: str, found: WithStores, caller: Reader) -> Response:
    """Show who let a name mean which report, when and why."""
    changes = get_baseline_history(name, found, caller)
    now = found.baselines.get(caller.tenant, name)
    there = {change.report for change in changes if change.report and found.reports.get(caller.tenant, change.report)}
    return page(request, "baseline.html", caller, name=name, now=now, changes=changes, there=there)


@router.post("/baselines")
def bless(
    request: Request,
    response: Response,
    found: WithStores,
    caller: Submitter,
    reference: Annotated[str, Form(max_length=200)] = "",
    name: Annotated[str, Form(max_length=400)] = "",
    note: Annotated[str, Form(max_length=4000)] = "",
    version: Annotated[int | None, Form()] = None,
) -> Response:
    """Let a name mean a report; of a name that means another one already, first ask whether that is intended."""
    body = _blessing(reference, name.strip(), " ".join(note.split()))
    now = found.baselines.get(caller.tenant, name.strip())
    if now is not None and version is None:
        return _confirm(request, caller, now, body, reference)
    known = None if version is None else f'"{version}"'
    put_baseline(name.strip(), body, found, caller, response, known, "*" if known is None else None)
    return see_other(f"/baselines/{name.strip()}")


def _confirm(request: Request, caller: Caller, now: Baseline, body: BaselineRequest, reference: str) -> Response:
    return page(request, "bless.html", caller, now=now, reference=reference, note=body.note)


def _blessing(reference: str, name: str, note: str) -> BaselineRequest:
    try:
        ReportReference(baseline=name)
    except ValidationError as error:
        raise ProblemError(
            "invalid_request",
            "a baseline is named by a letter or digit, then up to 99 letters, digits, dots, dashes and underscores",
        ) from error
    try:
        return BaselineRequest.model_validate({**ReportReference.parse(reference).model_dump(), "note": note})
    except ValidationError as error:
        said = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise ProblemError("invalid_request", f"this cannot be blessed: {said}") from error


@router.post("/baselines/{name}/delete")
def give_up(name: str, found: WithStores, caller: Submitter, version: Annotated[int, Form()]) -> Response:
    """Give a name up; its history stays."""
    delete_baseline(name, found, caller, f'"{version}"')
    return see_other("/reports")
