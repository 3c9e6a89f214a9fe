"""What the parent and its computing child say to each other: one JSON object a line."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from contract.predictions import Limits
from contract.schemas import Inspection, Problem, Progress, Separation


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedPart(_Message):
    """A part of an analysis: what to do, and the numbers of the parts whose results it needs."""

    tasks: list[dict[str, Any]]
    needs: list[int]
    cost: float
    about: str
    fingerprint: str


class NeededResult(_Message):
    """The result of another part."""

    path: str
    sha256: str


class PartWork(_Message):
    """One part: its tasks, none for the report, and the results that it needs."""

    tasks: list[dict[str, Any]]
    results: list[NeededResult]


class Work(_Message):
    """Parent → child: a job. The child gets paths, and neither database nor broker nor their secrets."""

    kind: Literal["analysis", "inspection", "part"]
    request: dict[str, Any]
    inputs: dict[str, str] = Field(description="Artifact id → path.")
    blobs: str
    max_unpacked_bytes: int
    n_threads: int
    memory_bytes: int
    models_file: str | None = None
    sandbox_required: bool = False
    model_seconds: float = 3600.0
    model_memory_bytes: int = 0
    limits: Limits | None = None
    part_seconds: float = Field(0.0, description="Cost of a part, where the analysis may be split; 0: compute it.")
    part: PartWork | None = None
    names: dict[str, str | int | None] = Field({}, description="What log lines are found by: job, attempt, request.")


class ProgressEvent(_Message):
    """Child → parent: how far the work is."""

    event: Literal["progress"] = "progress"
    progress: Progress


class LayersEvent(_Message):
    """Child → parent: layers finished since the last such event."""

    event: Literal["layers"] = "layers"
    first: int = Field(description="Number of the first of them; the others follow.")
    separations: list[Separation]


class ReportEvent(_Message):
    """Child → parent: the report, or the result of a part, is written, for the parent to store."""

    event: Literal["report"] = "report"
    sha256: str
    device: str
    file: Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Its name among the files in the making.")]


class PlanEvent(_Message):
    """Child → parent: the analysis is large; these are its parts."""

    event: Literal["plan"] = "plan"
    parts: list[PlannedPart]


class InspectionEvent(_Message):
    """Child → parent: what is in the file."""

    event: Literal["inspection"] = "inspection"
    inspection: Inspection


class ProblemEvent(_Message):
    """Child → parent: the work can't be done, and trying again would not help."""

    event: Literal["problem"] = "problem"
    problem: Problem


Event = ProgressEvent | LayersEvent | PlanEvent | ReportEvent | InspectionEvent | ProblemEvent
EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
