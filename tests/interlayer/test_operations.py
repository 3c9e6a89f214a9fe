"""doctor, backup, restore, tenant: run as an operator runs them, beside a stack that works."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from contract.backup import damage
from contract.database import Database
from contract.settings import Settings
from interlayer.client import Client
from tests.e2e.processes import Up, interlayer_up, until
from tests.service.running import npz_bytes


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "interlayer", *arguments], capture_output=True, text=True, timeout=120)


def submit(up: Up, seed: int) -> str:
    with httpx.Client(base_url=up.url, headers={"Authorization": f"Bearer {up.key}"}, timeout=60) as http:
        content = {"Content-Type": "application/octet-stream"}
        artifact = http.put("/v1/artifacts", content=npz_bytes(seed), headers=content).json()["id"]
        body = {"inputs": [{"artifact": artifact}], "tests": {"n_resamples": 99}}
        answer = http.post("/v1/analyses", json=body, headers={"X-Request-Id": f"request-{seed}"})
        return str(answer.json()["id"])


def test_a_backup_made_under_load_is_whole_and_goes_on(tmp_path: Path) -> None:
    data, copy, restored = tmp_path / "data", tmp_path / "backup", tmp_path / "restored"
    with interlayer_up(data, tmp_path / "log") as up:
        finished = submit(up, 0)
        with up.client() as client:
            assert client.wait(finished).status == "succeeded"
        waiting = [submit(up, seed) for seed in range(1, 6)]
        made = command("backup", "--to", str(copy), "--data", str(data))
        assert made.returncode == 0, made.stderr
        again = command("backup", "--to", str(copy), "--data", str(data))
        assert (again.returncode, "is not empty" in again.stderr) == (2, True)
        checked = command("doctor", "--data", str(data), "--server", up.url, "--key", up.key, "--json")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        found = {check["name"]: check for check in json.loads(checked.stdout)}
        assert "worker" in found["database"]["detail"]
        assert found["key"]["status"] == "ok"
        assert command("doctor", "--data", str(data), "--server", up.url, "--key", "il_wrong").returncode == 4
        other = command("tenant", "another-team", "--data", str(data)).stdout.strip()
        with Client(up.url, other) as client:
            assert client.analyses().items == []

    brought = command("restore", str(copy), "--data", str(restored))
    assert brought.returncode == 0, brought.stderr
    settings = Settings(data_dir=restored)
    database = Database(settings)
    assert damage(settings, database) == []
    database.close()
    shutil.copy(data / "api-key", restored / "api-key")
    with interlayer_up(restored, tmp_path / "log", lease_seconds="2") as up, up.client() as client:
        known = {item.id for item in client.analyses(limit=100).items}
        assert finished in known
        assert set(waiting) <= known
        assert client.report(finished).separations
        until(lambda: all(client.status(i).status == "succeeded" for i in waiting), "what waited to end")


def test_a_database_that_does_not_answer_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, data, restored = tmp_path / "backup", tmp_path / "data", tmp_path / "restored"
    (copy / "artifacts").mkdir(parents=True)
    (copy / "artifacts" / "file").touch()
    monkeypatch.setenv("INTERLAYER_DATABASE_URL", "postgresql+psycopg://somebody:a-password@127.0.0.1:1/nothing")
    for arguments in (
        ["tenant", "team", "--data", str(data)],
        ["backup", "--data", str(data), "--to", str(tmp_path / "new")],
        ["restore", str(copy), "--data", str(restored)],
    ):
        said = command(*arguments)
        assert said.returncode == 5, said.stderr
        assert said.stderr.startswith("interlayer: the database does not answer: ")
        assert len(said.stderr.splitlines()) == 1
        assert "a-password" not in said.stderr
    assert list(restored.iterdir()) == [], "it can be done again"


def test_a_damaged_backup_is_not_restored(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "backup"
    with interlayer_up(data, tmp_path / "log") as up:
        finished = submit(up, 0)
        with up.client() as client:
            client.wait(finished)
        assert command("backup", "--to", str(copy), "--data", str(data)).returncode == 0
    (report,) = (copy / "reports").rglob("*.json")
    report.write_bytes(report.read_bytes()[:-1])
    refused = command("restore", str(copy), "--data", str(tmp_path / "restored"))
    assert (refused.returncode, "not what its name says" in refused.stderr) == (2, True), refused.stderr
    assert command("restore", str(tmp_path / "nothing"), "--data", str(tmp_path / "new")).returncode == 2


def test_the_doctor_finds_what_does_not_answer(tmp_path: Path) -> None:
    checked = command("doctor", "--data", str(tmp_path), "--server", "http://127.0.0.1:9", "--json")
    assert checked.returncode == 4
    failed = [check["name"] for check in json.loads(checked.stdout) if check["status"] == "fail"]
    assert failed == ["service"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "answers"),
        ({"AWS_SECRET_ACCESS_KEY": "not-the-secret"}, "it refuses the credentials (SignatureDoesNotMatch)"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "it does not answer"),
        ({"INTERLAYER_BLOBS_URL": "s3://there-is-none"}, "the bucket does not exist"),
    ],
)
def test_the_doctor_says_what_is_wrong_with_the_bucket(
    bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], says: str
) -> None:
    for name, value in ({"INTERLAYER_BLOBS_URL": bucket_url} | changes).items():
        monkeypatch.setenv(name, value)
    checked = command("doctor", "--data", str(tmp_path), "--json")
    (found,) = [check for check in json.loads(checked.stdout) if check["name"] == "store"]
    assert found["detail"].endswith(f": {says}")
    assert (found["status"], checked.returncode == 4) == (("ok", False) if not changes else ("fail", True))
    assert "not-the-secret" not in checked.stdout + checked.stderr


@pytest.mark.parametrize("name", ["../x", "a b", "", "x" * 65])
def test_a_tenant_has_a_plain_name(tmp_path: Path, name: str) -> None:
    assert command("tenant", name, "--data", str(tmp_path)).returncode == 2


def test_no_secret_and_no_byte_of_a_file_is_in_logs_metrics_or_problems(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with interlayer_up(tmp_path / "data", log) as up:
        secret, payload = up.key.split("_", 2)[2], npz_bytes(0)
        analysis = submit(up, 0)
        with httpx.Client(base_url=up.url, headers={"Authorization": f"Bearer {up.key}"}, timeout=60) as http:
            answers = [http.get(f"/v1/analyses/{analysis}", params={"wait": 60})]
            answers.append(http.get("/metrics"))
            answers.append(http.get("/v1/analyses", params={"key": up.key}))
            answers.append(http.get(f"/v1/artifacts/{up.key}"))
            answers.append(http.post("/v1/analyses", content=b'{"inputs": "' + up.key.encode() + b'"}'))
            answers.append(http.put("/v1/artifacts", content=b"MARKER-OF-A-FILE" * 64))
            answers.append(http.get("/v1/keys"))
            answers.append(http.get("/v1/audit"))
            answers.append(http.get("/v1/keys", headers={"Authorization": f"Bearer {up.key}x"}))
        assert [answer.status_code for answer in answers] == [200, 200, 400, 404, 422, 415, 200, 200, 401]
    assert up.process.returncode == 0
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    ours = [line for line in lines if line.get("job") == analysis]
    assert ours, "the worker says something of the job"
    assert {line.get("request") for line in ours} == {"request-0"}
    said = log.read_bytes() + b"".join(answer.content for answer in answers)
    for hidden in (secret.encode(), b"MARKER-OF-A-FILE", payload[-200:]):
        assert hidden not in said
