"""Two reports side by side."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from contract.keys import Caller
from contract.schemas import ProblemError, Report
from contract.schemas.history import ReportReference
from interlayer.comparison import compare as compare_reports
from interlayer.render.comparison_view import HOW_TO_READ, comparison_body
from interlayer.render.text import shortened
from service.analyses import newest
from service.deps import Reader, Stores, WithStores
from service.pages.answers import PageRoute, ago, page
from service.references import bytes_of, sha256_of

router = APIRouter(route_class=PageRoute)
_OFFERED = 60
_Reference = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True)
class Choice:
    """A report that can be chosen: the reference to it, and what people see."""

    reference: str
    shown: str


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
        before, after = _report(base, found, caller), _report(candidate, found, caller)
        body = comparison_body(before, after, compare_reports(before, after))
    offered = _offered(found, caller)
    known = {choice.reference for choice in offered}
    offered += [
        Choice(reference, shortened(reference, 60)) for reference in (base, candidate) if reference not in known
    ]
    return page(
        request,
        "compare.html",
        caller,
        offered=[choice for choice in offered if choice.reference],
        base=base,
        candidate=candidate,
        body=body,
        how=HOW_TO_READ,
        too_many=len(chosen) > 2,
    )


def _offered(found: Stores, caller: Caller) -> list[Choice]:
    """Return the baselines, then the newest analyses, then the newest reports that were made elsewhere."""
    baselines = [
        Choice(item.name, f"baseline {shortened(item.name, 40)}") for item in found.baselines.list(caller.tenant)
    ]
    analyses = [
        Choice(item.id, f"…{item.id[-6:]}, {ago(item.created_at)}{_tags(item.tags)}")
        for item in newest(found, caller.tenant, _OFFERED, status="succeeded", tag=None, cursor=None).items
    ]
    reports = [
        Choice(item.id, f"report …{item.id[-6:]}, {ago(item.created_at)}")
        for item in found.reports.newest(caller.tenant, limit=_OFFERED)
        if item.analysis is None
    ]
    return [*baselines, *analyses, *reports]


def _tags(tags: dict[str, str]) -> str:
    return "".join(f" · {shortened(name, 24)} {shortened(value, 32)}" for name, value in tags.items())


def _report(reference: str, found: Stores, caller: Caller) -> Report:
    try:
        meant = ReportReference.parse(reference)
    except ValidationError as error:
        raise ProblemError("not_found", f"there is no report {reference[:80]!r}; choose one of the list") from error
    return Report.model_validate_json(bytes_of(found, sha256_of(found, caller.tenant, meant)))
