"""What the service is and whether it works."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from contract.schemas import SCHEMA_VERSION, ProblemError, Report
from service.deps import Reader, WithStores
from service.renderings import MEDIA_TYPES

router = APIRouter(tags=["service"])


class Health(BaseModel):
    """A sign of life."""

    status: str


class Capabilities(BaseModel):
    """What this installation accepts."""

    report_schema_version: str
    formats: list[str]
    metrics: list[str]
    devices: list[str]
    model_references: bool
    report_renderings: list[str]
    max_artifact_bytes: int
    max_request_bytes: int
    max_unfinished_jobs: int


@router.get("/healthz", operation_id="healthz")
def healthz() -> Health:
    """Tell that the process is alive."""
    return Health(status="alive")


@router.get("/readyz", operation_id="readyz")
def readyz(found: WithStores) -> Health:
    """Tell whether requests would be accepted: the database can be written and the disk has room."""
    with found.database.write() as connection:
        connection.execute(text("SELECT 1"))
    if found.blobs.free_bytes() < found.settings.free_disk_reserve_bytes:
        raise ProblemError("not_ready", "the disk is full")
    return Health(status="ready")


@router.get("/v1/capabilities", operation_id="get_capabilities")
def get_capabilities(found: WithStores, _: Reader) -> Capabilities:
    """Tell limits, formats and devices."""
    settings = found.settings
    return Capabilities(
        report_schema_version=SCHEMA_VERSION,
        formats=["npz", "safetensors"],
        metrics=["euclidean", "cosine"],
        devices=["cuda", "cpu"] if "gpu" in settings.queue_names() else ["cpu"],
        model_references=False,
        report_renderings=list(MEDIA_TYPES),
        max_artifact_bytes=settings.max_artifact_bytes,
        max_request_bytes=settings.max_request_bytes,
        max_unfinished_jobs=settings.max_unfinished_jobs,
    )


@router.get("/v1/schemas/report/1.json", operation_id="get_report_schema")
def get_report_schema() -> dict[str, Any]:
    """Return the JSON Schema of the report, version 1."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema(by_alias=True)}
