"""The client that awaits."""

import asyncio
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from contract.schemas import Analysis, Artifact
from interlayer.client import history, operations, uploads
from interlayer.client.blocking import with_self
from interlayer.client.connection import options
from interlayer.client.events import EventStream
from interlayer.client.flow import Call, Flow, Pause, Step

P = ParamSpec("P")
T = TypeVar("T")


def awaiting(flow: Callable[P, Flow[T]]) -> Callable[Concatenate["AsyncClient", P], Coroutine[Any, Any, T]]:
    """Make a coroutine method of a flow."""

    @wraps(flow)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(flow(*args, **kwargs))

    return with_self(method, flow)


class AsyncClient:
    """A connection to one service, for asyncio: the methods of `Client`, awaited. Files are read in threads.

    Use it as an asynchronous context manager, or call `close`. Parameters and errors are those of `Client`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 90.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**options(url, key, timeout), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def upload(self, path: Path | str, *, on_progress: Callable[[int, int], None] | None = None) -> Artifact:
        """Upload a file, unless the service has these very bytes already; see `Client.upload`."""
        return await self._run(uploads.upload(path, server=str(self._http.base_url), on_progress=on_progress))

    async def events(self, analysis_id: str) -> AsyncIterator[Analysis]:
        """Yield the analysis whenever it changes, until it has ended. A broken connection is taken up again."""
        stream = EventStream(analysis_id)
        while not stream.ended:
            try:
                async with self._http.stream("GET", stream.path, headers=stream.headers) as answer:
                    if answer.status_code != 200:
                        await answer.aread()
                        stream.refused(answer)
                    else:
                        async for line in answer.aiter_lines():
                            if (analysis := stream.line(line)) is not None:
                                yield analysis
            except httpx.TransportError as error:
                stream.broken(error)
            stream.reconnected()
            if not stream.ended:
                await sleep(stream.pause)

    artifact = awaiting(operations.artifact)
    delete_artifact = awaiting(operations.delete_artifact)
    submit = awaiting(operations.submit)
    estimate = awaiting(operations.estimate)
    status = awaiting(operations.status)
    analyses = awaiting(operations.analyses)
    wait = awaiting(operations.wait)
    cancel = awaiting(operations.cancel)
    retry = awaiting(operations.retry)
    layers = awaiting(operations.layers)
    delete_analysis = awaiting(operations.delete_analysis)
    report = awaiting(history.report)
    report_as = awaiting(history.report_as)
    chart = awaiting(history.chart)
    table = awaiting(history.table)
    push_report = awaiting(history.push_report)
    reports = awaiting(history.reports)
    delete_report = awaiting(history.delete_report)
    baselines = awaiting(history.baselines)
    baseline = awaiting(history.baseline)
    baseline_history = awaiting(history.baseline_history)
    bless = awaiting(history.bless)
    delete_baseline = awaiting(history.delete_baseline)
    compare = awaiting(history.compare)
    api_keys = awaiting(operations.api_keys)
    create_key = awaiting(operations.create_key)
    rotate_key = awaiting(operations.rotate_key)
    audit_log = awaiting(operations.audit_log)
    delete_key = awaiting(operations.delete_key)
    capabilities = awaiting(operations.capabilities)
    models = awaiting(operations.models)
    ready = awaiting(operations.ready)

    async def _run(self, flow: Flow[T]) -> T:
        """Perform the steps of a flow; what goes wrong with one is the flow's to judge."""
        result: Any = None
        error: Exception | None = None
        while True:
            try:
                step = flow.send(result) if error is None else flow.throw(error)
            except StopIteration as stop:
                value: T = stop.value
                return value
            try:
                result, error = await self._perform(step), None
            except Exception as failure:
                error = failure

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Call):
            return await self._http.request(
                step.method, step.path, params=step.params, headers=step.headers, content=step.content
            )
        if isinstance(step, Pause):
            return await sleep(step.seconds)
        return await asyncio.to_thread(step.run)
