"""What routes are given: the stores, and who asks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from contract.artifacts import Artifacts
from contract.baselines import Baselines
from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Jobs
from contract.keys import Caller, Keys
from contract.report_history import ReportHistory
from contract.schemas import ProblemError, Scope
from contract.sessions import Sessions
from contract.settings import Settings
from contract.unfinished import Unfinished
from contract.uploads import Uploads
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

    @classmethod
    def open(cls, settings: Settings) -> "Stores":
        """Open the database, bring its schema up to date, and prepare the folders."""
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        database = Database(settings)
        database.upgrade()
        blobs = Blobs(settings.data_dir)
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
        )


def stores(request: Request) -> Stores:
    """Return the stores of this application."""
    found: Stores = request.app.state.stores
    return found


_bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer il_…`")
WithStores = Annotated[Stores, Depends(stores)]


def caller_with(scope: Scope) -> Callable[..., Caller]:
    """Return a dependency that admits callers whose key has a scope."""

    def caller(
        request: Request,
        found: WithStores,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    ) -> Caller:
        if credentials is None:
            who = signed_in(request, found.sessions)
        else:
            who = found.keys.authenticate(credentials.credentials)
        if who is None:
            raise ProblemError("unauthorized", "send a valid API key as `Authorization: Bearer KEY`")
        if scope not in who.scopes:
            raise ProblemError("insufficient_scope", f"this needs a key with the scope {scope!r}")
        return who

    return caller


Reader = Annotated[Caller, Depends(caller_with("read"))]
Submitter = Annotated[Caller, Depends(caller_with("submit"))]
Administrator = Annotated[Caller, Depends(caller_with("admin"))]
