"""What the service answers beside reports: artifacts, analyses, keys, estimates."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from contract.schemas.problem import Problem
from contract.schemas.report import Separation
from contract.schemas.request import ShortText, Strict

AnalysisStatus = Literal["queued", "running", "canceling", "succeeded", "failed", "canceled"]
ArtifactKind = Literal["activations", "data", "model"]
ArtifactStatus = Literal["pending", "ready", "invalid"]
Scope = Literal["read", "submit", "admin"]


class Resource(BaseModel):
    """An answer; clients ignore fields they do not know."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class InspectedLayer(Resource):
    """One array of activations, as its header declares it."""

    name: str
    shape: list[int]
    dtype: str


class Inspection(Resource):
    """What a worker found in a file."""

    kind: ArtifactKind = "activations"
    rows: int
    classes: dict[str, int] = Field(description="Rows of each class.")
    layers: list[InspectedLayer]


class Artifact(Resource):
    """A stored file of one tenant; its id is the SHA-256 of its bytes."""

    id: str
    name: str | None = Field(None, description="What the file was called where it came from.")
    bytes: int
    kind: ArtifactKind = Field(description="`data` and `activations` are told apart once a worker has looked.")
    format: Literal["npz", "safetensors", "onnx"]
    status: ArtifactStatus
    created_at: datetime
    expires_at: datetime | None
    inspection: Inspection | None = None
    error: Problem | None = None


class Progress(Resource):
    """How far an analysis is; `fraction` never falls within one attempt."""

    stage: str
    done: int
    total: int
    fraction: Annotated[float, Field(ge=0, le=1)]


class Execution(Resource):
    """Where and how an analysis ran. This is not part of the report, which must not depend on it."""

    device: str | None
    attempts: int = Field(description="How often it was tried; of one in parts, the part that was tried most often.")
    workers: list[str]
    durations: dict[str, float] = Field(description="Seconds spent `queued` and `running`.")
    parts: int = Field(1, description="In how many parts the workers share it.")


class Analysis(Resource):
    """An accepted request and what became of it."""

    id: str
    status: AnalysisStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    tags: dict[str, str]
    progress: Progress
    error: Problem | None
    execution: Execution
    report: str | None = Field(description="Path of the report once the analysis has succeeded.")
    expires_at: datetime | None = Field(None, description="When a finished analysis is deleted; null: never.")


class AnalysisPage(Resource):
    """One page of the list, newest first."""

    items: list[Analysis]
    next_cursor: str | None


class FinishedLayers(Resource):
    """What is already known while an analysis runs, in the order in which it became known."""

    separations: list[Separation]


class Estimate(Resource):
    """What an analysis would cost, from the headers of its inputs."""

    class_pairs: int
    spanning_trees: int
    rows_per_class: int | None
    seconds: float | None = Field(
        None, description="Of computing, within a factor of two, at the speed that workers have had here so far."
    )
    memory_bytes: int = Field(
        description="Peak resident memory of the computing process beyond what it has when idle, within 20 %."
    )
    time_class: Literal["seconds", "minutes", "hours"]
    notes: list[str]


class KeyRequest(Strict):
    """A new API key."""

    name: ShortText
    scopes: Annotated[list[Scope], Field(min_length=1, default_factory=lambda: ["read", "submit"])]
    expires_at: datetime | None = None


class Rotation(Strict):
    """A new secret for a key."""

    overlap_seconds: Annotated[float, Field(ge=0, le=30 * 86400, description="So long the old secret stays valid.")] = (
        86400.0
    )


class AuditEntry(Resource):
    """One change that somebody asked for, and how it ended."""

    id: str
    at: datetime
    key_id: str
    action: str
    object: str
    outcome: int = Field(description="The HTTP status that was answered.")
    request_id: str


class AuditPage(Resource):
    """One page of the audit log, newest first."""

    items: list[AuditEntry]
    next_cursor: str | None


class Key(Resource):
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewKey(Key):
    """An API key with its secret, shown this once."""

    key: str
