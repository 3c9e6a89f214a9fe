"""Every call of the service but uploads, as a flow."""

import json
import math
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from contract.schemas import (
    Analysis,
    AnalysisPage,
    AnalysisRequest,
    Artifact,
    AuditPage,
    Estimate,
    FinishedLayers,
    Key,
    NewKey,
    Report,
    Scope,
)
from contract.schemas.comparison import Comparison
from contract.schemas.history import (
    Baseline,
    BaselineChange,
    ReportReference,
    StoredReport,
    StoredReportPage,
)
from contract.schemas.offer import Offer
from interlayer.client.flow import JSON, Call, Flow, Pause, Work, answered, content, done, resource, resources
from interlayer.errors import AnalysisFailed, RequestRefused, TimedOut

FINAL = ("succeeded", "failed", "canceled")
_LONGEST_WAIT_SECONDS = 30.0
_PROGRESS_SECONDS = 0.5

Reference = ReportReference | str
"""A report: a `ReportReference`, or the text that `ReportReference.parse` understands."""


def _body(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _page(limit: int, cursor: str | None) -> dict[str, str | int | float]:
    return {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}


# -- artifacts --------------------------------------------------------------------------------------------------------


def artifact(artifact_id: str) -> Flow[Artifact]:
    """Describe an uploaded file."""
    return resource(Call("GET", f"/v1/artifacts/{artifact_id}"), Artifact)


def delete_artifact(artifact_id: str) -> Flow[None]:
    """Delete an uploaded file that no unfinished analysis reads."""
    return done(Call("DELETE", f"/v1/artifacts/{artifact_id}"))


# -- analyses ---------------------------------------------------------------------------------------------------------


def submit(request: AnalysisRequest, *, idempotency_key: str | None = None) -> Flow[Analysis]:
    """Submit an analysis. With an idempotency key of your own, a repeated call finds the same analysis."""
    headers = JSON | {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    return resource(Call("POST", "/v1/analyses", headers=headers, content=request.model_dump_json().encode()), Analysis)


def estimate(request: AnalysisRequest, *, timeout: float = 60.0) -> Flow[Estimate]:
    """Say what an analysis would take, without starting it; files sent a moment ago are waited for.

    Raises
    ------
    TimedOut
        No worker has looked into a file after `timeout` seconds.
    """
    end = time.monotonic() + timeout
    while True:
        left = max(0.0, end - time.monotonic())
        headers = JSON | {"Prefer": f"wait={math.ceil(min(_LONGEST_WAIT_SECONDS, left))}"}
        call = Call("POST", "/v1/analyses:estimate", headers=headers, content=request.model_dump_json().encode())
        try:
            return (yield from resource(call, Estimate))
        except RequestRefused as error:
            if error.problem.code != "not_finished":
                raise
            if left <= 0:
                raise TimedOut(f"no worker has looked into the files after {timeout:g} s; is one running?") from error
        yield Pause(_PROGRESS_SECONDS)


def status(analysis_id: str, *, wait: float = 0) -> Flow[Analysis]:
    """Tell how an analysis is doing, after up to `wait` seconds if it has not ended before."""
    return resource(Call("GET", f"/v1/analyses/{analysis_id}", params={"wait": wait}), Analysis)


def analyses(*, limit: int = 50, **filters: str) -> Flow[AnalysisPage]:
    """List analyses, newest first; filters are `status`, `tag` and `cursor`."""
    return resource(Call("GET", "/v1/analyses", params={"limit": limit, **filters}), AnalysisPage)


def wait(
    analysis_id: str, *, timeout: float | None = None, on_progress: Callable[[Analysis], None] | None = None
) -> Flow[Analysis]:
    """Return the analysis once it has ended, in whatever way; `on_progress` is called with it whenever it changes.

    Raises
    ------
    TimedOut
        After `timeout` seconds. The analysis goes on.
    """
    end = None if timeout is None else time.monotonic() + timeout
    longest, seen = (_LONGEST_WAIT_SECONDS if on_progress is None else _PROGRESS_SECONDS), None
    while True:
        left = longest if end is None else max(0.0, end - time.monotonic())
        found = yield from status(analysis_id, wait=round(min(longest, left), 3))
        if on_progress is not None and found != seen:
            on_progress(found)
        seen = found
        if found.status in FINAL:
            return found
        if left <= 0:
            raise TimedOut(f"{analysis_id} has not ended after {timeout:g} s; it goes on, see `interlayer status`")


def cancel(analysis_id: str) -> Flow[Analysis]:
    """Cancel an analysis."""
    return resource(Call("POST", f"/v1/analyses/{analysis_id}/cancel"), Analysis)


def retry(analysis_id: str) -> Flow[Analysis]:
    """Try an analysis again that failed or was canceled, as a new one; asked again, it is the same new one."""
    return resource(Call("POST", f"/v1/analyses/{analysis_id}/retry"), Analysis)


def layers(analysis_id: str) -> Flow[FinishedLayers]:
    """Return the separations of the layers finished so far."""
    return resource(Call("GET", f"/v1/analyses/{analysis_id}/layers"), FinishedLayers)


def delete_analysis(analysis_id: str) -> Flow[None]:
    """Delete a finished analysis from the history."""
    return done(Call("DELETE", f"/v1/analyses/{analysis_id}"))


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
    meant = _meant(reference)
    if meant.analysis is not None:
        path = f"/v1/analyses/{meant.analysis}/report"
    elif meant.report is not None:
        path = f"/v1/reports/{meant.report}"
    else:
        assert meant.baseline is not None, "the schema demands one of three"
        path = f"/v1/reports/{(yield from baseline(meant.baseline)).report.id}"
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
    return resource(Call("GET", "/v1/reports", params=_page(limit, cursor)), StoredReportPage)


def delete_report(report_id: str) -> Flow[None]:
    """Delete a report from the history, unless a baseline names it."""
    return done(Call("DELETE", f"/v1/reports/{report_id}"))


def _meant(reference: Reference) -> ReportReference:
    return ReportReference.parse(reference) if isinstance(reference, str) else reference


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
    body = _meant(reference).model_dump(exclude_none=True) | {"note": note}
    # Not repeatable: the second would find the version changed by the first, and report somebody else at work.
    call = Call("PUT", f"/v1/baselines/{name}", headers=JSON | condition, content=_body(body), repeatable=False)
    return (yield from resource(call, Baseline))


def delete_baseline(name: str, *, version: int | None = None) -> Flow[None]:
    """Give the name of a baseline up, at a version of it or whatever it is; its history stays."""
    condition = {"If-Match": "*" if version is None else f'"{version}"'}
    return done(Call("DELETE", f"/v1/baselines/{name}", headers=condition, repeatable=False))


def compare(base: Reference, candidate: Reference) -> Flow[Comparison]:
    """Tell how the second report has changed from the first; look at `comparable` and `differences` before all else."""
    body = {"base": _meant(base), "candidate": _meant(candidate)}
    content = _body({name: reference.model_dump(exclude_none=True) for name, reference in body.items()})
    return resource(Call("POST", "/v1/comparisons", headers=JSON, content=content), Comparison)


# -- keys and the service ---------------------------------------------------------------------------------------------


def api_keys() -> Flow[list[Key]]:
    """List the API keys, without their secrets."""
    return resources(Call("GET", "/v1/keys"), Key)


def create_key(name: str, scopes: Sequence[Scope | str]) -> Flow[NewKey]:
    """Make an API key; its secret is in the answer and nowhere else."""
    body = _body({"name": name, "scopes": list(scopes)})
    return resource(Call("POST", "/v1/keys", headers=JSON, content=body, repeatable=False), NewKey)


def rotate_key(key_id: str, *, overlap_seconds: float | None = None) -> Flow[NewKey]:
    """Give an API key a new secret; the old one stays valid for a day, or for so many seconds."""
    body = _body({} if overlap_seconds is None else {"overlap_seconds": overlap_seconds})
    return resource(Call("POST", f"/v1/keys/{key_id}/rotate", headers=JSON, content=body, repeatable=False), NewKey)


def audit_log(*, limit: int = 50, cursor: str | None = None) -> Flow[AuditPage]:
    """List who changed what and how that ended, newest first."""
    return resource(Call("GET", "/v1/audit", params=_page(limit, cursor)), AuditPage)


def delete_key(key_id: str) -> Flow[None]:
    """Revoke an API key."""
    return done(Call("DELETE", f"/v1/keys/{key_id}"))


def capabilities() -> Flow[dict[str, Any]]:
    """Tell what the service accepts: limits, formats, devices."""
    found: dict[str, Any] = json.loads((yield from content(Call("GET", "/v1/capabilities"))))
    return found


def models() -> Flow[Offer]:
    """Tell which models and data sets an analysis may name."""
    return resource(Call("GET", "/v1/models"), Offer)


def ready() -> Flow[bool]:
    """Tell whether the service accepts work."""
    return (yield from answered(Call("GET", "/readyz", allowed=(503,)))).status_code == 200
