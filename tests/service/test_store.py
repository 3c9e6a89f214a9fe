"""A service whose files lie in a bucket: what its clients see while the bucket answers, stalls, lies or is away."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from contract.artifacts import Artifacts
from contract.blobs import Blobs
from contract.retention import Retention
from contract.schemas import ProblemError
from contract.settings import Settings
from contract.uploads import Uploads
from interlayer.doctor import examine
from tests.e2e.processes import until
from tests.faulty_proxy import Fault, FaultyProxy
from tests.interlayer.render.sample import sample_report
from tests.seaweed import Seaweed, variables
from tests.service.running import Caller, Service, npz_bytes, serving
from tests.worker.jobs import work_off

HOUR = 3600.0


@pytest.fixture
def service(faulty: FaultyProxy, bucket_url: str, settings: Settings) -> Iterator[Service]:
    changes = {"blobs_url": bucket_url, "garbage_seconds": 1e-3, "artifact_seconds": HOUR}
    with serving(settings.model_copy(update=changes)) as running:
        yield running


@pytest.fixture
def caller(service: Service) -> Caller:
    return service.caller()


def key_of(service: Service, caller: Caller, artifact: str) -> str:
    return service.stores.blobs.artifact(caller.tenant, artifact.removeprefix("sha256:"))


def readiness(caller: Caller) -> list[str]:
    answer = caller.http.get("/readyz")
    assert answer.status_code == 200, "what needs no file is served"
    return list(answer.json()["details"])


def pushed(caller: Caller) -> str:
    headers = {"Content-Type": "application/json"}
    return str(caller.http.post("/v1/reports", content=sample_report().to_bytes(), headers=headers).json()["id"])


def stored(service: Service, folder: str) -> list[str]:
    return [file.key for file in service.stores.blobs.store.files(folder)]


def test_from_an_upload_to_a_report(service: Service, caller: Caller) -> None:
    artifact = caller.upload()
    assert stored(service, "artifacts") == [key_of(service, caller, artifact)]
    assert service.temporary_files() == []
    analysis = caller.submit(artifact, tests={"n_resamples": 99})
    assert work_off(service.settings, service.stores.database) == 2
    report = caller.http.get(f"/v1/analyses/{analysis}/report")
    assert report.status_code == 200
    sha256 = hashlib.sha256(report.content).hexdigest()
    assert stored(service, "reports") == [service.stores.blobs.report(sha256)]
    assert caller.http.get(f"/v1/analyses/{analysis}/layers").json()["separations"]
    assert caller.http.get(f"/v1/artifacts/{artifact}").json()["status"] == "ready"
    assert caller.http.delete(f"/v1/artifacts/{artifact}").status_code == 204
    assert stored(service, "artifacts") == []


@pytest.mark.parametrize("fault", ["refuse", "forbid", "hang"])
def test_while_the_store_is_away_clients_are_told_when_to_come_again(
    service: Service, caller: Caller, faulty: FaultyProxy, fault: Fault
) -> None:
    artifact = caller.upload()
    report = pushed(caller)
    # Who hangs is given a minute for a part of an upload; how long is a matter of the client's, not of this test.
    faulty.rule = lambda _method, path: fault if fault != "hang" or "list-type" in path else "refuse"
    for answer in (caller.put(npz_bytes(1)), caller.http.get(f"/v1/reports/{report}")):
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready"), answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert "s3://" not in answer.text, "how the store is reached is nobody's business"
    until(lambda: any("the store of files: it " in detail for detail in readiness(caller)), "what is heard to be news")
    until(lambda: "interlayer_store_up 0.0" in caller.http.get("/metrics").text, "the metric")
    assert caller.post({"inputs": [{"artifact": artifact}]}).status_code == 202, "analyses are accepted all the same"
    assert service.temporary_files() == []
    faulty.heal()
    assert caller.put(npz_bytes(1)).status_code == 201
    assert caller.http.get(f"/v1/reports/{report}").status_code == 200
    until(lambda: not any("store" in detail for detail in readiness(caller)), "the good news")
    until(lambda: "interlayer_store_up 1.0" in caller.http.get("/metrics").text, "the metric")


def test_what_is_deleted_while_the_store_is_away_is_swept_later(
    service: Service, caller: Caller, faulty: FaultyProxy
) -> None:
    artifact = caller.upload()
    work_off(service.settings, service.stores.database)
    faulty.always("refuse")
    assert caller.http.delete(f"/v1/artifacts/{artifact}").status_code == 204
    assert caller.http.get(f"/v1/artifacts/{artifact}").status_code == 404
    faulty.heal()
    assert len(stored(service, "artifacts")) == 1

    def swept() -> bool:
        Retention(service.settings, service.stores.database).sweep()
        return stored(service, "artifacts") == []

    until(swept, "the sweep")


def test_the_sweep_spares_what_has_a_row(service: Service, caller: Caller) -> None:
    artifact = caller.upload()
    service.stores.blobs.put_report(b"a report without a row")

    def swept() -> bool:
        Retention(service.settings, service.stores.database).sweep()
        return stored(service, "reports") == []

    until(swept, "the sweep")
    assert stored(service, "artifacts") == [key_of(service, caller, artifact)]


def test_a_resumable_upload_waits_on_this_host_until_the_store_is_back(
    service: Service, caller: Caller, faulty: FaultyProxy
) -> None:
    content = npz_bytes()
    headers = {"Tus-Resumable": "1.0.0"}
    created = caller.http.post("/v1/uploads", headers=headers | {"Upload-Length": str(len(content))})
    url = created.headers["Location"]
    faulty.always("refuse", "PUT")
    patch = headers | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = caller.http.patch(url, content=content, headers=patch)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert len(list(service.stores.blobs.uploads.iterdir())) == 1, "every byte has arrived and is kept"
    assert caller.http.head(url, headers=headers).status_code == 503
    faulty.heal()
    sha256 = hashlib.sha256(content).hexdigest()
    until(lambda: Artifacts(service.stores.database).get(caller.tenant, sha256), "the service to store it by itself")
    head = caller.http.head(url, headers=headers)
    assert (head.status_code, head.headers["Interlayer-Artifact"]) == (200, f"sha256:{sha256}")
    assert list(service.stores.blobs.uploads.iterdir()) == []


def test_another_host_neither_drops_nor_continues_what_is_not_on_it(
    service: Service, caller: Caller, settings: Settings
) -> None:
    content = npz_bytes()
    uploads = service.stores.uploads
    upload = uploads.create(caller.tenant, len(content), "", None)
    appending = uploads.append(caller.tenant, upload.id, 0)
    appending.write(content[:1000])
    appending.commit()
    appending.close()
    other = service.settings.model_copy(update={"data_dir": settings.data_dir.with_name("other host")})
    there = Uploads(other, service.stores.database, Blobs.open(other))
    with pytest.raises(ProblemError) as refusal:
        there.append(caller.tenant, upload.id, 1000)
    assert (refusal.value.problem.code, there.sweep()) == ("not_ready", 0)
    appending = uploads.append(caller.tenant, upload.id, 1000)
    appending.write(content[1000:])
    appending.complete(lambda _: "npz", 4)
    appending.close()
    assert there.get(caller.tenant, upload.id).sha256 == hashlib.sha256(content).hexdigest()


def test_an_upload_whose_bytes_are_lost_is_begun_anew_at_once(service: Service, caller: Caller) -> None:
    headers = {"Tus-Resumable": "1.0.0"}
    patch = headers | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    ways: dict[str, Callable[[str], httpx.Response]] = {
        "PATCH": lambda url: caller.http.patch(url, content=b"PK\x03\x04", headers=patch),
        "HEAD": lambda url: caller.http.head(url, headers=headers),
        "DELETE": lambda url: caller.http.delete(url, headers=headers),
    }
    for name, way in ways.items():
        created = caller.http.post("/v1/uploads", headers=headers | {"Upload-Length": "1000"})
        url = created.headers["Location"]
        service.stores.blobs.partial(url.rpartition("/")[2]).unlink()
        answer = way(url)
        assert (answer.status_code, "Retry-After" in answer.headers) == (404, False), name
        assert service.stores.quotas.bytes_of(caller.tenant) == 0, "nothing is held for what cannot be finished"
    anew = caller.http.post("/v1/uploads", headers=headers | {"Upload-Length": str(len(npz_bytes()))})
    assert caller.http.patch(anew.headers["Location"], content=npz_bytes(), headers=patch).status_code == 204


def test_uploads_of_services_that_share_no_folder_are_noticed(
    service: Service,
    caller: Caller,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INTERLAYER_DATABASE_URL", service.settings.sqlalchemy_url())
    monkeypatch.setenv("INTERLAYER_BLOBS_URL", service.settings.blobs_url or "")
    other = service.settings.model_copy(
        update={
            "data_dir": settings.data_dir.with_name("no share"),
            "database_url": SecretStr(service.settings.sqlalchemy_url()),
        }
    )

    def found(folder: Path) -> tuple[str, str]:
        check = next(each for each in examine(folder, None, None) if each.name == "uploads")
        return check.status, check.detail

    def warned(folder: Path) -> bool:
        with capture_logs() as said, serving(other.model_copy(update={"data_dir": folder})):
            return any("unfinished uploads lie on other hosts" in line["event"] for line in said)

    assert not warned(other.data_dir)
    with serving(other) as there:
        there.stores.uploads.create(caller.tenant, 1000, "", None)
        service.stores.uploads.create(caller.tenant, 1000, "", None)
        assert (service.stores.uploads.elsewhere(), there.stores.uploads.elsewhere()) == (1, 1)
    assert found(other.data_dir) == ("warn", found(other.data_dir)[1])
    assert found(other.data_dir)[1].startswith("1 unfinished ones lie on other hosts")
    assert found(settings.data_dir.with_name("of a worker"))[0] == "ok"
    assert warned(other.data_dir)
    with serving(other.model_copy(update={"data_dir": service.settings.data_dir})) as shared:
        assert shared.stores.blobs.spool() == service.stores.blobs.spool()
        shared.stores.uploads.terminate(caller.tenant, shared.stores.uploads.create(caller.tenant, 10, "", None).id)


def test_wrong_credentials_show_in_readyz_and_nowhere_the_secret(
    seaweed: Seaweed, bucket_url: str, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        variables(seaweed.environment(secret="not-the-secret")),
        serving(settings.model_copy(update={"blobs_url": bucket_url})) as running,
    ):
        caller = running.caller()
        details = readiness(caller)
        assert any("refuses the credentials" in detail for detail in details)
        answer = caller.put(npz_bytes())
        assert answer.status_code == 503
        assert "not-the-secret" not in answer.text + str(details) + "".join(capfd.readouterr())


def test_a_report_that_the_store_has_damaged_is_not_shown(
    service: Service, caller: Caller, faulty: FaultyProxy
) -> None:
    report = pushed(caller)
    faulty.always("corrupt", "GET")
    assert caller.http.get(f"/v1/reports/{report}").status_code == 503
    faulty.heal()
    assert caller.http.get(f"/v1/reports/{report}").content == sample_report().to_bytes()


def test_uploads_of_any_size_take_little_memory_and_come_whole(service: Service, caller: Caller) -> None:
    content = b"PK\x03\x04" + os.urandom(30 * 2**20)
    artifact = caller.put(content).json()["id"]
    found = b"".join(bytes(b) for b in service.stores.blobs.store.blocks(key_of(service, caller, artifact)))
    assert found == content
