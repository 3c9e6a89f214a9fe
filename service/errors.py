"""The one place where errors become HTTP answers: always `application/problem+json`, always a stable code."""

import re
import sqlite3
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException

from contract.schemas import FieldError, Problem, ProblemError
from contract.stores import StoreUnavailable

MEDIA_TYPE = "application/problem+json"
_CODE_OF_STATUS = {400: "invalid_json", 404: "not_found", 405: "method_not_allowed", 406: "not_acceptable"}
_MOST_FIELD_ERRORS = 20
_POSTGRESQL_DISK_FULL = "53100"
_RETRY_AFTER_SECONDS = {"queue_full": "30", "insufficient_storage": "60", "not_ready": "5"}
_KEY = re.compile(rb"il_[0-9a-f]{16}_[A-Za-z0-9_-]+")
log = structlog.get_logger()


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return a problem as an HTTP answer."""
    all_headers = dict(headers or {})
    if problem.code == "unauthorized":
        all_headers["WWW-Authenticate"] = 'Bearer realm="interlayer"'
    if problem.code in _RETRY_AFTER_SECONDS:
        all_headers["Retry-After"] = _RETRY_AFTER_SECONDS[problem.code]
    # A key that somebody put into an address, or into a field, is not said back.
    return Response(_KEY.sub(b"il_(key)", problem.to_bytes()), problem.status, all_headers, MEDIA_TYPE)


def install(app: FastAPI, missing_page: Callable[[Request], Response]) -> None:
    """Translate every exception of the application; a browser gets a page where there is nothing."""

    @app.exception_handler(ProblemError)
    async def _ours(request: Request, error: ProblemError) -> Response:
        return problem_response(error.problem.model_copy(update={"instance": request.url.path}), error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        problems = error.errors()
        if any(item["loc"][0] == "path" for item in problems):  # an id that cannot exist is an id that does not exist
            return problem_response(_not_found(request))
        return problem_response(
            Problem.of("invalid_request", _summary(problems), errors=_fields(problems), instance=request.url.path)
        )

    @app.exception_handler(HTTPException)
    async def _framework(request: Request, error: HTTPException) -> Response:
        code = _CODE_OF_STATUS.get(error.status_code, "invalid_request")
        if code == "not_found":
            return missing_page(request) if _from_a_browser(request) else problem_response(_not_found(request))
        problem = Problem.of(code, str(error.detail), instance=request.url.path)
        # What the framework answers keeps its status, even where the catalogue knows the code under another one.
        title = HTTPStatus(error.status_code).phrase if problem.status != error.status_code else problem.title
        problem = problem.model_copy(update={"status": error.status_code, "title": title})
        return problem_response(problem, dict(error.headers or {}))

    @app.exception_handler(OperationalError)
    @app.exception_handler(NoConnection)
    async def _database(request: Request, error: OperationalError | NoConnection) -> Response:
        log.error("the database does not answer", path=request.url.path, error=str(error))
        if _is_full(error):
            return problem_response(Problem.of("insufficient_storage", "the disk of the database is full; try later"))
        return problem_response(Problem.of("not_ready", "the database does not answer; try again in a moment"))

    @app.exception_handler(StoreUnavailable)
    async def _store(request: Request, error: StoreUnavailable) -> Response:
        log.error("the store of files does not answer", path=request.url.path, error=str(error))
        return problem_response(Problem.of("not_ready", "the store of files does not answer; try again in a moment"))

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        log.error("request failed", path=request.url.path, request=request.state.request_id, exc_info=error)
        problem = Problem.of("internal_error", "the request failed; the service's log says more")
        return problem_response(problem, {"X-Request-Id": request.state.request_id})


def _is_full(error: OperationalError | NoConnection) -> bool:
    original = getattr(error, "orig", None)
    sqlite_code, sqlstate = getattr(original, "sqlite_errorcode", None), getattr(original, "sqlstate", None)
    return sqlite_code == sqlite3.SQLITE_FULL or sqlstate == _POSTGRESQL_DISK_FULL


def _from_a_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/v1/")


def _not_found(request: Request) -> Problem:
    detail = f"there is no resource at {request.url.path}; /docs lists what there is"
    return Problem.of("not_found", detail, instance=request.url.path)


def _fields(problems: Sequence[Any]) -> list[FieldError]:
    return [
        FieldError(
            pointer="/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in item["loc"]),
            message=item["msg"].removeprefix("Value error, "),
        )
        for item in problems[:_MOST_FIELD_ERRORS]
    ]


def _summary(problems: Sequence[Any]) -> str:
    first = _fields(problems)[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{first.pointer}: {first.message}{more}"
