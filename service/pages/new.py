"""The form of a new analysis: what it would take, and its start."""

import uuid
from collections.abc import Sequence
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response

from contract.keys import Caller
from contract.registry import load_registry
from contract.schemas import Artifact, Estimate, Problem, ProblemError
from service.analyses import accept, require_key
from service.deps import Stores, Submitter, WithStores
from service.pages.answers import PageRoute, page, see_other
from service.pages.form import MODEL_ROWS, ROLES, Filled
from service.routes_estimate import estimate_analysis

router = APIRouter(route_class=PageRoute)
_MOST_FILES = 60
_INSPECTION_WAIT = "wait=5"  # a file that was sent a moment ago


@router.get("/analyses/new")
def empty_form(
    request: Request,
    found: WithStores,
    caller: Submitter,
    file: Annotated[list[str] | None, Query(max_length=100)] = None,
) -> Response:
    """Show the form; `file=ID` or `file=ID@role` marks files as used."""
    return _page(request, found, caller, Filled.of_files(file or []))


@router.post("/analyses/new")
async def filled_form(request: Request, found: WithStores, caller: Submitter) -> Response:
    """Estimate the analysis, or start it; what is wrong is said on the form, which keeps what was filled in."""
    form = await request.form()
    filled = Filled({name: value for name, value in form.multi_items() if isinstance(value, str)})
    try:
        body = filled.request()
        if filled["action"] == "estimate":
            if any(item.model for item in body.inputs):
                return await run_sync(lambda: _page(request, found, caller, filled, unknown=True))
            found_estimate = await estimate_analysis(body, found, caller, _INSPECTION_WAIT)
            return await run_sync(lambda: _page(request, found, caller, filled, estimate=found_estimate))
        require_key(filled["once"] or None)
        analysis, _ = await run_sync(accept, body, found, caller, filled["once"] or None)
    except ProblemError as error:
        problem = error.problem
        return await run_sync(lambda: _page(request, found, caller, filled, problem=problem))
    return see_other(f"/analyses/{analysis.id}")


def _page(
    request: Request,
    found: Stores,
    caller: Caller,
    filled: Filled,
    *,
    estimate: Estimate | None = None,
    unknown: bool = False,
    problem: Problem | None = None,
) -> Response:
    files = _files(found, caller.tenant, filled.chosen())
    registry = load_registry(found.settings.models_file)
    return page(
        request,
        "new.html",
        caller,
        status_code=problem.status if problem else 200,
        files=files,
        registry=registry,
        model_rows=MODEL_ROWS,
        roles=ROLES,
        filled=filled,
        once=filled["once"] or str(uuid.uuid4()),
        estimate=estimate,
        unknown=unknown,
        problem=problem,
    )


def _files(found: Stores, tenant: str, chosen: Sequence[str]) -> list[Artifact]:
    """Return the newest files that can be analysed, the chosen ones among them however old they are."""
    newest = [file for file in found.artifacts.newest(tenant, _MOST_FILES) if file.status != "invalid"]
    missing = set(chosen) - {file.id for file in newest}
    older = (found.artifacts.get(tenant, digest.removeprefix("sha256:")) for digest in sorted(missing))
    return [*(file for file in older if file), *newest]
