"""Recordings of a training run go to a real service with one call, and the report knows each step of each split."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from contract.settings import Settings
from interlayer.client import Client
from interlayer.record import RecordedSeries, record, submit_recordings
from tests.service.running import Service, serving
from tests.worker.jobs import next_claim, runner_of

LABELS = torch.arange(40) % 2


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a worker: a test runs what it has submitted."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), free_disk_reserve_bytes=0, worker_threads=1)
    with serving(settings) as running:
        yield running


def batches(seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    rows = torch.randn(40, 3, generator=torch.Generator().manual_seed(seed)) + 2.0 * LABELS[:, None]
    return [(rows[:25], LABELS[:25]), (rows[25:], LABELS[25:])]


def run_next(service: Service) -> None:
    claim = next_claim(service.settings, service.stores.database)
    assert claim is not None
    with runner_of(service.settings, service.stores.database) as runner:
        runner.run(claim)


def test_a_series_is_one_analysis_of_all_steps(service: Service, tmp_path: Path) -> None:
    series = RecordedSeries({"train": batches(0), "validation": batches(1)}, tmp_path, layers=["0"])
    model = nn.Sequential(nn.Linear(3, 3))
    for step in (0, 5, 5):  # a step recorded again replaces the former recording
        series.record(model, step)
    with Client(service.url, service.caller().key) as client:
        analysis = series.submit(client, metric="cosine", tags={"run": "7"}, seed=3)
        run_next(service)
        report = client.report(client.wait(analysis.id).id)
    assert {(found.layer, found.split, found.step) for found in report.separations} == {
        ("0", split, step) for split in ("train", "validation") for step in (0, 5)
    }
    assert analysis.tags == {"run": "7"}


def test_files_recorded_one_by_one(service: Service, tmp_path: Path) -> None:
    inputs = []
    for state in ("untrained", "trained"):
        found = record(nn.Linear(3, 3), batches(0), tmp_path / f"{state}.safetensors")
        inputs.append(found.as_input(state=state))
    with Client(service.url, service.caller().key) as client:
        analysis = submit_recordings(client, inputs)
        run_next(service)
        report = client.report(client.wait(analysis.id).id)
        assert {found.state for found in report.separations} == {"untrained", "trained"}
        with pytest.raises(ValueError, match="two inputs are both instance '0', untrained"):
            submit_recordings(client, [*inputs, inputs[0]])


def test_the_snippets_of_the_page_run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "recording.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLAYER_SERVER", service.url)
    monkeypatch.setenv("INTERLAYER_KEY", service.caller().key)
    known: dict[str, Any] = {
        "model": nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
        "criterion": nn.CrossEntropyLoss(),
        "train_one_epoch": lambda _: None,
        **dict.fromkeys(("loader", "train_loader", "validation_loader"), batches(0)),
    }
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, known)
    assert len(known["series"].inputs) == 20
    assert (tmp_path / "epoch-3.safetensors").exists()
    run_next(service)
    with Client() as client:
        assert client.status(known["analysis"].id).status == "succeeded"
