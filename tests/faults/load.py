"""Clients of the fault suite: they submit, ask until they are answered, watch, and remember what they were told."""

import json
import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from contract.jobs import FINAL
from tests.e2e.activations import write_study
from tests.faults.stand import Stand, Stuck

_CLIENTS = 4
_PIECE_BYTES = 2**18
Ends = tuple[tuple[str, str | None], ...]
SUCCEEDED: Ends = (("succeeded", None),)


@dataclass
class Accepted:
    """A job that the service has answered for."""

    tenant: str
    expected: Ends | None
    canceled: bool = False  # the service has said so


@dataclass(frozen=True)
class Order:
    """A job to submit: what it computes, and how it must end."""

    fault: str | None = "slow"
    amount: int = 0
    expected: Ends | None = SUCCEEDED
    tenant: str = "a"


def slow(source: random.Random, count: int, least: int = 20, most: int = 400) -> list[Order]:
    """Return jobs that take some milliseconds each."""
    return [Order("slow", source.randint(least, most)) for _ in range(count)]


class Load:
    """The clients of one stand."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self.accepted: dict[str, Accepted] = {}
        self.conflicts: list[str] = []
        self._artifacts: dict[str, str] = {}
        path = write_study(stand.folder / "tiny.npz", n_per_class=8, n_classes=2, layers=1, dimension=4)
        self._content = path.read_bytes()

    def request(
        self,
        method: str,
        path: str,
        *,
        tenant: str = "a",
        patient_with: tuple[int, ...] = (429, 502, 503, 507),
        **more: Any,
    ) -> httpx.Response:
        """Send a request to any of the services, again and again until one answers it."""
        headers = {"Authorization": f"Bearer {self._stand.keys[tenant]}"} | more.pop("headers", {})
        end = time.monotonic() + self._stand.patience
        while True:
            url = random.choice(self._stand.urls)
            try:
                answer = httpx.request(method, url + path, headers=headers, timeout=30, **more)
                if answer.status_code not in patient_with:
                    return answer
                problem = str(answer.status_code)
            except httpx.TransportError as error:
                problem = repr(error)
            if time.monotonic() > end:
                raise Stuck(f"{method} {path} is not answered: {problem}")
            time.sleep(0.1)

    def artifact(self, tenant: str) -> str:
        """Return a tiny upload of the tenant."""
        if tenant not in self._artifacts:
            answer = self.request("PUT", "/v1/artifacts", tenant=tenant, content=self._content)
            if not answer.is_success:
                raise Stuck(f"an upload was not accepted: {answer.status_code} {answer.text[:300]}")
            self._artifacts[tenant] = answer.json()["id"]
        return self._artifacts[tenant]

    def submit(self, order: Order, *, key: str | None = None, artifact: str | None = None) -> str:
        """Submit one job and return its id, which is then remembered as accepted."""
        tags = {} if order.fault is None else {"fault": order.fault, "amount": str(order.amount)}
        key = key or str(uuid.uuid4())
        body = {
            "inputs": [{"artifact": artifact or self.artifact(order.tenant)}],
            "tests": {"n_resamples": 99},
            "tags": tags | {"key": key},
        }
        answer = self.request("POST", "/v1/analyses", tenant=order.tenant, json=body, headers={"Idempotency-Key": key})
        if answer.status_code not in (200, 202):
            raise Stuck(f"a job was not accepted: {answer.status_code} {answer.text[:300]}")
        job = str(answer.json()["id"])
        self.accepted.setdefault(job, Accepted(order.tenant, order.expected))
        return job

    def submit_all(self, orders: list[Order], *, doubled: float = 0.0) -> set[str]:
        """Submit jobs from several clients at once, a share of them twice with the same key."""
        for order in orders:
            self.artifact(order.tenant)
        twice = {number for number in range(len(orders)) if self._stand.random.random() < doubled}

        def one(number: int) -> str:
            key = str(uuid.uuid4())
            ids = {self.submit(orders[number], key=key) for _ in range(1 + (number in twice))}
            if len(ids) > 1:
                self.conflicts.append(f"one Idempotency-Key was answered with {sorted(ids)}")
            return ids.pop()

        with ThreadPoolExecutor(_CLIENTS) as pool:
            return set(pool.map(one, range(len(orders))))

    def submit_same(self, count: int) -> str:
        """Send one request from many clients at the same time; all must be told the same id."""
        key, order = str(uuid.uuid4()), Order("slow", 50)
        self.artifact(order.tenant)
        with ThreadPoolExecutor(count) as pool:
            ids = set(pool.map(lambda _: self.submit(order, key=key), range(count)))
        if len(ids) > 1:
            self.conflicts.append(f"{count} requests with one Idempotency-Key were answered with {sorted(ids)}")
        return ids.pop()

    def cancel(self, job: str) -> str:
        """Cancel a job and remember the answer."""
        accepted = self.accepted[job]
        answer = self.request("POST", f"/v1/analyses/{job}/cancel", tenant=accepted.tenant)
        if answer.status_code == 200:
            accepted.canceled = True
        return str(answer.json()["status" if answer.status_code == 200 else "code"])

    def watch(self, job: str) -> str:
        """Follow the events of a job over broken connections and return the last status, which must be final."""
        headers, status = {"Authorization": f"Bearer {self._stand.keys[self.accepted[job].tenant]}"}, ""
        end = time.monotonic() + 4 * self._stand.patience
        while status not in FINAL:
            url = f"{random.choice(self._stand.urls)}/v1/analyses/{job}/events"
            try:
                with httpx.stream("GET", url, headers=headers, timeout=30) as answer:
                    for line in answer.iter_lines():
                        if line.startswith("id:"):
                            headers["Last-Event-ID"] = line[3:].strip()
                        elif line.startswith("data:"):
                            status = json.loads(line[5:])["status"]
            except httpx.TransportError:
                pass
            if time.monotonic() > end:
                raise Stuck(f"the events of {job} end with {status!r}")
            time.sleep(0.05)
        return status

    def upload_noise(self, megabytes: int, *, seconds: float = 0.0) -> int:
        """Upload random activations once, as slowly as told, and return the status, or 0 for a broken connection."""
        rng = np.random.default_rng(self._stand.random.getrandbits(32))
        path = self._stand.folder / "noise.npz"
        np.savez(path, labels=np.repeat([0, 1], 64), layer=rng.normal(size=(128, megabytes * 1024)))
        headers = {"Authorization": f"Bearer {self._stand.keys['a']}", "Content-Type": "application/octet-stream"}
        content = path.read_bytes()
        pieces = [content[start : start + _PIECE_BYTES] for start in range(0, len(content), _PIECE_BYTES)]

        def slowly() -> Iterator[bytes]:
            for piece in pieces:
                time.sleep(seconds / len(pieces))
                yield piece

        try:
            url = self._stand.urls[0]  # the service that is killed
            return httpx.put(f"{url}/v1/artifacts", content=slowly(), headers=headers, timeout=30).status_code
        except httpx.TransportError:
            return 0
