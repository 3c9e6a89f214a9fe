"""Every call about files, analyses, keys and the service itself, as a flow."""

import json
import math
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

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
    Scope,
)
from contract.schemas.offer import Offer
from interlayer.client.flow import (
    JSON,
    Call,
    Flow,
    Pause,
    answered,
    content,
    done,
    json_body,
    page,
    resource,
    resources,
)
from interlayer.errors import RequestRefused, TimedOut

FINAL = ("succeeded", "failed", "canceled")
_LONGEST_WAIT_SECONDS = 30.0
_PROGRESS_SECONDS = 0.5


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


# -- keys and the service ---------------------------------------------------------------------------------------------


def api_keys() -> Flow[list[Key]]:
    """List the API keys, without their secrets."""
    return resources(Call("GET", "/v1/keys"), Key)


def create_key(name: str, scopes: Sequence[Scope | str]) -> Flow[NewKey]:
    """Make an API key; its secret is in the answer and nowhere else."""
    body = json_body({"name": name, "scopes": list(scopes)})
    return resource(Call("POST", "/v1/keys", headers=JSON, content=body, repeatable=False), NewKey)


def rotate_key(key_id: str, *, overlap_seconds: float | None = None) -> Flow[NewKey]:
    """Give an API key a new secret; the old one stays valid for a day, or for so many seconds."""
    body = json_body({} if overlap_seconds is None else {"overlap_seconds": overlap_seconds})
    return resource(Call("POST", f"/v1/keys/{key_id}/rotate", headers=JSON, content=body, repeatable=False), NewKey)


def audit_log(*, limit: int = 50, cursor: str | None = None) -> Flow[AuditPage]:
    """List who changed what and how that ended, newest first."""
    return resource(Call("GET", "/v1/audit", params=page(limit, cursor)), AuditPage)


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
