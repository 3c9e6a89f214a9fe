"""Baselines: names of reports that others are compared with. They change only by an explicit request."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Path, Response

from contract.baselines import ANY, NONE
from contract.schemas import ProblemError
from contract.schemas.history import Baseline, BaselineChange, BaselineRequest
from service.deps import Reader, Stores, Submitter, WithStores
from service.references import kept

router = APIRouter(prefix="/v1/baselines", tags=["baselines"])
NamePath = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", examples=["main"])]
IfMatch = Annotated[str | None, Header(description="The ETag of the baseline that is to be changed, or *.")]
IfNoneMatch = Annotated[str | None, Header(description="* : there must be no baseline of this name yet.")]


@router.get("", operation_id="list_baselines")
def list_baselines(found: WithStores, caller: Reader) -> list[Baseline]:
    """List the baselines by name."""
    return list(found.baselines.list(caller.tenant))


@router.get("/{name}", operation_id="get_baseline")
def get_baseline(name: NamePath, found: WithStores, caller: Reader, response: Response) -> Baseline:
    """Tell which report a name means. The ETag is what a change of it must name in If-Match."""
    baseline = _get(found, caller.tenant, name)
    response.headers["ETag"] = _etag(baseline)
    return baseline


@router.put(
    "/{name}",
    response_model=Baseline,
    operation_id="put_baseline",
    responses={201: {"model": Baseline, "description": "The name is new"}},
)
def put_baseline(
    name: NamePath,
    body: BaselineRequest,
    found: WithStores,
    caller: Submitter,
    response: Response,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Baseline:
    """Bless a report: let the name mean it from now on. Say what the name means so far, so that nobody is overruled."""
    assumed = _assumed(if_match, if_none_match)
    report_id = kept(found, caller, body)
    found.baselines.bless(caller.tenant, caller.key_id, name, report_id, note=body.note, assumed=assumed)
    baseline = _get(found, caller.tenant, name)
    response.headers["ETag"] = _etag(baseline)
    response.status_code = 201 if assumed is NONE else 200
    return baseline


@router.delete("/{name}", status_code=204, operation_id="delete_baseline")
def delete_baseline(name: NamePath, found: WithStores, caller: Submitter, if_match: IfMatch = None) -> None:
    """Give a name up. Its history stays, and its reports may be deleted again."""
    found.baselines.give_up(caller.tenant, caller.key_id, name, assumed=_assumed(if_match, None))


@router.get("/{name}/history", operation_id="get_baseline_history")
def get_baseline_history(name: NamePath, found: WithStores, caller: Reader) -> list[BaselineChange]:
    """Tell who let the name mean which report, when and why, newest first."""
    changes = found.baselines.history(caller.tenant, name)
    if not changes:
        raise _absent(name)
    return list(changes)


def _get(found: Stores, tenant: str, name: str) -> Baseline:
    baseline = found.baselines.get(tenant, name)
    if baseline is None:
        raise _absent(name)
    return baseline


def _absent(name: str) -> ProblemError:
    return ProblemError("baseline_not_found", f"there is no baseline {name!r}; bless a report under this name")


def _etag(baseline: Baseline) -> str:
    return f'"{baseline.version}"'


def _assumed(if_match: str | None, if_none_match: str | None) -> int | str | None:
    """Return what a request assumes of the baseline: a version, `ANY` or `NONE`."""
    if if_match is None and if_none_match is None:
        raise ProblemError(
            "precondition_required", "send `If-None-Match: *` for a new name, else `If-Match` with the ETag of GET"
        )
    if if_none_match is not None:
        if if_match is not None or if_none_match.strip() != "*":
            raise ProblemError("invalid_request", "send either `If-Match`, or `If-None-Match: *`")
        return NONE
    assert if_match is not None, "one of the two is there"
    if if_match.strip() == "*":
        return ANY
    version = re.fullmatch(r'"(\d{1,9})"', if_match.strip())
    return int(version[1]) if version else -1  # a tag that was never given out matches nothing
