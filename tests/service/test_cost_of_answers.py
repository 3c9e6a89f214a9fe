"""What is asked in vain, again and again, of things that are there, or were: little memory, little work, no trace."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Claim, Jobs
from contract.keys import Keys
from contract.retention import Retention
from contract.schemas import Problem
from contract.settings import Settings
from contract.tables import jobs
from service.pagination import encode_cursor
from tests.interlayer.render.sample import sample_report
from tests.service.process import Process, service_process
from tests.service.running import npz_bytes

TIMES = 50
HOUR = 3600.0


@dataclass
class Place:
    """A service process, and analyses that have come to different ends."""

    process: Process
    artifact: str
    ids: dict[str, str]
    stranger: str  # a key of another tenant
    foreign: str  # an analysis of that tenant

    def ask(self, method: str, path: str, *, key: str = "", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or self.process.key}"} | more.pop("headers", {})
        return httpx.request(method, self.process.url + path, headers=headers, timeout=120, **more)

    def submit(self, *, key: str = "", **headers: str) -> str:
        answer = self.ask("POST", "/v1/analyses", key=key, json=self.body(), headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def body(self, **more: Any) -> dict[str, Any]:
        return {"inputs": [{"artifact": self.artifact}], **more}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with service_process(tmp_path_factory.mktemp("answers") / "data", max_unfinished_jobs=1000) as process:
        settings = Settings(data_dir=process.data, job_seconds=HOUR)
        database, store = Database(settings), Jobs(Database(settings))
        stranger = Keys(database).create("b", "test", ["read", "submit"]).key
        artifact = process.send("PUT", "/v1/artifacts", npz_bytes(9)).json()["id"]
        found = Place(process, artifact, {}, stranger, "")
        found.ask("PUT", "/v1/artifacts", key=stranger, content=npz_bytes(9)).raise_for_status()
        found.foreign = found.submit(key=stranger)

        def claimed(name: str) -> Claim:
            found.ids[name] = found.submit()
            with database.write() as connection:  # into a queue of its own, so that its turn comes first
                connection.execute(update(jobs).where(jobs.c.id == found.ids[name]).values(queue=name))
            claim = store.claim("w", 10 * HOUR, queues=[name])
            assert claim is not None
            return claim

        report = Blobs.open(settings).put_report(sample_report().to_bytes())
        assert store.succeed(claimed("expired"), report_sha256=report, device="cpu")
        with database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.finished_at.is_not(None)).values(finished_at=1.0))
        Retention(settings, database).sweep()
        report = Blobs.open(settings).put_report(sample_report().to_bytes())
        assert store.succeed(claimed("succeeded"), report_sha256=report, device="cpu")
        assert store.fail(claimed("failed"), Problem.of("non_finite", "NaN"))
        claimed("running")
        found.ids["queued"] = found.submit()
        found.ids["canceled"] = found.submit()
        found.ask("POST", f"/v1/analyses/{found.ids['canceled']}/cancel").raise_for_status()
        for seed in range(3):
            process.serve_well(seed)
        yield found
        database.close()


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_one_key_for_many_requests(place: Place) -> None:
    place.submit(**{"Idempotency-Key": "one"})
    with place.process.little_cost():
        for seed in range(TIMES):
            other = place.body(seed=seed + 1)
            answer = place.ask("POST", "/v1/analyses", json=other, headers={"Idempotency-Key": "one"})
            assert told(answer) == (422, "idempotency_mismatch")


def test_inputs_that_are_not_there(place: Place) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1000"}
    begun = place.ask("POST", "/v1/uploads", headers=headers).headers["Location"]
    only_theirs = place.ask("PUT", "/v1/artifacts", key=place.stranger, content=npz_bytes(77)).json()["id"]
    with place.process.little_cost():
        for _ in range(TIMES):
            for name in (only_theirs, "sha256:" + "0" * 64):
                answer = place.ask("POST", "/v1/analyses", json={"inputs": [{"artifact": name}]})
                assert told(answer) == (404, "artifact_not_found")
            unfinished = begun.rpartition("/")[2]  # an upload is no artifact before it is complete
            answer = place.ask("POST", "/v1/analyses", json={"inputs": [{"artifact": unfinished}]})
            assert told(answer) == (422, "invalid_request")


@pytest.mark.parametrize("suffix", ["", ".html", ".csv"])
def test_reports_that_there_are_none_of(place: Place, suffix: str) -> None:
    wanted = {
        "queued": (409, "not_finished"),
        "running": (409, "not_finished"),
        "failed": (409, "analysis_failed"),
        "canceled": (409, "analysis_canceled"),
        "expired": (410, "expired"),
    }
    with place.process.little_cost():
        for name, answer in wanted.items():
            for _ in range(TIMES // 5):
                assert told(place.ask("GET", f"/v1/analyses/{place.ids[name]}/report{suffix}")) == answer, name


def test_ten_thousand_ranges(place: Place) -> None:
    path, ranges = f"/v1/analyses/{place.ids['succeeded']}/report", ",".join(f"{n}-{n}" for n in range(10_000))
    whole = place.ask("GET", path).content
    with place.process.little_cost():
        for value in (ranges[:60_000], "0-1,3-4", "-1", "5-1", "0-" + "9" * 5000) * (TIMES // 5):
            answer = place.ask("GET", path, headers={"Range": f"bytes={value}"})
            assert (answer.status_code, answer.content) == (200, whole)


def test_forged_cursors(place: Place) -> None:
    forged = ["x", "YW5fJyBPUiAxPTE", "=" * 200, encode_cursor("an_' OR 1=1"), "\N{SNOWMAN}"]
    with place.process.little_cost():
        for cursor in forged * (TIMES // 5):
            assert told(place.ask("GET", "/v1/analyses", params={"cursor": cursor})) == (400, "invalid_cursor")
        for _ in range(TIMES):  # a cursor is a place in one's own list, wherever it comes from
            page = place.ask("GET", "/v1/analyses", params={"cursor": encode_cursor(place.foreign)}).json()
            assert place.foreign not in [item["id"] for item in page["items"]]


def test_cancels_and_deletions_that_come_too_late_or_too_early(place: Place) -> None:
    cancel, delete = "POST", "DELETE"
    with place.process.little_cost():
        for _ in range(TIMES // 5):
            for name in ("succeeded", "failed"):
                answer = place.ask(cancel, f"/v1/analyses/{place.ids[name]}/cancel")
                assert told(answer) == (409, "already_finished"), name
            again = place.ask(cancel, f"/v1/analyses/{place.ids['canceled']}/cancel")
            assert (again.status_code, again.json()["status"]) == (200, "canceled")
            for name in ("running", "queued"):
                assert told(place.ask(delete, f"/v1/analyses/{place.ids[name]}")) == (409, "not_finished"), name
            for method, path in ((cancel, "/cancel"), (delete, "")):
                answer = place.ask(method, f"/v1/analyses/{place.foreign}{path}")
                assert told(answer) == (404, "not_found")


def test_a_file_that_another_tenant_has(place: Place) -> None:
    theirs, nobodys = npz_bytes(123), npz_bytes(124)
    name = place.ask("PUT", "/v1/artifacts", key=place.stranger, content=theirs).json()["id"]
    wrong = {"Repr-Digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"}
    with place.process.little_cost():
        for _ in range(TIMES):
            for method in ("GET", "DELETE"):
                assert told(place.ask(method, f"/v1/artifacts/{name}")) == (404, "artifact_not_found")
            for content in (theirs, nobodys):  # the same answer, so it tells nothing
                answer = place.ask("PUT", "/v1/artifacts", content=content, headers=wrong)
                assert told(answer) == (422, "checksum_mismatch")
    mine = place.ask("PUT", "/v1/artifacts", content=theirs)
    assert (mine.status_code, mine.json()["id"]) == (201, name), "as if nobody had it"
    assert place.ask("GET", f"/v1/artifacts/{name}", key=place.stranger).status_code == 200
