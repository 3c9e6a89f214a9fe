"""What the parent and its computing child say to each other: one JSON object a line."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from contract.predictions import Limits
from contract.schemas import Inspection, Problem, Progress, Separation


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Work(_Message):
    """Parent → child: a job. The child gets paths, and neither database nor broker nor their secrets."""

    kind: Literal["analysis", "inspection"]
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
    names: dict[str, str | int | None] = Field({}, description="What log lines are found by: job, attempt, request.")


class ProgressEvent(_Message):
    """Child → parent: how far the work is."""

    event: Literal["progress"] = "progress"
    progress: Progress


class LayersEvent(_Message):
    """Child → parent: layers finished since the last such event."""

    event: Literal["layers"] = "layers"
    first: int = Field(description="How many were finished before these.")
    separations: list[Separation]


class ReportEvent(_Message):
    """Child → parent: the report is written, for the parent to store."""

    event: Literal["report"] = "report"
    sha256: str
    device: str
    file: Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Its name among the files in the making.")]


class InspectionEvent(_Message):
    """Child → parent: what is in the file."""

    event: Literal["inspection"] = "inspection"
    inspection: Inspection


class ProblemEvent(_Message):
    """Child → parent: the work can't be done, and trying again would not help."""

    event: Literal["problem"] = "problem"
    problem: Problem


Event = ProgressEvent | LayersEvent | ReportEvent | InspectionEvent | ProblemEvent
EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
