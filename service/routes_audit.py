"""The audit log of the caller's tenant."""

from typing import Annotated

from fastapi import APIRouter, Query

from contract.schemas import AuditPage
from service.deps import Administrator, WithStores
from service.pagination import decode_cursor, encode_cursor

router = APIRouter(prefix="/v1/audit", tags=["keys"])


@router.get("", operation_id="list_audit")
def list_audit(
    found: WithStores,
    caller: Administrator,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> AuditPage:
    """List who changed what and how that ended, newest first."""
    before = None if cursor is None else decode_cursor(cursor)
    items = found.audit_log.newest(caller.tenant, limit=limit + 1, before=before)
    more = len(items) > limit
    return AuditPage(items=items[:limit], next_cursor=encode_cursor(items[limit - 1].id) if more else None)
