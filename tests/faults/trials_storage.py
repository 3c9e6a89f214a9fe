"""Trials about what is stored: uploads that go on, and data that expire."""

import hashlib
import io
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import httpx
import numpy as np

from contract.blobs import Blobs
from contract.job_rows import FINAL
from tests.faults import history
from tests.faults.invariants import expiries, torn_files
from tests.faults.load import Order, slow
from tests.faults.stand import Stand
from tests.faults.trials import Trial

_MEGABYTE = 2**20
_CHUNK_BYTES = 4 * _MEGABYTE
_BLOCK_BYTES = _MEGABYTE  # what a service gathers before it writes
_EXPIRY_SECONDS = 3.0
_TUS = {"Tus-Resumable": "1.0.0"}


# -- uploads that go on -----------------------------------------------------------------------------------------------


def uploads_resumed(trial: Trial) -> None:
    """The service of an upload is killed, or its client vanishes, in the middle of a chunk, again and again."""
    upload = _Resumed(trial, trial.size(24, 96) * _MEGABYTE)
    for _ in range(trial.size(5, 20)):
        upload.interrupt()
        trial.found += torn_files(trial.stand)
    artifact = upload.finish()
    trial.expect(artifact == f"sha256:{upload.sha256}", f"the upload has become {artifact}")
    stored = trial.stand.data / Blobs(trial.stand.data).artifact("a", upload.sha256)
    trial.expect(stored.exists() and stored.stat().st_size == len(upload.content), "the file is not there as it was")
    again = upload.sent - len(upload.content)
    trial.note = f"{len(upload.content) >> 20} MiB, {upload.interruptions} interruptions, {again >> 10} KiB sent again"
    trial.during(slow(trial.random, 2), lambda: None)


class _Resumed:
    """One upload of random bytes, and what its client remembers."""

    def __init__(self, trial: Trial, size: int) -> None:
        self._trial, self._stand, self._load = trial, trial.stand, trial.load
        self.content = b"PK\x03\x04" + random.Random(trial.random.getrandbits(32)).randbytes(size - 4)
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        self.sent = self.interruptions = self._furthest = 0
        answer = self._load.request("POST", "/v1/uploads", headers=_TUS | {"Upload-Length": str(size)})
        self._path = answer.headers["Location"]
        self._partial = Blobs(self._stand.data).partial(self._path.rpartition("/")[2])

    def _offset(self) -> tuple[int, str | None]:
        answer = self._load.request("HEAD", self._path, headers=_TUS)
        return int(answer.headers["Upload-Offset"]), answer.headers.get("Interlayer-Artifact")

    def interrupt(self) -> None:
        """Send whole chunks and a part of one; then the service is killed or the client leaves."""
        random_ = self._trial.random
        begin, _ = self._offset()
        room = len(self.content) - begin - _CHUNK_BYTES
        if room <= 0:
            return
        if random_.random() < 0.3 and room > _CHUNK_BYTES:
            begin = self._send(begin, begin + _CHUNK_BYTES)
        goal = begin + random_.randrange(2 * _BLOCK_BYTES, _CHUNK_BYTES)
        broken = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self._patch, begin, goal, broken)
            self._stand.until(
                lambda: sending.done() or self._partial.stat().st_size >= goal - _BLOCK_BYTES, "bytes to arrive"
            )
            if random_.random() < 0.6:
                self._stand.kill(self._stand.services[0])
            broken.set()
            refused = sending.result()
        offset, _ = self._offset()
        self._furthest = max(self._furthest, goal)
        self._trial.expect(offset <= self._furthest, f"{offset} bytes are there, of {self._furthest} that were sent")
        # The request before was not over yet, and went farther than this one, which was refused, or cut off as well.
        if refused or offset > goal:
            return
        self.interruptions += 1
        self.sent += goal - begin
        lost = goal - offset
        self._trial.expect(lost <= _CHUNK_BYTES, f"{lost} bytes must be sent again after one interruption")

    def finish(self) -> str | None:
        """Send the rest and return what the upload has become."""
        begin, artifact = self._offset()
        for _ in range(2 * len(self.content) // _CHUNK_BYTES):
            if artifact is not None:
                return artifact
            begin = self._send(begin, min(len(self.content), begin + _CHUNK_BYTES))
            _, artifact = self._offset()
        return artifact

    def _send(self, begin: int, end: int) -> int:
        """Send a whole chunk, and return where the upload stands."""
        if not self._patch(begin, end, None):
            self.sent += end - begin
        self._furthest = max(self._furthest, end)
        return self._offset()[0]

    def _patch(self, begin: int, end: int, broken: threading.Event | None) -> bool:
        """Send some bytes to the service that is killed; with `broken`, hold the connection until that is set.

        Returns True where they were refused.
        """

        def pieces() -> Iterator[bytes]:
            for start in range(begin, end, 2**16):
                yield self.content[start : min(end, start + 2**16)]
            if broken is not None:
                broken.wait(self._stand.patience)
                raise ConnectionAbortedError

        announced = end - begin if broken is None else _CHUNK_BYTES
        headers = _TUS | {
            "Authorization": f"Bearer {self._stand.keys['a']}",
            "Upload-Offset": str(begin),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(announced),
        }
        with suppress(httpx.TransportError, ConnectionAbortedError):
            url = self._stand.urls[0] + self._path
            return httpx.patch(url, content=pieces(), headers=headers, timeout=self._stand.patience).is_error
        return False


# -- data that expire -------------------------------------------------------------------------------------------------


def expiry(trial: Trial) -> None:
    """Files and analyses expire while whoever sweeps is killed and has a wrong clock. It takes all there is."""
    stand, load = trial.stand, trial.load
    sweepers = stand.dispatchers or stand.workers
    stand.reconfigure(
        clocks=dict(zip(sweepers, (3600.0, -3600.0), strict=True)),
        sweep_seconds="0.2",
        **dict.fromkeys(("artifact_seconds", "job_seconds", "garbage_seconds"), str(_EXPIRY_SECONDS)),
    )
    began: dict[str, float] = {}  # the time from which on something is kept
    pins: dict[str, str] = {}  # analysis → its file
    for _ in range(trial.size(3, 20)):
        for _ in range(5):
            answer = load.request("PUT", "/v1/artifacts", content=_tiny_file(trial))
            began[answer.json()["id"]] = datetime.fromisoformat(answer.json()["created_at"]).timestamp()
        name = answer.json()["id"]
        pins[load.submit(Order("slow", int(1500 * _EXPIRY_SECONDS)), artifact=name)] = name
        status = load.upload_noise(1, seconds=1.5)  # it has no row before it is complete
        trial.expect(status == 201, f"an upload that was not old was answered with {status}")
        stand.kill(trial.random.choice(sweepers))
    stand.until_ended(set(pins))
    stand.until(lambda: began.keys() | pins.keys() <= expiries(stand.database).keys(), "everything to expire")
    stand.until(lambda: not _stored(stand), "the files of what has expired to be deleted")
    ended = {each.job: each.at for each in history.changes(stand.database, trial.since) if each.new in FINAL}
    gone, now = expiries(stand.database), stand.database.now()
    for name, since in (began | {job: ended[job] for job in pins}).items():
        age = gone[name] - since
        trial.expect(age > _EXPIRY_SECONDS - 0.1, f"{name} was deleted {age:.2f} s old")
        trial.expect(gone[name] <= now, f"{name} was deleted at a time that is yet to come")
        path = f"/v1/{'artifacts' if name in began else 'analyses'}/{name}"
        status = load.request("GET", path).status_code
        trial.expect(status == 410, f"{name} has expired, and {path} is answered with {status}")
    for job, name in pins.items():
        trial.expect(gone[name] > ended[job] - 0.1, f"{name} was deleted while {job} had not ended")
    trial.note = f"{len(began)} files and {len(pins)} analyses expired"
    stand.reconfigure()


def _tiny_file(trial: Trial) -> bytes:
    """Return a file that nobody has sent before."""
    rng, content = np.random.default_rng(trial.random.getrandbits(63)), io.BytesIO()
    np.savez(content, labels=np.repeat([0, 1], 8), layer=rng.normal(size=(16, 4)))
    return content.getvalue()


def _stored(stand: Stand) -> list[Path]:
    folders = ("artifacts", "reports", "tmp")
    return [path for folder in folders for path in (stand.data / folder).rglob("*") if path.is_file()]
