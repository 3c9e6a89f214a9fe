"""Templates as responses; problems, and people who are not signed in, as pages of their own."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from contract.keys import Caller
from contract.schemas import Problem, ProblemError
from interlayer.render.text import count, shortened, visible
from interlayer.render.wording import link_to, section_of
from service.pages import assets
from service.sessions import signed_in

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none at all, browsers would not say which page a form comes from
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NOW_SECONDS = 5
_NO_PAGE = "there is no such page; the menu above lists what there is"
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class PageRoute(APIRoute):
    """A route whose problems are pages, and where who is not signed in is asked to."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, wrapped."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except ProblemError as error:
                problem = error.problem
            except RequestValidationError as error:
                problem = _invalid(error)
            if problem.code == "unauthorized":
                return to_sign_in(request)
            return problem_page(request, problem)

        return handler


def page(
    request: Request, template: str, caller: Caller | None = None, *, status_code: int = 200, **context: object
) -> HTMLResponse:
    """Return a template as a page."""
    here = request.url.path
    content = _templates().get_template(template).render(caller=caller, here=here, **context)
    return HTMLResponse(content, status_code, HEADERS)


def problem_page(request: Request, problem: Problem) -> HTMLResponse:
    """Return a problem as a page that says what to do."""
    answer = page(request, "problem.html", signed_in_or_none(request), status_code=problem.status, problem=problem)
    if problem.retryable:
        answer.headers["Retry-After"] = "30"
    return answer


def missing_page(request: Request) -> HTMLResponse:
    """Return the page of an address at which there is none."""
    return problem_page(request, Problem.of("not_found", _NO_PAGE))


def signed_in_or_none(request: Request) -> Caller | None:
    """Return who looks at a page that anybody may see."""
    try:
        return signed_in(request, request.app.state.stores.sessions)
    except ProblemError:  # a page of another site asks: to it, nobody is signed in
        return None


def to_sign_in(request: Request) -> RedirectResponse:
    """Send a browser to the sign-in page, from which it comes back."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    ended = "&ended=1" if request.cookies else ""
    onward = f"?next={quote(target, safe='')}{ended}" if request.method == "GET" and target != "/" else "?" + ended[1:]
    return see_other(f"/sign-in{onward.rstrip('?')}")


def see_other(path: str) -> RedirectResponse:
    """Send a browser to another page of ours."""
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def own_path(target: str) -> str:
    """Return `target` if it is a path of this service, else the first page."""
    parts = urlsplit(target)
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return target if safe and target.isprintable() else "/"


def _invalid(error: RequestValidationError) -> Problem:
    if any(item["loc"][0] == "path" for item in error.errors()):
        return Problem.of("not_found", _NO_PAGE)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"][1:]))
    return Problem.of("invalid_request", f"{where}: {first['msg'].removeprefix('Value error, ')}")


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("service.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "section": section_of,
        "link_to_section": lambda finding: link_to(section_of(finding)),
        "shortened": shortened,
        "bytes": size,
        "ago": ago,
        "moment": lambda when: f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "span": span,
    }
    environment.globals |= {"asset": assets.address, "count": count}
    return environment


def size(n_bytes: float) -> str:
    """Return a number of bytes for people."""
    unit = 0
    while n_bytes >= 1000 and unit < len(_UNITS) - 1:
        n_bytes, unit = n_bytes / 1000, unit + 1
    return f"{n_bytes:.3g} {_UNITS[unit]}" if n_bytes < 999.5 else f"{n_bytes:,.0f} {_UNITS[unit]}"


def ago(when: datetime) -> str:
    """Return how long ago something was."""
    seconds = (datetime.now(UTC) - when).total_seconds()
    return "just now" if seconds < _NOW_SECONDS else f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """Return a length of time for people."""
    if seconds < 1:
        return "less than a second"
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 1.5 * length:
            return count(round(seconds / length), unit)
    return count(round(seconds), "second")
