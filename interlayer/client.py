"""A client of the service: upload, submit, wait, report."""

import base64
import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from contract.schemas import Analysis, AnalysisPage, AnalysisRequest, Artifact, Key, NewKey, Problem, Report
from interlayer.errors import AnalysisFailed, RequestRefused, ServiceUnreachable, TimedOut

FINAL = ("succeeded", "failed", "canceled")
_CONNECT_TRIES = 4
_BLOCK_BYTES = 2**20


class Client:
    """A connection to one service. Use it as a context manager, or call `close`.

    Parameters
    ----------
    url, key
        Address and API key; by default those of the environment, INTERLAYER_SERVER and INTERLAYER_KEY.
    timeout
        Seconds without any byte from the service before a request counts as failed.

    Raises
    ------
    ServiceUnreachable, RequestRefused
        From every method: no answer, or the service's problem.
    """

    def __init__(self, url: str | None = None, key: str | None = None, *, timeout: float = 90.0) -> None:
        url = url or os.environ.get("INTERLAYER_SERVER")
        key = key or os.environ.get("INTERLAYER_KEY")
        if not url or not key:
            raise ServiceUnreachable(
                "no service is named: set INTERLAYER_SERVER and INTERLAYER_KEY, or start one here with `interlayer up`"
            )
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def upload(self, path: Path | str) -> Artifact:
        """Upload a file of activations, unless the service has these very bytes already."""
        path = Path(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        known = self._http_request("GET", f"/v1/artifacts/sha256:{digest.hexdigest()}", allowed=(404,))
        if known.status_code == 200:
            return Artifact.model_validate_json(known.content)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(path.stat().st_size),
            "Repr-Digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
        }
        answer = self._http_request("PUT", "/v1/artifacts", content=lambda: _blocks(path), headers=headers)
        return Artifact.model_validate_json(answer.content)

    def artifact(self, artifact_id: str) -> Artifact:
        """Describe an uploaded file."""
        return Artifact.model_validate_json(self._http_request("GET", f"/v1/artifacts/{artifact_id}").content)

    def submit(self, request: AnalysisRequest, *, idempotency_key: str | None = None) -> Analysis:
        """Submit an analysis. With an idempotency key of your own, a repeated call finds the same analysis."""
        answer = self._http_request(
            "POST",
            "/v1/analyses",
            content=request.model_dump_json().encode,
            headers={"Content-Type": "application/json", "Idempotency-Key": idempotency_key or str(uuid.uuid4())},
        )
        return Analysis.model_validate_json(answer.content)

    def status(self, analysis_id: str, *, wait: float = 0) -> Analysis:
        """Tell how an analysis is doing, after up to `wait` seconds if it has not ended before."""
        answer = self._http_request("GET", f"/v1/analyses/{analysis_id}", params={"wait": wait})
        return Analysis.model_validate_json(answer.content)

    def analyses(self, *, limit: int = 50, **filters: str) -> AnalysisPage:
        """List analyses, newest first; filters are `status`, `tag` and `cursor`."""
        answer = self._http_request("GET", "/v1/analyses", params={"limit": limit, **filters})
        return AnalysisPage.model_validate_json(answer.content)

    def wait(
        self,
        analysis_id: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[Analysis], None] | None = None,
    ) -> Analysis:
        """Return the analysis once it has ended, in whatever way.

        Raises
        ------
        TimedOut
            After `timeout` seconds. The analysis goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        for analysis in self.events(analysis_id):
            if on_progress is not None:
                on_progress(analysis)
            if analysis.status in FINAL:
                return analysis
            if end is not None and time.monotonic() > end:
                break
        raise TimedOut(f"{analysis_id} has not ended after {timeout:g} s; it goes on, see `interlayer status`")

    def events(self, analysis_id: str) -> Iterator[Analysis]:
        """Yield the analysis whenever it changes, until it has ended. A broken connection is taken up again."""
        headers, tries = {"Accept": "text/event-stream"}, 0
        while True:
            try:
                for event_id, analysis in self._stream(analysis_id, headers):
                    headers["Last-Event-ID"], tries = event_id, 0
                    yield analysis
                    if analysis.status in FINAL:
                        return
            except httpx.TransportError as error:
                tries += 1
                if tries >= _CONNECT_TRIES:
                    raise ServiceUnreachable(f"the service at {self._http.base_url} went away: {error}") from error
            time.sleep(0.2 * 2**tries)

    def _stream(self, analysis_id: str, headers: dict[str, str]) -> Iterator[tuple[str, Analysis]]:
        with self._http.stream("GET", f"/v1/analyses/{analysis_id}/events", headers=headers) as answer:
            if answer.status_code != 200:
                answer.read()
                raise _refusal(answer)
            event_id = data = ""
            for line in answer.iter_lines():
                if line.startswith("id:"):
                    event_id = line[3:].strip()
                elif line.startswith("data:"):
                    data = line[5:]
                elif not line and data:  # the fields of an event come in any order, and an empty line ends it
                    yield event_id, Analysis.model_validate_json(data)
                    data = ""

    def cancel(self, analysis_id: str) -> Analysis:
        """Cancel an analysis."""
        answer = self._http_request("POST", f"/v1/analyses/{analysis_id}/cancel")
        return Analysis.model_validate_json(answer.content)

    def report(self, analysis_id: str) -> Report:
        """Return the report.

        Raises
        ------
        AnalysisFailed
            If the analysis ended without one.
        """
        return Report.model_validate_json(self.report_as(analysis_id, "json"))

    def report_as(self, analysis_id: str, extension: str) -> bytes:
        """Return the report as `json`, `html`, `md` or `csv`."""
        try:
            return self._http_request("GET", f"/v1/analyses/{analysis_id}/report.{extension}").content
        except RequestRefused as error:
            if error.problem.code in ("analysis_failed", "analysis_canceled"):
                raise AnalysisFailed(error.problem) from error
            raise

    def api_keys(self) -> list[Key]:
        """List the API keys, without their secrets."""
        return [Key.model_validate(item) for item in json.loads(self._http_request("GET", "/v1/keys").content)]

    def create_key(self, name: str, scopes: list[str]) -> NewKey:
        """Make an API key; its secret is in the answer and nowhere else."""
        body = json.dumps({"name": name, "scopes": scopes})
        answer = self._http_request(
            "POST", "/v1/keys", content=body.encode, headers={"Content-Type": "application/json"}
        )
        return NewKey.model_validate_json(answer.content)

    def delete_key(self, key_id: str) -> None:
        """Revoke an API key."""
        self._http_request("DELETE", f"/v1/keys/{key_id}")

    def _http_request(
        self,
        method: str,
        path: str,
        *,
        content: Callable[[], Any] | None = None,
        allowed: tuple[int, ...] = (),
        **options: Any,
    ) -> httpx.Response:
        """Send a request, again where that cannot do harm: every one of ours is idempotent or carries a key."""
        for attempt in range(_CONNECT_TRIES):
            last = attempt == _CONNECT_TRIES - 1
            try:
                answer = self._http.request(method, path, content=None if content is None else content(), **options)
            except httpx.TransportError as error:
                if last:
                    raise ServiceUnreachable(
                        f"the service at {self._http.base_url} does not answer ({error}); is it running?"
                    ) from error
            else:
                if answer.is_success or answer.status_code in allowed:
                    return answer
                refusal = _refusal(answer)
                if last or not refusal.problem.retryable or answer.status_code not in (429, 502, 503, 504):
                    raise refusal
            time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")


def _refusal(answer: httpx.Response) -> RequestRefused:
    try:
        return RequestRefused(Problem.model_validate_json(answer.content))
    except ValueError:  # a proxy's page, not ours
        retryable = "not_ready" if answer.status_code in (502, 503, 504) else "internal_error"
        problem = Problem.of(retryable, f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}")
        return RequestRefused(problem.model_copy(update={"status": answer.status_code}))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
