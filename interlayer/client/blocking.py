"""The client that blocks."""

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from contract.schemas import Analysis, Artifact
from interlayer.client import history, operations, uploads
from interlayer.client.connection import options
from interlayer.client.events import EventStream
from interlayer.client.flow import Call, Flow, Pause, Step

P = ParamSpec("P")
T = TypeVar("T")


def blocking(flow: Callable[P, Flow[T]]) -> Callable[Concatenate["Client", P], T]:
    """Make a method of a flow."""

    @wraps(flow)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(flow(*args, **kwargs))

    return with_self(method, flow)


def with_self(method: Callable[P, T], flow: Callable[..., Any]) -> Callable[P, T]:
    """Give a method the signature of its flow behind `self`, which is what `help` shows."""
    signature = inspect.signature(flow)
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    vars(method)["__signature__"] = signature.replace(parameters=[this, *signature.parameters.values()])
    return method


class Client:
    """A connection to one service. Use it as a context manager, or call `close`.

    Requests that did not get through are sent again, and refused ones where the service asks for that, as far as
    either can do no harm. Where a method takes a `reference` to a report, that is the id of an analysis (`an_…`), the
    id of a report in the history (`rp_…`), or the name of a baseline.

    Parameters
    ----------
    url, key
        Address and API key; by default those of the environment, INTERLAYER_SERVER and INTERLAYER_KEY.
    timeout
        Seconds without any byte from the service before a request counts as failed.
    transport
        Another httpx transport: a proxy of yours, a test.

    Raises
    ------
    ServiceUnreachable, RequestRefused
        From every method: no answer, or the service's problem.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 90.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(**options(url, key, timeout), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def upload(self, path: Path | str, *, on_progress: Callable[[int, int], None] | None = None) -> Artifact:
        """Upload a file, unless the service has these very bytes already.

        A large file goes in parts: after an interruption, by this process or by a new one, it goes on where it stopped.
        `on_progress` is called with (bytes sent, bytes).
        """
        return self._run(uploads.upload(path, server=str(self._http.base_url), on_progress=on_progress))

    def events(self, analysis_id: str) -> Iterator[Analysis]:
        """Yield the analysis whenever it changes, until it has ended. A broken connection is taken up again."""
        stream = EventStream(analysis_id)
        while not stream.ended:
            try:
                with self._http.stream("GET", stream.path, headers=stream.headers) as answer:
                    if answer.status_code != 200:
                        answer.read()
                        stream.refused(answer)
                    else:
                        for line in answer.iter_lines():
                            if (analysis := stream.line(line)) is not None:
                                yield analysis
            except httpx.TransportError as error:
                stream.broken(error)
            stream.reconnected()
            if not stream.ended:
                sleep(stream.pause)

    artifact = blocking(operations.artifact)
    delete_artifact = blocking(operations.delete_artifact)
    submit = blocking(operations.submit)
    estimate = blocking(operations.estimate)
    status = blocking(operations.status)
    analyses = blocking(operations.analyses)
    wait = blocking(operations.wait)
    cancel = blocking(operations.cancel)
    retry = blocking(operations.retry)
    layers = blocking(operations.layers)
    delete_analysis = blocking(operations.delete_analysis)
    report = blocking(history.report)
    report_as = blocking(history.report_as)
    chart = blocking(history.chart)
    table = blocking(history.table)
    push_report = blocking(history.push_report)
    reports = blocking(history.reports)
    delete_report = blocking(history.delete_report)
    baselines = blocking(history.baselines)
    baseline = blocking(history.baseline)
    baseline_history = blocking(history.baseline_history)
    bless = blocking(history.bless)
    delete_baseline = blocking(history.delete_baseline)
    compare = blocking(history.compare)
    api_keys = blocking(operations.api_keys)
    create_key = blocking(operations.create_key)
    rotate_key = blocking(operations.rotate_key)
    audit_log = blocking(operations.audit_log)
    delete_key = blocking(operations.delete_key)
    capabilities = blocking(operations.capabilities)
    models = blocking(operations.models)
    ready = blocking(operations.ready)

    def _run(self, flow: Flow[T]) -> T:
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
                result, error = self._perform(step), None
            except Exception as failure:
                error = failure

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Call):
            return self._http.request(
                step.method, step.path, params=step.params, headers=step.headers, content=step.content
            )
        if isinstance(step, Pause):
            return sleep(step.seconds)
        return step.run()
