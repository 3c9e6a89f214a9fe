"""`GET /v1/models`: what is registered, without where it lies."""

from pathlib import Path

import httpx
import pytest

from contract.settings import Settings
from interlayer.__main__ import run
from tests.service.running import Service, serving

REGISTRY = f"""
[models.digits-cnn]
description = "Two convolutions"
factory = "my_networks:digits_cnn"
weights = "secret-folder/digits.safetensors"
sha256 = "{"0" * 64}"
layers = ["0.Input", "1.Conv"]

[models.blank]
factory = "my_networks:blank"
pooling = "mean"

[data.digits]
description = "Handwritten"
sklearn = "digits"
"""


def test_names_and_descriptions_are_told_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models.toml").write_text(REGISTRY)
    settings = Settings(data_dir=tmp_path / "data", models_file=tmp_path / "models.toml", free_disk_reserve_bytes=0)
    with serving(settings) as service:
        caller = service.caller(scopes=("read",))
        answer = caller.http.get("/v1/models")
        assert answer.status_code == 200
        assert answer.json() == {
            "models": [
                {"name": "blank", "description": "", "trained": False, "pooling": "mean", "layers": []},
                {
                    "name": "digits-cnn", "description": "Two convolutions", "trained": True, "pooling": "none",
                    "layers": ["0.Input", "1.Conv"],
                },
            ],
            "data": [{"name": "digits", "description": "Handwritten"}],
        }  # fmt: skip
        assert "secret-folder" not in answer.text
        assert "my_networks" not in answer.text
        assert run(["models", "--server", service.url, "--key", caller.key]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert printed == [
            "model  blank  untrained only", "model  digits-cnn  trained  Two convolutions", "data  digits  Handwritten"
        ]  # fmt: skip
        assert httpx.get(f"{service.url}/v1/models").status_code == 401


def test_without_a_registry_nothing_is_offered(service: Service) -> None:
    assert service.caller().http.get("/v1/models").json() == {"models": [], "data": []}


def test_a_wrong_registry_is_the_administrators_problem(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text("[models.a]\n")
    settings = Settings(data_dir=tmp_path / "data", models_file=tmp_path / "models.toml", free_disk_reserve_bytes=0)
    with serving(settings) as service:
        answer = service.caller().http.get("/v1/models")
    assert (answer.status_code, answer.json()["code"]) == (500, "registry_invalid")
