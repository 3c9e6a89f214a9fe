"""What this installation offers: formats, devices, limits, registered models."""

from fastapi import APIRouter, Request, Response

from contract.registry import load_registry
from service.deps import Reader, WithStores
from service.pages.answers import PageRoute, page
from service.routes_meta import get_capabilities

router = APIRouter(route_class=PageRoute)


@router.get("/limits")
def limits(request: Request, found: WithStores, caller: Reader) -> Response:
    """Show models and limits."""
    registry = load_registry(found.settings.models_file)
    return page(request, "limits.html", caller, offered=get_capabilities(found, caller), registry=registry)
