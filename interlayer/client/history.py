"""Every call about reports: those of analyses, those of the history, baselines, and comparisons."""

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from contract.schemas import Report
from contract.schemas.comparison import Comparison
from contract.schemas.history import (
    Baseline,
    BaselineChange,
    ReportReference,
    StoredReport,
    StoredReportPage,
)
from interlayer.client.flow import (
    JSON,
    Call,
    Flow,
    Work,
    answered,
    content,
    done,
    json_body,
    page,
    resource,
    resources,
)
from interlayer.errors import AnalysisFailed, RequestRefused, UsageError

Reference = ReportReference | str
"""A report: a `ReportReference`, or the text that `ReportReference.parse` understands."""


# -- reports ----------------------------------------------------------------------------------------------------------


def report(reference: Reference) -> Flow[Report]:
    """Return a report, by the id of its analysis, its own id, or the name of a baseline.

    Raises
    ------
    AnalysisFailed
        If the analysis ended without one.
    """
    return Report.model_validate_json((yield from report_as(reference, "json")))


def report_as(reference: Reference, extension: str) -> Flow[bytes]:
    """Return a report as `json`, `html`, `md`, `csv` or another form that the service has."""
    return (yield from _of_report(reference, f".{extension}"))


def chart(reference: Reference, name: str, extension: str = "svg") -> Flow[bytes]:
    """Return a picture of a report, as `svg` or `png`; a name that does not exist is answered with those that do."""
    return (yield from _of_report(reference, f"/charts/{name}.{extension}"))


def table(reference: Reference, name: str) -> Flow[bytes]:
    """Return a table of a report as CSV; a name that does not exist is answered with those that do."""
    return (yield from _of_report(reference, f"/tables/{name}.csv"))


def _of_report(reference: Reference, what: str) -> Flow[bytes]:
    named = meant(reference)
    if named.analysis is not None:
        path = f"/v1/analyses/{named.analysis}/report"
    elif named.report is not None:
        path = f"/v1/reports/{named.report}"
    else:
        assert named.baseline is not None, "the schema demands one of three"
        path = f"/v1/reports/{(yield from baseline(named.baseline)).report.id}"
    try:
        return (yield from content(Call("GET", f"{path}{what}")))
    except RequestRefused as error:
        if error.problem.code in ("analysis_failed", "analysis_canceled"):
            raise AnalysisFailed(error.problem) from error
        raise


def push_report(source: Report | Path | str) -> Flow[StoredReport]:
    """Add a report made elsewhere, or its file, to the history; only the report is sent, never activations."""
    if isinstance(source, Report):
        body = source.to_bytes()
    else:
        body = yield Work(Path(source).read_bytes)
    return (yield from resource(Call("POST", "/v1/reports", headers=JSON, content=body), StoredReport))


def reports(*, limit: int = 50, cursor: str | None = None) -> Flow[StoredReportPage]:
    """List the reports that were pushed or blessed, newest first."""
    return resource(Call("GET", "/v1/reports", params=page(limit, cursor)), StoredReportPage)


def delete_report(report_id: str) -> Flow[None]:
    """Delete a report from the history, unless a baseline names it."""
    return done(Call("DELETE", f"/v1/reports/{report_id}"))


def meant(reference: Reference) -> ReportReference:
    """Return which report a text means.

    Raises
    ------
    UsageError
        It cannot mean one.
    """
    if isinstance(reference, ReportReference):
        return reference
    try:
        return ReportReference.parse(reference)
    except ValidationError as error:
        kinds = "the id of an analysis (an_…) or of a report (rp_…), nor a name that a baseline can have"
        raise UsageError(f"{reference!r} is neither {kinds}") from error


# -- baselines --------------------------------------------------------------------------------------------------------


def baselines() -> Flow[list[Baseline]]:
    """List the baselines by name."""
    return resources(Call("GET", "/v1/baselines"), Baseline)


def baseline(name: str) -> Flow[Baseline]:
    """Tell which report a baseline names."""
    return resource(Call("GET", f"/v1/baselines/{name}"), Baseline)


def baseline_history(name: str) -> Flow[list[BaselineChange]]:
    """Tell who let a baseline name which report, when and why, newest first."""
    return resources(Call("GET", f"/v1/baselines/{name}/history"), BaselineChange)


def bless(
    name: str, reference: Reference, *, note: str = "", version: int | Literal["new"] | None = None
) -> Flow[Baseline]:
    """Let a baseline name a report from now on.

    `version` is what you know the baseline to be, `"new"` where there must be none yet; by default whatever it is at
    this moment.

    Raises
    ------
    RequestRefused
        `baseline_changed` where the baseline is not what it should be: somebody else was quicker.
    """
    if version is None:
        known = yield from answered(Call("GET", f"/v1/baselines/{name}", allowed=(404,)))
        version = Baseline.model_validate_json(known.content).version if known.status_code == 200 else "new"
    condition = {"If-None-Match": "*"} if version == "new" else {"If-Match": f'"{version}"'}
    body = meant(reference).model_dump(exclude_none=True) | {"note": note}
    # Not repeatable: the second would find the version changed by the first, and report somebody else at work.
    call = Call("PUT", f"/v1/baselines/{name}", headers=JSON | condition, content=json_body(body), repeatable=False)
    return (yield from resource(call, Baseline))


def delete_baseline(name: str, *, version: int | None = None) -> Flow[None]:
    """Give the name of a baseline up, at a version of it or whatever it is; its history stays."""
    condition = {"If-Match": "*" if version is None else f'"{version}"'}
    return done(Call("DELETE", f"/v1/baselines/{name}", headers=condition, repeatable=False))


def compare(base: Reference, candidate: Reference) -> Flow[Comparison]:
    """Tell how the second report has changed from the first; look at `comparable` and `differences` before all else."""
    body = {"base": meant(base), "candidate": meant(candidate)}
    content = json_body({name: reference.model_dump(exclude_none=True) for name, reference in body.items()})
    return resource(Call("POST", "/v1/comparisons", headers=JSON, content=content), Comparison)
