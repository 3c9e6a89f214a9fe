"""The service that is started for the study, and what it is asked."""

import functools
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from contract.schemas import Analysis, AnalysisRequest, InputReference
from examples.digits.activations import Recording
from examples.digits.data import Study
from interlayer.client import Client

# Parts of the network whose contribution is tested as a whole: those of the paper's tables S-5 and S-4.
COMPONENTS = {
    "blocks": ["0.Input", "2.MaxPool", "4.MaxPool", "5.ReLU", "6.Softmax"],
    "activated layers": [
        "0.Input",
        "1.ReLU",
        "2.ReLU",
        "2.MaxPool",
        "3.ReLU",
        "4.ReLU",
        "4.MaxPool",
        "5.ReLU",
        "6.Softmax",
    ],
}
START_SECONDS = 90
STOP_SECONDS = 60


@contextmanager
def embedded_service(data: Path) -> Iterator[Client]:
    """Run the whole service on this machine, with everything it keeps under `data`, for as long as the block lasts."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / "service.log"
    command = [sys.executable, "-m", "interlayer", "up", "--host", "127.0.0.1", "--port", "0", "--data", str(data)]
    with log.open("ab") as errors:
        # A session of its own: Ctrl-C reaches the study alone, which then stops the service in order.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
    try:
        ready = _first_line(process)
        if not ready:
            raise RuntimeError(f"the service did not start; its log is {log}")
        address = json.loads(ready)
        with Client(address["url"], address["key"]) as client:
            yield client
    finally:
        _stop(process)


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    return process.stdout.readline() if readable else b""


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        # Too slow, or Ctrl-C again.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def submit(client: Client, study: Study, files: Sequence[Recording]) -> Analysis:
    """Upload the files of a study and ask for its analysis; the same study is analysed once by the same code."""
    inputs = []
    for file in files:
        artifact = client.upload(file.path)
        inputs.append(InputReference(artifact=artifact.id, state=file.state, split=file.split, instance=file.instance))
    request = AnalysisRequest(inputs=inputs, components=COMPONENTS, tags={"study": study.name})
    found = client.submit(request, idempotency_key=f"{study.name}-{_request_key(request)}")
    if found.status in ("failed", "canceled"):
        found = client.submit(request)
    _cancel_others(client, study, found)
    return found


def _cancel_others(client: Client, study: Study, wanted: Analysis) -> None:
    """Cancel what an interrupted run of other code has left in the queue: it would only be waited for."""
    for status in ("queued", "running"):
        for analysis in client.analyses(tag=f"study:{study.name}", status=status).items:
            if analysis.id != wanted.id:
                client.cancel(analysis.id)


def _request_key(request: AnalysisRequest) -> str:
    """Give a digest of the request and of the code that answers it."""
    return hashlib.sha256(request.model_dump_json().encode() + _code_digest()).hexdigest()[:32]


@functools.cache
def _code_digest() -> bytes:
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for package in ("contract", "hpcore", "worker"):
        for source in sorted((root / package).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.digest()
