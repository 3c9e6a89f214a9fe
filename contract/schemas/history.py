"""Reports of the history, whether computed here or pushed, and the baselines that name some of them."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from contract.schemas.request import Metric, Strict
from contract.schemas.resources import Resource

AnalysisId = Annotated[str, StringConstraints(pattern=r"^an_[0-9a-f]{30}$")]
ReportId = Annotated[str, StringConstraints(pattern=r"^rp_[0-9a-f]{30}$")]
BaselineName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class ReportReference(Strict):
    """A report, by the analysis that made it, by its id in the history, or by the baseline that names it."""

    analysis: AnalysisId | None = None
    report: ReportId | None = None
    baseline: BaselineName | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(value is not None for value in (self.analysis, self.report, self.baseline)) != 1:
            raise ValueError("give exactly one of `analysis` (an_…), `report` (rp_…) and `baseline` (a name)")
        return self

    @classmethod
    def parse(cls, text: str) -> "ReportReference":
        """Return what a person means by an id of an analysis (an_…), of a report (rp_…) or the name of a baseline."""
        field = {"an_": "analysis", "rp_": "report"}.get(text[:3], "baseline")
        return cls.model_validate({field: text})


class StoredReport(Resource):
    """A report in the history. It stays when the analysis that made it is deleted."""

    id: str
    sha256: str
    bytes: int
    created_at: datetime
    created_by: str = Field(description="Name of the API key that sent it.")
    analysis: str | None = Field(description="The analysis that made it, if one of this service did.")
    schema_version: str
    metric: Metric
    classes: int
    layers: int
    findings: list[str] = Field(description="Codes of its findings, gravest first.")


class StoredReportPage(Resource):
    """One page of the history, newest first."""

    items: list[StoredReport]
    next_cursor: str | None


class BaselineRequest(ReportReference):
    """The report that a baseline is to name from now on, and why."""

    note: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")] = ""


class Baseline(Resource):
    """A name for the report that others are compared with. Its ETag is its version."""

    name: str
    version: int
    report: StoredReport
    note: str
    blessed_by: str = Field(description="Name of the API key that blessed it.")
    blessed_at: datetime


class BaselineChange(Resource):
    """One entry of the history of a baseline."""

    version: int
    action: Literal["bless", "delete"]
    report: str | None = Field(description="Id of the report; it may have been deleted since.")
    sha256: str | None
    note: str
    by: str
    at: datetime


class ComparisonRequest(Strict):
    """Two reports: how has `candidate` changed from `base`?"""

    base: ReportReference
    candidate: ReportReference
