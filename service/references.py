"""From what a request calls a report to its bytes."""

from contract.keys import Caller
from contract.schemas import ProblemError, Report
from contract.schemas.history import ReportReference, StoredReport
from service.deps import Stores, require_unexpired


def report_of_analysis(found: Stores, tenant: str, analysis_id: str) -> str:
    """Return the address of the report of a succeeded analysis."""
    sha256 = found.jobs.report_sha256(tenant, analysis_id)
    if sha256 is not None:
        return sha256
    analysis = found.jobs.get(tenant, analysis_id)
    if analysis is None:
        require_unexpired(found, tenant, analysis_id)
        raise ProblemError("not_found", f"there is no analysis {analysis_id}")
    if analysis.status == "failed":
        detail = analysis.error.detail if analysis.error else "the status says why"
        raise ProblemError("analysis_failed", f"there is no report: {detail}")
    if analysis.status == "canceled":
        raise ProblemError("analysis_canceled", "there is no report: the analysis was canceled")
    raise ProblemError("not_finished", f"the analysis is {analysis.status}; wait with GET …/{analysis_id}?wait=60")


def kept_report(found: Stores, tenant: str, report_id: str) -> StoredReport:
    """Return a report of the history."""
    report = found.reports.get(tenant, report_id)
    if report is None:
        require_unexpired(found, tenant, report_id)
        raise ProblemError("not_found", f"there is no report {report_id}")
    return report


def named_report(found: Stores, tenant: str, baseline: str) -> StoredReport:
    """Return the report that a baseline names."""
    known = found.baselines.get(tenant, baseline)
    if known is None:
        raise ProblemError("baseline_not_found", f"there is no baseline {baseline!r}; bless a report under this name")
    return known.report


def sha256_of(found: Stores, tenant: str, reference: ReportReference) -> str:
    """Return the address of the report that is meant."""
    if reference.analysis is not None:
        return report_of_analysis(found, tenant, reference.analysis)
    if reference.report is not None:
        return kept_report(found, tenant, reference.report).sha256
    assert reference.baseline is not None, "the schema demands one of three"
    return named_report(found, tenant, reference.baseline).sha256


def kept(found: Stores, caller: Caller, reference: ReportReference) -> str:
    """Return the id, in the history, of the report that is meant; that of an analysis joins the history by this."""
    if reference.report is not None:
        return reference.report
    if reference.baseline is not None:
        return named_report(found, caller.tenant, reference.baseline).id
    assert reference.analysis is not None, "the schema demands one of three"
    sha256 = report_of_analysis(found, caller.tenant, reference.analysis)
    content = bytes_of(found, sha256)
    report, _ = found.reports.add(
        caller.tenant,
        caller.key_id,
        sha256,
        len(content),
        Report.model_validate_json(content),
        job_id=reference.analysis,
    )
    return report.id


def bytes_of(found: Stores, sha256: str) -> bytes:
    """Return the bytes of a report."""
    try:
        return found.blobs.read(found.blobs.report(sha256))
    except FileNotFoundError as error:
        raise ProblemError("not_found", "the file of this report is gone; analyse or send it again") from error
