"""Both clients against a service that answers as a test says, and tus as its specification has it."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from contract.schemas import Analysis, Problem
from interlayer.client import AsyncClient, Client

URL = "http://lab.example"
Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class Either:
    """One of the two clients, called as if it blocked."""

    kind: str
    handler: Handler

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a fresh client."""
        transport = httpx.MockTransport(self.handler)
        if self.kind == "blocking":
            with Client(URL, "il_key", transport=transport) as client:
                return getattr(client, method)(*args, **kwargs)

        async def call() -> Any:
            async with AsyncClient(URL, "il_key", transport=transport) as client:
                return await getattr(client, method)(*args, **kwargs)

        return asyncio.run(call())

    def events(self, analysis_id: str) -> list[Analysis]:
        """Return every event of an analysis."""
        transport = httpx.MockTransport(self.handler)
        if self.kind == "blocking":
            with Client(URL, "il_key", transport=transport) as client:
                return list(client.events(analysis_id))

        async def collect() -> list[Analysis]:
            async with AsyncClient(URL, "il_key", transport=transport) as client:
                return [analysis async for analysis in client.events(analysis_id)]

        return asyncio.run(collect())


@dataclass
class Script:
    """Answers one after the other; an exception is raised instead of answered."""

    outcomes: Iterable[httpx.Response | Exception]
    requests: list[httpx.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = iter(self.outcomes)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.requests.append(request)
        outcome = next(self._left)
        if isinstance(outcome, Exception):
            raise outcome
        return fresh(outcome)


def fresh(answer: httpx.Response) -> httpx.Response:
    """Return an answer that no client has used: a test may name one several times."""
    if not answer.is_stream_consumed:
        return answer
    return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)


def ok(body: Any, **headers: str) -> httpx.Response:
    """Answer with JSON."""
    return httpx.Response(200, content=json.dumps(body).encode(), headers=headers)


def refused(code: str, **headers: str) -> httpx.Response:
    """Answer with a problem."""
    problem = Problem.of(code, "a detail that says what to do")
    return httpx.Response(
        problem.status, content=problem.to_bytes(), headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def analysis(status: str = "succeeded", fraction: float = 1.0) -> dict[str, Any]:
    """Return an analysis as the service describes it."""
    return {
        "id": "an_" + "0" * 30,
        "status": status,
        "created_at": 0,
        "started_at": None,
        "finished_at": None,
        "tags": {},
        "progress": {"stage": "a layer", "done": 0, "total": 1, "fraction": fraction},
        "error": None,
        "execution": {"device": None, "attempts": 1, "workers": [], "durations": {}},
        "report": None,
    }


def artifact(content: bytes) -> dict[str, Any]:
    """Return an artifact as the service describes it."""
    return {
        "id": "sha256:" + hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "kind": "activations",
        "format": "npz",
        "status": "pending",
        "created_at": 0,
        "expires_at": None,
    }


class TusService:
    """Uploads in parts, in memory. `faults` are consulted before a part is taken and after, one for each part."""

    def __init__(self) -> None:
        self.uploads: dict[str, tuple[int, bytearray]] = {}
        self.kept: dict[str, bytes] = {}
        self.before: list[httpx.Response | Exception | None] = []
        self.after: list[httpx.Response | Exception | None] = []
        self.log: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        path = request.url.path
        self.log.append(f"{request.method} {path.rpartition('/')[0]}")
        if path.startswith("/v1/artifacts"):
            return self._artifact(request)
        assert request.headers["Tus-Resumable"] == "1.0.0"
        if request.method == "POST":
            location = f"/v1/uploads/{len(self.uploads)}"
            self.uploads[location] = (int(request.headers["Upload-Length"]), bytearray())
            return httpx.Response(201, headers={"Location": URL + location})
        if path not in self.uploads:
            return refused("not_found")
        length, received = self.uploads[path]
        if request.method == "PATCH":
            if fault := self._next(self.before):
                return fault
            if int(request.headers["Upload-Offset"]) != len(received):
                return httpx.Response(409)
            digest = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
            assert request.headers["Upload-Checksum"] == f"sha256 {digest}"
            received += request.content
            if len(received) == length:
                self.kept[hashlib.sha256(received).hexdigest()] = bytes(received)
            if fault := self._next(self.after):
                return fault
        return httpx.Response(204, headers={"Upload-Offset": str(len(received)), "Upload-Length": str(length)})

    def _next(self, faults: list[httpx.Response | Exception | None]) -> httpx.Response | None:
        fault = faults.pop(0) if faults else None
        if isinstance(fault, Exception):
            raise fault
        return None if fault is None else fresh(fault)

    def _artifact(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            content = request.read()
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            assert request.headers["Repr-Digest"] == f"sha-256=:{digest}:"
            self.kept[hashlib.sha256(content).hexdigest()] = content
            return ok(artifact(content))
        sha256 = request.url.path.rpartition(":")[2]
        return ok(artifact(self.kept[sha256])) if sha256 in self.kept else refused("artifact_not_found")
