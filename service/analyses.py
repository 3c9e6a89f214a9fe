"""What stands behind the routes and pages of analyses. Everything here waits for the database, so it runs in a thread.

A request costs one thread, one read and, where something is accepted, one commit.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta

from sqlalchemy import Connection

from contract.artifacts import ID_PREFIX
from contract.jobs import FINAL, NewJob
from contract.keys import Caller
from contract.schemas import Analysis, AnalysisPage, AnalysisRequest, AnalysisStatus, Artifact, ProblemError
from service.deps import Stores, require_unexpired
from service.estimate import require_feasible
from service.inputs import used_artifacts
from service.pagination import decode_cursor, encode_cursor

Witness = Callable[[Connection, Analysis], None]


def no_witness(_connection: Connection, _analysis: Analysis) -> None:
    """Write nothing down."""


def require_key(key: str | None) -> None:
    """Refuse an Idempotency-Key that cannot be one of a client."""
    if key is not None and not (0 < len(key) <= 255 and key.isprintable() and key.isascii()):
        raise ProblemError("idempotency_key_invalid", "use 1 to 255 printable ASCII characters, a UUID for example")


def existing(found: Stores, tenant: str, analysis_id: str) -> Analysis:
    """Return an analysis of the tenant.

    Raises
    ------
    ProblemError
        `not_found`, `expired`.
    """
    analysis = found.jobs.get(tenant, analysis_id)
    if analysis is None:
        require_unexpired(found, tenant, analysis_id)
        raise ProblemError("not_found", f"there is no analysis {analysis_id}")
    seconds = found.settings.job_seconds
    if seconds is None or analysis.finished_at is None:
        return analysis
    return analysis.model_copy(update={"expires_at": analysis.finished_at + timedelta(seconds=seconds)})


def newest(
    found: Stores, tenant: str, limit: int, *, status: AnalysisStatus | None, tag: str | None, cursor: str | None
) -> AnalysisPage:
    """Return a page of the tenant's analyses, newest first; a tag is `name:value`."""
    name, _, value = (tag or "").partition(":")
    items = found.jobs.newest(
        tenant,
        limit=limit + 1,
        before=None if cursor is None else decode_cursor(cursor),
        status=status,
        tag=None if tag is None else (name, value),
    )
    more = len(items) > limit
    return AnalysisPage(items=items[:limit], next_cursor=encode_cursor(items[limit - 1].id) if more else None)


def accept(
    body: AnalysisRequest,
    found: Stores,
    caller: Caller,
    idempotency_key: str | None,
    witness: Witness = no_witness,
) -> tuple[Analysis, bool]:
    """Write an analysis down, unless it is already known to fail; False if the same request was accepted before."""
    used = used_artifacts(body, found, caller.tenant)
    _require_size(body, used, found, caller.tenant)
    job = NewJob(
        tenant=caller.tenant,
        kind="analysis",
        request=body.model_dump(mode="json"),
        queue=_queue(body, found),
        fingerprint=hashlib.sha256(body.model_dump_json().encode()).hexdigest(),
        idempotency_key=idempotency_key,
        inputs=[artifact.removeprefix(ID_PREFIX) for artifact in body.artifacts],
        tags=body.tags,
        priority=body.priority,
    )
    limit = found.settings.limits_of(caller.tenant).max_unfinished_jobs or found.settings.max_unfinished_jobs
    return found.jobs.submit(job, max_unfinished=limit, witness=witness)


def accept_again(
    analysis_id: str, found: Stores, caller: Caller, witness: Witness = no_witness
) -> tuple[Analysis, bool]:
    """Accept anew what failed or was canceled; however often this is asked, one analysis is made."""
    status = existing(found, caller.tenant, analysis_id).status
    if status == "succeeded":
        raise ProblemError("already_finished", "the analysis has succeeded; there is nothing to try again")
    if status not in FINAL:
        raise ProblemError("not_finished", f"the analysis is {status}; only one that has ended can be tried again")
    request = AnalysisRequest.model_validate(found.jobs.request(caller.tenant, analysis_id))
    # No client can send a key with a line feed, so this one is ours alone.
    return accept(request, found, caller, f"retry\n{analysis_id}", witness)


def _require_size(body: AnalysisRequest, used: Mapping[str, Artifact], found: Stores, tenant: str) -> None:
    """Refuse what the tenant may not compute today, and what would hopelessly never end."""
    found.quotas.require_compute(tenant)
    require_feasible(body, used, found)


def _queue(body: AnalysisRequest, found: Stores) -> str:
    if found.settings.model_queue and any(item.model is not None for item in body.inputs):
        return found.settings.model_queue
    if body.device != "cuda":
        return "cpu"  # workers with a GPU serve this queue too
    if "gpu" not in found.settings.queue_names():
        raise ProblemError("device_unavailable", "no worker of this service has a GPU; ask for device 'auto' or 'cpu'")
    return "gpu"
