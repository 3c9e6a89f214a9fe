"""The backups of the runbook, typed as they are printed there, on both kinds of database."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from contract.blobs import Blobs
from contract.database import Database
from contract.jobs import Jobs
from contract.keys import Keys
from contract.settings import Settings
from service.app import create_app
from tests.conftest import PostgreSQL
from tests.faults.servers import programs
from tests.interlayer.render.sample import sample_report
from tests.service.running import npz_bytes

ROOT = Path(__file__).parents[2]
_SECTION = (ROOT / "docs" / "runbook.md").read_text().partition("## Backup, restore")[2].partition("\n## ")[0]
_BEFORE, _CLUSTER, _ = re.split(r"```(?:sh)?\n", _SECTION)
_EMBEDDED = "\n".join(re.findall(r"`(interlayer [^`]+)`", _BEFORE))
_PRINTED = "postgresql://USER:PASSWORD@HOST/"


def type_in(commands: str, folder: Path, url: str | None) -> Settings:
    """Type commands in a folder, with names for what stands for something; return where all is brought back to."""
    restored = None if url is None else re.sub(r"/\w+\?", "/restored?", url, count=1)
    for printed, real in ((f"{_PRINTED}NAME", url), (f"{_PRINTED}restored", restored)):
        if real is not None:
            assert printed in commands, f"the runbook says nothing of {printed}"
            commands = commands.replace(printed, f"'{real}'")
    places = [str(Path(sys.executable).parent), *([] if url is None else [str(programs())]), os.environ["PATH"]]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INTERLAYER_")}
    environment["PATH"] = ":".join(places)
    done = subprocess.run(
        ["bash", "-e", "-u", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Settings(data_dir=folder / "NEW", database_url=None if restored is None else SecretStr(restored))


def installation(settings: Settings) -> tuple[str, dict[str, bytes]]:
    """Fill an installation with a file, an analysis that has ended and one that waits; return a key, and answers."""
    database = Database(settings)
    database.upgrade()
    key = Keys(database).create("a", "test", ["read", "submit"]).key
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as client:
        artifact = client.put("/v1/artifacts", content=npz_bytes()).json()["id"]
        ids = [client.post("/v1/analyses", json={"inputs": [{"artifact": artifact}]}).json()["id"] for _ in range(2)]
        claim = Jobs(database).claim("w", 60.0, queues=["cpu"])
        assert claim is not None
        report = Blobs.open(settings).put_report(sample_report().to_bytes())
        assert Jobs(database).succeed(claim, report_sha256=report, device="cpu")
        paths = [f"/v1/artifacts/{artifact}", f"/v1/analyses/{claim.id}/report"]
        paths += [f"/v1/analyses/{each}" for each in ids]
        answers = {path: client.get(path).content for path in paths}
    database.close()
    return key, answers


@pytest.mark.parametrize("kind", ["embedded", "cluster"])
def test_a_backup_is_made_and_brought_back_as_printed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = None
    if kind == "cluster":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.emptied().replace("postgresql+psycopg:", "postgresql:")
    here = Settings(data_dir=tmp_path / "DIR", database_url=None if url is None else SecretStr(url))
    key, answers = installation(here)
    there = type_in(_EMBEDDED if url is None else _CLUSTER, tmp_path, url)
    with TestClient(create_app(there), headers={"Authorization": f"Bearer {key}"}) as client:
        for path, content in answers.items():
            answer = client.get(path)
            assert (answer.status_code, answer.content) == (200, content), path
