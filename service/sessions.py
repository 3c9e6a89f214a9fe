"""The session cookie of the pages, and the proof that a change was asked for by one of our own pages."""

from urllib.parse import urlsplit

from fastapi import Request, Response

from contract.keys import Caller
from contract.schemas import ProblemError
from contract.sessions import SESSION_SECONDS, Sessions

_COOKIE = "interlayer_session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def signed_in(request: Request, sessions: Sessions) -> Caller | None:
    """Return whose session cookie the request carries, None where there is none that is valid.

    Raises
    ------
    ProblemError
        `cross_site_request` where somebody else's page made a signed-in browser ask for a change.
    """
    secret = request.cookies.get(_COOKIE)
    caller = None if secret is None else sessions.caller(secret)
    if caller is not None and request.method not in _SAFE_METHODS:
        require_own_page(request)
    return caller


def require_own_page(request: Request) -> None:
    """Refuse a change that another site's page asks for: browsers name the asking page in `Origin`."""
    origin = urlsplit(request.headers.get("origin", ""))
    if not origin.netloc or origin.netloc != request.headers.get("host"):
        raise ProblemError(
            "cross_site_request", "this was not asked for by a page of this service; open the page anew and try again"
        )


def remember(response: Response, request: Request, secret: str) -> None:
    """Give the browser a session: no script can read the cookie, and no other site can make a browser send it."""
    response.set_cookie(
        _COOKIE,
        secret,
        max_age=round(SESSION_SECONDS),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def forget(response: Response, request: Request, sessions: Sessions) -> None:
    """End the session of the request, here and in the browser."""
    secret = request.cookies.get(_COOKIE)
    if secret is not None:
        sessions.end(secret)
    response.delete_cookie(_COOKIE, httponly=True, samesite="strict")
