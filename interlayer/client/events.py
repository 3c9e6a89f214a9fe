"""Server-sent events: what arrives, and how a broken stream is taken up again. No input or output of its own."""

import httpx

from contract.schemas import Analysis
from interlayer.client.flow import TRIES, backoff, pause_before_again, refusal, unreachable
from interlayer.client.operations import FINAL


class EventStream:
    """The events of one analysis, over as many connections as it takes."""

    def __init__(self, analysis_id: str) -> None:
        self.path = f"/v1/analyses/{analysis_id}/events"
        self.headers = {"Accept": "text/event-stream"}
        self.ended = False
        self.pause = 0.0
        self._failures = 0
        self._id = self._data = ""

    def refused(self, answer: httpx.Response) -> None:
        """Take note of an answer that is not 200, whose body has been read."""
        pause = pause_before_again(answer, self._failures, repeatable=True)
        self._failures += 1
        if pause is None or self._failures >= TRIES:
            raise refusal(answer)
        self.pause = pause

    def broken(self, error: httpx.TransportError) -> None:
        """Take note of a connection that broke."""
        self._failures += 1
        if self._failures >= TRIES:
            raise unreachable(error) from error
        self.pause = backoff(self._failures)

    def line(self, line: str) -> Analysis | None:
        """Read one line; return the analysis where it completes an event."""
        if line.startswith("id:"):
            self._id = line[3:].strip()
        elif line.startswith("data:"):
            self._data += line[5:].removeprefix(" ")
        elif not line and self._data:  # the fields of an event come in any order, and an empty line ends it
            analysis = Analysis.model_validate_json(self._data)
            self.headers["Last-Event-ID"], self._data = self._id, ""
            self._failures, self.pause = 0, 0.2
            self.ended = analysis.status in FINAL
            return analysis
        return None

    def reconnected(self) -> None:
        """Forget the half of an event that a broken connection left."""
        self._data = ""
