"""What routes are given: the stores, and who asks."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from contract.artifacts import Artifacts
from contract.audit_log import AuditLog
from contract.baselines import Baselines
from contract.blobs import Blobs
from contract.counters import Processes
from contract.database import Database
from contract.jobs import Jobs
from contract.keys import Caller, Keys
from contract.metrics import Metrics
from contract.quotas import Quotas
from contract.report_history import ReportHistory
from contract.retention import has_expired
from contract.schemas import ProblemError, Scope
from contract.sessions import Sessions
from contract.settings import Settings
from contract.unfinished import Unfinished
from contract.uploads import Uploads
from contract.workforce import Workforce
from service.failures import Failures
from service.sessions import signed_in


@dataclass(frozen=True)
class Stores:
    """The state of the service. All of it is on disk or in the database."""

    settings: Settings
    database: Database
    jobs: Jobs
    artifacts: Artifacts
    keys: Keys
    blobs: Blobs
    sessions: Sessions
    unfinished: Unfinished
    reports: ReportHistory
    baselines: Baselines
    uploads: Uploads
    quotas: Quotas
    audit_log: AuditLog
    processes: Processes
    metrics: Metrics
    failures: Failures
    workforce: Workforce

    @classmethod
    def open(cls, settings: Settings) -> "Stores":
        """Open the database, bring its schema up to date, and prepare the folders."""
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        database = Database(settings)
        database.upgrade()
        blobs = Blobs.open(settings)
        return cls(
            settings,
            database,
            Jobs(database),
            Artifacts(database),
            Keys(database),
            blobs,
            Sessions(database),
            Unfinished(database),
            ReportHistory(database),
            Baselines(database),
            Uploads(settings, database, blobs),
            Quotas(settings, database),
            AuditLog(database),
            Processes(database),
            Metrics(settings, database),
            Failures(settings.max_failures_per_minute),
            Workforce(settings, database),
        )


async def stores(request: Request) -> Stores:
    """Return the stores of this application. Asynchronous, for what is not gets a thread."""
    found: Stores = request.app.state.stores
    return found


_KEY = re.compile(r"il_([0-9a-f]{16})_")
_KEY_NAMES = frozenset({"key", "api_key", "token", "access_token"})
bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer il_…`")
WithStores = Annotated[Stores, Depends(stores)]


async def identified(request: Request, found: Stores, token: str | None) -> Caller:
    """Return whose key, or else whose session, a request carries.

    Raises
    ------
    ProblemError
        `key_in_url`, `unauthorized`, `too_many_failures`.
    """
    if any(_KEY.search(value) or name in _KEY_NAMES for name, value in request.query_params.multi_items()):
        raise ProblemError(
            "key_in_url", "addresses end up in logs: send the key as `Authorization: Bearer KEY`, and revoke this one"
        )
    who = None if token is None else found.keys.recall(token)
    if who is None:
        who = await run_sync(_proved, request, found, token)
    request.state.caller = who  # for the audit log
    return who


def _proved(request: Request, found: Stores, token: str | None) -> Caller:
    who = signed_in(request, found.sessions) if token is None else found.keys.authenticate(token)
    if who is None:
        if token is not None:
            note_failure(request, found, token)
        raise ProblemError("unauthorized", "send a valid API key as `Authorization: Bearer KEY`")
    return who


def require_scope(who: Caller, scope: Scope) -> None:
    """Refuse a caller whose key lacks a scope."""
    if scope not in who.scopes:
        raise ProblemError("insufficient_scope", f"this needs a key with the scope {scope!r}")


def note_failure(request: Request, found: Stores, token: str) -> None:
    """Count a key that is not valid; refuse to listen further where there were too many."""
    found.metrics.refused()
    address = request.client.host if request.client is not None else ""
    named = _KEY.search(token)
    wait = found.failures.note(f"address {address}", *([f"key {named[1]}"] if named else []))
    if wait:
        raise ProblemError(
            "too_many_failures", "too many requests came without a valid key", headers={"Retry-After": str(wait)}
        )


def require_unexpired(found: Stores, tenant: str, name: str) -> None:
    """Tell of something that is not here, where that is so, that it was and has expired."""
    if has_expired(found.database, tenant, name):
        raise ProblemError("expired", f"{name} was here and has expired")


def caller_with(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """Return a dependency that admits callers whose key has a scope."""

    async def caller(
        request: Request,
        found: WithStores,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> Caller:
        who = await identified(request, found, None if credentials is None else credentials.credentials)
        require_scope(who, scope)
        return who

    return caller


Reader = Annotated[Caller, Depends(caller_with("read"))]
Submitter = Annotated[Caller, Depends(caller_with("submit"))]
Administrator = Annotated[Caller, Depends(caller_with("admin"))]
