"""Two reports side by side."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from contract.keys import Caller
from contract.schemas import Analysis, ProblemError, Report
from interlayer.render.comparison_view import HOW_TO_READ, comparison_body
from service.deps import Reader, Stores, WithStores
from service.pages.analyses import stored
from service.pages.answers import PageRoute, page
from service.routes_analyses import list_analyses

router = APIRouter(route_class=PageRoute)
_OFFERED = 60
_Reference = Annotated[str, Query(max_length=200)]


@router.get("/compare")
def compare(
    request: Request,
    found: WithStores,
    caller: Reader,
    base: _Reference = "",
    candidate: _Reference = "",
    id: Annotated[list[str] | None, Query(max_length=100)] = None,  # noqa: A002 - short in the address of a page
) -> Response:
    """Compare two reports, or ask which; two `id` are compared in the order in which they were made."""
    chosen = sorted(id or [])
    if len(chosen) == 2:
        base, candidate = base or chosen[0], candidate or chosen[1]
    elif len(chosen) == 1 and not base:
        base = chosen[0]
    body = ""
    if base and candidate:
        body = comparison_body(_report(base, found, caller), _report(candidate, found, caller))
    return page(
        request,
        "compare.html",
        caller,
        offered=_offered(found, caller),
        base=base,
        candidate=candidate,
        body=body,
        how=HOW_TO_READ,
        too_many=len(chosen) > 2,
    )


def _offered(found: Stores, caller: Caller) -> list[Analysis]:
    return list_analyses(found, caller, "succeeded", None, _OFFERED, None).items


def _report(reference: str, found: Stores, caller: Caller) -> Report:
    if not reference.startswith("an_"):
        raise ProblemError("not_found", f"there is no report {reference[:80]!r}; choose one of the list")
    return stored(reference, found, caller)
