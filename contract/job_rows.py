"""What a job row is: how one begins, what a worker holds of it, and how clients see it."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, and_

from contract.schemas import Analysis, AnalysisStatus
from contract.tables import jobs

Kind = Literal["analysis", "inspection", "part"]
FINAL = ("succeeded", "failed", "canceled")


@dataclass(frozen=True)
class Claim:
    """A job that this worker holds, as long as it renews the lease of `attempt`."""

    id: str
    tenant: str
    kind: Kind
    request: dict[str, Any]
    attempt: int
    losses: int
    request_id: str | None = None
    parent: str | None = None
    queue: str = "cpu"
    cost: float | None = None  # predicted seconds of a part, on the reference machine


@dataclass(frozen=True)
class NewJob:
    """What is written down before a request is answered with 202."""

    tenant: str
    kind: Literal["analysis", "inspection"]
    request: dict[str, Any]
    queue: str
    fingerprint: str
    idempotency_key: str | None = None
    inputs: Sequence[str] = ()
    tags: Mapping[str, str] | None = None
    priority: int = 0


def new_job_id(kind: Literal["analysis", "inspection"]) -> str:
    """Return an unguessable id that sorts by the time it was made."""
    prefix = {"analysis": "an", "inspection": "in"}[kind]
    return f"{prefix}_{time.time_ns() // 1_000:014x}{secrets.token_hex(8)}"


def has_status(status: AnalysisStatus) -> list[Any]:
    """Return the conditions under which a row is shown with a status."""
    if status in ("running", "canceling"):
        return [jobs.c.state.in_(("running", "split")), jobs.c.cancel_requested.is_(status == "canceling")]
    return [jobs.c.state == status]


# What clients see of a row. The tags are taken from the request here: PostgreSQL does not look into JSON that holds a
# zero byte, which a name of a layer may.
SHOWN: tuple[Any, ...] = (
    jobs.c.id,
    jobs.c.state,
    jobs.c.cancel_requested,
    jobs.c.created_at,
    jobs.c.started_at,
    jobs.c.finished_at,
    jobs.c.request,
    jobs.c.stage,
    jobs.c.done,
    jobs.c.total,
    jobs.c.fraction,
    jobs.c.error,
    jobs.c.device,
    jobs.c.attempt,
    jobs.c.workers,
    jobs.c.parts,
)


def analysis_of(row: Row[Any]) -> Analysis:
    """Return the columns `SHOWN` of a row as clients see them."""
    status = "running" if row.state == "split" else row.state
    if status == "running" and row.cancel_requested:
        status = "canceling"
    durations = {}
    if row.started_at is not None:
        durations["queued"] = round(row.started_at - row.created_at, 3)
        if row.finished_at is not None:
            durations["running"] = round(row.finished_at - row.started_at, 3)
    return Analysis.model_validate(
        {
            "id": row.id,
            "status": status,
            "created_at": row.created_at,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "tags": row.request.get("tags", {}),
            "progress": {"stage": row.stage, "done": row.done, "total": row.total, "fraction": row.fraction},
            "error": row.error,
            "execution": {
                "device": row.device,
                "attempts": row.attempt,
                "workers": row.workers,
                "durations": durations,
                "parts": row.parts or 1,
            },
            "report": f"/v1/analyses/{row.id}/report" if row.state == "succeeded" else None,
        }
    )


def is_held(claim: Claim) -> Any:
    """Return the condition under which an attempt still counts."""
    return and_(jobs.c.id == claim.id, jobs.c.state == "running", jobs.c.attempt == claim.attempt)
