"""What the service is and whether it works."""

import hmac
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, Field
from sqlalchemy import text

from contract.counters import SEEN_SECONDS
from contract.metrics import CONTENT_TYPE
from contract.quotas import Use
from contract.schemas import SCHEMA_VERSION, ProblemError, Report
from contract.schemas.policy import Policy
from contract.settings import TenantLimits
from service.deps import Reader, Stores, WithStores, bearer, identified, require_scope
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
    own_limits: TenantLimits = Field(description="What the caller's tenant may use; null: without a limit.")
    own_use: Use = Field(description="What it uses.")


class Readiness(Health):
    """Whether requests are accepted, and what is missing for them to be worked on."""

    details: list[str]


@router.get("/healthz", operation_id="healthz")
async def healthz() -> Health:
    """Tell that the process is alive: its event loop answers, however busy its threads are."""
    return Health(status="alive")


@router.get("/readyz", operation_id="readyz")
def readyz(found: WithStores) -> Readiness:
    """Tell whether requests are accepted: the database can be written and the disk has room.

    `degraded` means that they are, and that something is missing for the work to be done now.
    """
    with found.database.write() as connection:
        connection.execute(text("SELECT 1"))
    if found.blobs.free_bytes() < found.settings.free_disk_reserve_bytes:
        raise ProblemError("not_ready", "the disk is full")
    details = _missing(found)
    return Readiness(status="degraded" if details else "ready", details=details)


def _missing(found: Stores) -> list[str]:
    seen = [process for process in found.processes.all() if process.age < SEEN_SECONDS]
    details = sorted({f"{process.role}: {process.trouble}" for process in seen if process.trouble is not None})
    if (trouble := found.blobs.trouble()) is not None:
        details.append(f"the store of files: {trouble}; what needs a file is answered with 503, analyses wait")
    if not any(process.role == "worker" for process in seen):
        details.append(f"no worker was seen for {SEEN_SECONDS:g} s; analyses wait")
    return details


@router.get("/metrics", operation_id="get_metrics", response_class=Response)
async def get_metrics(
    request: Request, found: WithStores, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Response:
    """Tell Prometheus how things are. Takes INTERLAYER_METRICS_TOKEN, or a key with the scope `admin`."""
    given = "" if credentials is None else credentials.credentials
    token = found.settings.metrics_token
    if token is None or not hmac.compare_digest(token.get_secret_value().encode(), given.encode()):
        require_scope(await identified(request, found, given or None), "admin")
    return Response(await run_sync(found.metrics.text), media_type=CONTENT_TYPE)


@router.get("/v1/capabilities", operation_id="get_capabilities")
def get_capabilities(found: WithStores, caller: Reader) -> Capabilities:
    """Tell limits, formats and devices, and what of its limits the caller's tenant uses."""
    settings = found.settings
    return Capabilities(
        report_schema_version=SCHEMA_VERSION,
        formats=["npz", "safetensors", "onnx"],
        metrics=["euclidean", "cosine"],
        devices=["cuda", "cpu"] if "gpu" in settings.queue_names() else ["cpu"],
        model_references=True,
        report_renderings=list(MEDIA_TYPES),
        max_artifact_bytes=settings.max_artifact_bytes,
        max_request_bytes=settings.max_request_bytes,
        max_unfinished_jobs=settings.max_unfinished_jobs,
        own_limits=settings.limits_of(caller.tenant),
        own_use=found.quotas.use(caller.tenant),
    )


@router.get("/v1/schemas/policy/1.json", operation_id="get_policy_schema")
def get_policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of the policy of an audit, version 1."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Policy.model_json_schema()}


@router.get("/v1/schemas/report/1.json", operation_id="get_report_schema")
def get_report_schema() -> dict[str, Any]:
    """Return the JSON Schema of the report, version 1."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Report.model_json_schema(by_alias=True)}
