"""API keys of the caller's tenant."""

from typing import Annotated

from fastapi import APIRouter, Body, Path

from contract.schemas import Key, KeyRequest, NewKey, ProblemError, Rotation
from service.deps import Administrator, WithStores

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.get("", operation_id="list_keys")
def list_keys(found: WithStores, caller: Administrator) -> list[Key]:
    """List the keys, without their secrets."""
    return found.keys.list(caller.tenant)


@router.post("", status_code=201, operation_id="create_key")
def create_key(body: KeyRequest, found: WithStores, caller: Administrator) -> NewKey:
    """Make a key. The answer is the only place where its secret ever stands."""
    expires_at = None if body.expires_at is None else body.expires_at.timestamp()
    return found.keys.create(caller.tenant, body.name, body.scopes, expires_at=expires_at)


@router.post("/{key_id}/rotate", operation_id="rotate_key")
def rotate_key(
    key_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")],
    found: WithStores,
    caller: Administrator,
    body: Annotated[Rotation, Body(default_factory=Rotation)],
) -> NewKey:
    """Give a key a new secret, shown only now. The old one stays valid for a while, so that nothing stands still."""
    rotated = found.keys.rotate(caller.tenant, key_id, body.overlap_seconds)
    if rotated is None:
        raise ProblemError("not_found", f"there is no key {key_id}")
    return rotated


@router.delete("/{key_id}", status_code=204, operation_id="delete_key")
def delete_key(
    key_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")], found: WithStores, caller: Administrator
) -> None:
    """Revoke a key at once."""
    if not found.keys.delete(caller.tenant, key_id):
        raise ProblemError("not_found", f"there is no key {key_id}")
