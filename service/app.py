"""The web application. Run: `python -m service.app`, or `uvicorn --factory service.app:create_app`."""

import argparse
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import run_sync
from fastapi import FastAPI

from contract.logs import configure_logs
from contract.process import end_with_parent
from contract.schemas import Problem
from contract.settings import Settings
from service import (
    errors,
    routes_analyses,
    routes_artifacts,
    routes_audit,
    routes_baselines,
    routes_comparisons,
    routes_estimate,
    routes_history,
    routes_keys,
    routes_layers,
    routes_meta,
    routes_models,
    routes_pictures,
    routes_reports,
    routes_uploads,
)
from service.bodies import SmallBodies
from service.conditional import Conditional
from service.deps import Stores
from service.housekeeping import keeping_house
from service.pages import router as pages
from service.pages.answers import missing_page
from service.requests import Requests
from service.tus import Tus

_DESCRIPTION = """
How every layer of a network changes class separation: exact Henze-Penrose statistics and permutation tests.

1. `PUT /v1/artifacts` a file of recorded activations for each network state and split.
2. `POST /v1/analyses` with their ids.
3. `GET /v1/analyses/{id}?wait=60` until it has ended, then `GET /v1/analyses/{id}/report`.

Every error is `application/problem+json` with a stable `code`.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application for some settings, those of the environment by default."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.stores = await run_sync(Stores.open, settings)
        _show_first_key(app.state.stores)
        with keeping_house(app.state.stores):
            yield
        app.state.stores.database.close()

    problem = {"model": Problem, "content": {errors.MEDIA_TYPE: {}}, "description": "Problem (RFC 9457)"}
    app = FastAPI(
        title="Interlayer",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        responses={"4XX": problem, "5XX": problem},
        docs_url=None,  # a page of our own, without scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(Conditional)
    app.add_middleware(Tus)
    app.add_middleware(SmallBodies, limit=settings.max_request_bytes)
    app.add_middleware(Requests)
    errors.install(app, missing_page)
    for routes in (
        routes_artifacts,
        routes_uploads,
        routes_analyses,
        routes_estimate,
        routes_layers,
        routes_pictures,
        routes_reports,
        routes_history,
        routes_baselines,
        routes_comparisons,
        routes_keys,
        routes_audit,
        routes_meta,
        routes_models,
    ):
        app.include_router(routes.router)
    app.include_router(pages)
    return app


def _show_first_key(stores: Stores) -> None:
    """Make the administrator's key where there is none, and show it this once."""
    first = stores.keys.create_first()
    if first is not None:
        print(f"\nThe first API key (shown only now, scopes: all):\n\n    {first.key}\n", file=sys.stderr)  # noqa: T201 - meant for a person, not for the log


def main() -> None:
    """Serve on INTERLAYER_HOST and INTERLAYER_PORT until SIGTERM."""
    import uvicorn

    from service.connections import configuration

    end_with_parent()
    parser = argparse.ArgumentParser(prog="python -m service.app", description="Serve the REST interface.")
    parser.add_argument("--fd", type=int, help="listen on this inherited socket instead of host and port")
    arguments = parser.parse_args()
    configure_logs()
    settings = Settings()
    where = {"host": settings.host, "port": settings.port, "fd": arguments.fd}
    uvicorn.Server(configuration(create_app(settings), settings, timeout_graceful_shutdown=5, **where)).run()


if __name__ == "__main__":
    main()
