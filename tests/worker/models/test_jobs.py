"""Models through the service and the worker: uploaded, inspected, analysed, refused."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from contract.database import Database
from contract.jobs import Jobs
from contract.keys import Keys
from contract.settings import Settings
from service.app import create_app
from tests.worker.jobs import work_off
from tests.worker.models import networks


@pytest.fixture
def models(tmp_path: Path, settings: Settings) -> Settings:
    (tmp_path / "models.toml").write_text(
        "[models.m]\nfactory = 'tests.worker.models.networks:mlp'\n[data.digits]\nsklearn = 'digits'\n"
    )
    return settings.model_copy(update={"models_file": tmp_path / "models.toml", "model_queue": "cpu"})


def test_from_the_upload_to_the_report(models: Settings, database: Database, tmp_path: Path) -> None:
    key = Keys(database).create("tenant", "test", ["read", "submit"]).key
    with TestClient(create_app(models), headers={"Authorization": f"Bearer {key}"}) as client:
        paths = [
            networks.mlp_onnx(tmp_path / "m.onnx", networks.seeded(networks.mlp)),
            networks.data_file(tmp_path / "data.npz"),
        ]
        model, data = (client.put("/v1/artifacts", content=path.read_bytes()).json() for path in paths)
        assert (model["kind"], model["format"]) == ("model", "onnx")
        work_off(models, database)
        model, data = (client.get(f"/v1/artifacts/{item['id']}").json() for item in (model, data))
        assert (model["status"], model["inspection"]["layers"][1]["name"]) == ("ready", "1.Dense")
        assert data["kind"] == "data"
        item = {"model": {"artifact": model["id"]}, "data": {"artifact": data["id"]}}
        named = {"model": {"name": "m"}, "data": {"artifact": data["id"]}, "state": "untrained"}
        body = {"inputs": [item, named], "tests": {"n_resamples": 99}}
        analysis = client.post("/v1/analyses", json=body).json()
        assert Jobs(database).uses("tenant", model["id"].removeprefix("sha256:"))
        work_off(models, database)
        analysis = client.get(f"/v1/analyses/{analysis['id']}").json()
        assert analysis["status"] == "succeeded", analysis["error"]
        report = client.get(analysis["report"]).json()
        assert report["layers"] == ["0.Input", "1.Dense", "1.ReLU", "2.Dense", "2.Softmax"]
        sources = [found["source"]["model"] for found in report["provenance"]["inputs"]]
        assert sources == [model["id"], "m"]


def test_what_is_refused_at_once(models: Settings, database: Database, tmp_path: Path) -> None:
    key = Keys(database).create("tenant", "test", ["read", "submit"]).key
    with TestClient(create_app(models), headers={"Authorization": f"Bearer {key}"}) as client:
        data = client.put("/v1/artifacts", content=networks.data_file(tmp_path / "data.npz").read_bytes()).json()["id"]
        for model, source, code, pointer in (
            ({"name": "M"}, {"name": "digits"}, "unknown_model", "model/name"),
            ({"name": "m"}, {"name": "d"}, "unknown_data", "data/name"),
            ({"artifact": data}, {"name": "digits"}, "not_a_model", "model/artifact"),
            ({"artifact": "sha256:" + "0" * 64}, {"name": "digits"}, "artifact_not_found", "model/artifact"),
        ):
            answer = client.post("/v1/analyses", json={"inputs": [{"model": model, "data": source}]}).json()
            assert (answer["code"], answer["errors"][0]["pointer"]) == (code, f"/body/inputs/0/{pointer}")


@pytest.mark.parametrize(
    "model",
    [
        "http://169.254.169.254/latest/meta-data",
        {"uri": "https://example.org/m.onnx"},
        {"path": "/etc/passwd"},
        {"name": "file:///etc/passwd"},
        {"name": "os:system"},
        {"artifact": "../../etc/passwd"},
        {"name": "m", "artifact": "sha256:" + "0" * 64},
        {},
    ],
)
def test_addresses_and_paths_are_no_models(models: Settings, database: Database, model: object) -> None:
    key = Keys(database).create("tenant", "test", ["read", "submit"]).key
    with TestClient(create_app(models), headers={"Authorization": f"Bearer {key}"}) as client:
        body = {"inputs": [{"model": model, "data": {"name": "digits"}}]}
        answer = client.post("/v1/analyses", json=body)
        assert answer.status_code == 422
        assert answer.json()["code"] in ("invalid_request", "unknown_model"), answer.json()
        assert answer.json()["errors"][0]["pointer"].startswith("/body/inputs/0/model")
