"""API keys of the tenant, for administrators."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import ValidationError

from contract.schemas import KeyRequest, NewKey
from service.deps import Administrator, Stores, WithStores
from service.pages.answers import PageRoute, page, see_other
from service.routes_keys import create_key, delete_key, list_keys

router = APIRouter(route_class=PageRoute)


@router.get("/keys")
def keys(request: Request, found: WithStores, caller: Administrator) -> Response:
    """List the keys."""
    return _page(request, found, caller)


@router.post("/keys")
def create(
    request: Request,
    found: WithStores,
    caller: Administrator,
    name: Annotated[str, Form(max_length=400)] = "",
    scopes: Annotated[list[str] | None, Form()] = None,
    days: Annotated[str, Form(max_length=6)] = "",
) -> Response:
    """Make a key and show its secret, this once."""
    expires_at = datetime.now(UTC) + timedelta(days=int(days)) if days.isdecimal() else None
    try:
        body = KeyRequest.model_validate({"name": name.strip(), "scopes": scopes or [], "expires_at": expires_at})
    except ValidationError:
        refused = "A key needs a name of up to 128 characters and at least one scope."
        return _page(request, found, caller, refused=refused, status=422)
    return _page(request, found, caller, made=create_key(body, found, caller))


@router.post("/keys/{key_id}/revoke")
def revoke(key_id: str, found: WithStores, caller: Administrator) -> Response:
    """Revoke a key at once."""
    delete_key(key_id, found, caller)
    return see_other("/keys")


def _page(
    request: Request,
    found: Stores,
    caller: Administrator,
    *,
    made: NewKey | None = None,
    refused: str | None = None,
    status: int = 200,
) -> Response:
    shown = list_keys(found, caller)
    return page(
        request, "keys.html", caller, status_code=status, keys=shown, made=made, refused=refused, now=datetime.now(UTC)
    )
