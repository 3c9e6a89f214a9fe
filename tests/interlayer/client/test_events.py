"""The stream of an analysis, over connections that break."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from interlayer.errors import RequestRefused, ServiceUnreachable
from tests.interlayer.client.scripted import Either, Script, analysis, refused

Make = Callable[[Any], Either]
AN = "an_" + "0" * 30


def event(number: int, state: dict[str, Any]) -> str:
    return f"event: analysis\ndata: {json.dumps(state)}\nid: {number}\n\n"


class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off behind some text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Iterator[bytes]:
        yield self._text.encode()
        raise httpx.ReadError("reset")

    async def __aiter__(self) -> Any:
        yield self._text.encode()
        raise httpx.ReadError("reset")


def stream(*events: str) -> httpx.Response:
    return httpx.Response(200, text="".join(events))


def test_events_until_the_end(either: Make) -> None:
    script = Script([stream(": hello\n\n", event(1, analysis("running", 0.5)), event(2, analysis()))])
    assert [found.status for found in either(script).events(AN)] == ["running", "succeeded"]
    assert script.requests[0].headers["Accept"] == "text/event-stream"
    assert "Last-Event-ID" not in script.requests[0].headers


def test_a_broken_stream_is_taken_up_behind_the_last_whole_event(either: Make, pauses: list[float]) -> None:
    half = event(8, analysis("running", 0.6))[:40]
    outcomes: list[httpx.Response | Exception] = [
        httpx.Response(200, stream=Broken(event(7, analysis("running", 0.5)) + half)),
        refused("not_ready"),
        httpx.ConnectError("refused"),
        stream(event(8, analysis("running", 0.6))),
        stream(event(9, analysis("canceled"))),
    ]
    script = Script(outcomes)
    found = either(script).events(AN)
    assert [(item.status, item.progress.fraction) for item in found] == [
        ("running", 0.5),
        ("running", 0.6),
        ("canceled", 1.0),
    ]
    ids = [request.headers.get("Last-Event-ID") for request in script.requests]
    assert ids == [None, "7", "7", "7", "8"]


def test_a_service_that_stays_away_is_given_up(either: Make, pauses: list[float]) -> None:
    with pytest.raises(ServiceUnreachable):
        either(Script([httpx.ConnectError("refused")] * 4)).events(AN)
    with pytest.raises(RequestRefused, match="not_ready"):
        either(Script([refused("not_ready")] * 4)).events(AN)


def test_an_analysis_that_does_not_exist_has_no_events(either: Make) -> None:
    with pytest.raises(RequestRefused, match="not_found"):
        either(Script([refused("not_found")])).events(AN)
