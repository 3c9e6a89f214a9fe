"""Sign in with an API key, and out."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from service.deps import WithStores, note_failure
from service.pages.answers import PageRoute, own_path, page, see_other
from service.sessions import forget, remember, require_own_page

router = APIRouter(route_class=PageRoute)


@router.get("/sign-in")
def sign_in_page(request: Request, next: str = "/", ended: bool = False) -> Response:  # noqa: A002 - the usual name in such an address
    """Ask for a key."""
    return page(request, "sign_in.html", onward=own_path(next), ended=ended, refused=False)


@router.post("/sign-in")
def sign_in(
    request: Request,
    found: WithStores,
    key: Annotated[str, Form(max_length=400)] = "",
    onward: Annotated[str, Form(max_length=4000)] = "/",
) -> Response:
    """Begin a session, and go on to the page that was asked for."""
    require_own_page(request)
    caller = found.keys.authenticate(key.strip())
    if caller is None:
        note_failure(request, found, key.strip())
        return page(request, "sign_in.html", status_code=401, onward=own_path(onward), ended=False, refused=True)
    answer = see_other(own_path(onward))
    remember(answer, request, found.sessions.start(caller))
    return answer


@router.post("/sign-out")
def sign_out(request: Request, found: WithStores) -> Response:
    """End the session."""
    require_own_page(request)
    answer = see_other("/sign-in")
    forget(answer, request, found.sessions)
    return answer
