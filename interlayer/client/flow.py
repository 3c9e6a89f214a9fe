"""What a call of the service does, told without doing it: a flow yields steps, and either client performs them.

A flow is written once, as a generator, and is the same for `Client` and `AsyncClient`.
"""

import json
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from contract.schemas import Problem
from interlayer.errors import RequestRefused, ServiceUnreachable

JSON = {"Content-Type": "application/json"}
TRIES = 4
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0  # who is told to come back later than this is told so at once
_NOT_CARRIED_OUT = (429, 503)
_PERHAPS_CARRIED_OUT = (502, 504)
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Call:
    """One HTTP request. One that is `repeatable` does no harm if the service carries it out twice."""

    method: str
    path: str
    params: Mapping[str, str | int | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    allowed: tuple[int, ...] = ()  # statuses, beside those of success, that are an answer
    repeatable: bool = True


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Something that blocks, such as reading a file; its result is what the step gives."""

    run: Callable[[], Any]


Step = Call | Pause | Work
Flow = Generator[Step, Any, T]


def answered(call: Call) -> Flow[httpx.Response]:
    """Send a request, and again where that can help and do no harm.

    Raises
    ------
    ServiceUnreachable, RequestRefused
        There is no answer; the answer is a problem.
    """
    for attempt in range(TRIES):
        last = attempt == TRIES - 1
        pause: float | None
        try:
            answer: httpx.Response = yield call
        except httpx.TransportError as error:
            never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            if last or not (never_sent or call.repeatable):
                raise unreachable(error) from error
            pause = backoff(attempt)
        else:
            if answer.is_success or answer.status_code in call.allowed:
                return answer
            pause = pause_before_again(answer, attempt, repeatable=call.repeatable)
            if last or pause is None:
                raise refusal(answer)
        yield Pause(pause)
    raise AssertionError("the last attempt returns or raises")


def backoff(attempt: int) -> float:
    """Return the seconds before the next attempt: twice as long each time, and not the same for every client."""
    return _FIRST_PAUSE_SECONDS * 2.0**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - no secret


def pause_before_again(answer: httpx.Response, attempt: int, *, repeatable: bool) -> float | None:
    """Return the seconds after which a refused request may be sent again, None where that would be wrong."""
    if answer.status_code not in _NOT_CARRIED_OUT and not (repeatable and answer.status_code in _PERHAPS_CARRIED_OUT):
        return None
    wanted = answer.headers.get("Retry-After", "")
    pause = float(wanted) if wanted.isdecimal() else backoff(attempt)
    return pause if pause <= _LONGEST_PAUSE_SECONDS else None


def unreachable(error: httpx.TransportError) -> ServiceUnreachable:
    """Return the error for a service that does not answer."""
    url = error.request.url
    return ServiceUnreachable(
        f"the service at {url.scheme}://{url.netloc.decode()} does not answer ({error}); is it running?"
    )


def refusal(answer: httpx.Response) -> RequestRefused:
    """Return the error for an answer that is a problem, or a proxy's page."""
    try:
        return RequestRefused(Problem.model_validate_json(answer.content))
    except ValueError:
        code = "not_ready" if answer.status_code in _NOT_CARRIED_OUT + _PERHAPS_CARRIED_OUT else "internal_error"
        problem = Problem.of(code, f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}")
        return RequestRefused(problem.model_copy(update={"status": answer.status_code}))


def resource(call: Call, model: type[M]) -> Flow[M]:
    """Send a request whose answer is one resource."""
    return (yield from _parsed(call, model.model_validate_json))


def resources(call: Call, model: type[M]) -> Flow[list[M]]:
    """Send a request whose answer is a list of resources."""
    adapter: TypeAdapter[list[M]] = TypeAdapter(list[model])  # type: ignore[valid-type]  # a type made at run time
    return (yield from _parsed(call, adapter.validate_json))


def _parsed(call: Call, parse: Callable[[bytes], T]) -> Flow[T]:
    answer = yield from answered(call)
    try:
        return parse(answer.content)
    except ValidationError as error:
        raise ServiceUnreachable(
            f"{answer.request.url} answered with something else than expected; is this the address of a service, "
            "and is the client as new as it?"
        ) from error


def content(call: Call) -> Flow[bytes]:
    """Send a request whose answer is a file."""
    return (yield from answered(call)).content


def done(call: Call) -> Flow[None]:
    """Send a request whose answer says no more than that it is done."""
    yield from answered(call)


def json_body(value: Any) -> bytes:
    """Return a value as the JSON of a request."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def page(limit: int, cursor: str | None) -> dict[str, str | int | float]:
    """Return the parameters of one page of a list."""
    return {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}
