"""Where rows go in the file: right, and the same bytes, whatever was known beforehand of how many would come."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from interlayer.record import LayerRecorder, RecordingError, record

ROWS = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(30) % 3


class Mixed(nn.Module):
    """Layers of several widths, so that the order in the file is not that of execution."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide = nn.ReLU(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.wide(self.narrow(x.half()).double()))


@pytest.mark.parametrize("n_rows", [None, 1, 7, 29, 30, 31, 500])
@pytest.mark.parametrize("labels", [LABELS.tolist(), [f"class {row:0200}" for row in range(30)]])
def test_a_wrong_number_of_rows_leaves_no_trace(tmp_path: Path, n_rows: int | None, labels: list[Any]) -> None:
    # Long names of classes, more in every batch: the header outgrows the room that it was given.
    layers = ["0.Input", "narrow", "wide"]
    with LayerRecorder(Mixed(), tmp_path / "own.safetensors", layers=layers, n_rows=n_rows) as recorder:
        for start in range(0, 30, 7):
            with recorder.batch(labels[start : start + 7]):
                recorder._model(ROWS[start : start + 7])
    record(Mixed(), [(ROWS, labels)], tmp_path / "one.safetensors", layers=layers)
    assert (tmp_path / "own.safetensors").read_bytes() == (tmp_path / "one.safetensors").read_bytes()
    np.testing.assert_array_equal(load_file(tmp_path / "own.safetensors")["wide"], ROWS.half().relu().double())
    assert {path.name for path in tmp_path.iterdir()} == {"own.safetensors", "one.safetensors"}


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Has no length."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(ROWS, LABELS, strict=True)


DATA = TensorDataset(ROWS, LABELS)
LOADERS: dict[str, tuple[Any, int]] = {
    "whole": (DataLoader(DATA, batch_size=8), 30),
    "without the rest": (DataLoader(DATA, batch_size=8, drop_last=True), 24),
    "part": (DataLoader(Subset(DATA, range(13)), batch_size=8), 13),
    "stream": (DataLoader(Stream(), batch_size=8), 30),
    "batches of its own": (DataLoader(DATA, batch_sampler=[[0, 1, 2], [3, 4]]), 5),
}


@pytest.mark.parametrize("case", LOADERS)
def test_loaders_of_every_kind(tmp_path: Path, case: str) -> None:
    loader, n_rows = LOADERS[case]
    record(nn.ReLU(), loader, tmp_path / "a.safetensors")
    arrays = load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(arrays["0.Input"], ROWS[:n_rows])
    np.testing.assert_array_equal(arrays["labels"], LABELS[:n_rows])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("row", [0, 2047])
def test_one_bad_value_among_many_blocks_is_found(tmp_path: Path, bad: float, row: int) -> None:
    values = torch.zeros(2048, 400)
    values[row, 399] = bad
    with pytest.raises(RecordingError, match=r"'0\.Input' holds NaN or infinity$"):
        record(nn.Tanh(), [(values, [0] * 2048)], tmp_path / "a.safetensors")


def test_large_values_are_finite(tmp_path: Path) -> None:
    values = torch.full((4, 3), 3e38)  # their squares are not
    record(nn.ReLU(), [(values, [0, 1, 0, 1])], tmp_path / "a.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["0.Input"], values)


def test_channels_last_is_stored_in_the_usual_order(tmp_path: Path) -> None:
    values = torch.randn(40, 3, 64, 64).to(memory_format=torch.channels_last)
    record(nn.ReLU(), [(values, [0, 1] * 20)], tmp_path / "a.safetensors", dtype="float16")
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["0.Input"], values.half())


def test_no_room_is_said_before_the_second_batch(tmp_path: Path) -> None:
    code = """
import resource, sys, torch
from interlayer.record import RecordingError, record
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
n_runs = 0
class Doubled(torch.nn.Module):
    def forward(self, x):
        global n_runs
        n_runs += 1
        return x * 2
try:
    record(Doubled(), [(torch.rand(64, 1024), torch.arange(64) % 2)] * 6, sys.argv[1])
except RecordingError as error:
    print(n_runs, error)
"""
    path = tmp_path / "a.safetensors"
    said = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout
    assert said.startswith("0 384 rows of layer '0.Input' take 1572864 bytes, for which there is no room in"), said
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    record(nn.ReLU(), [(ROWS, LABELS)], tmp_path / "a.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["0.Input"], ROWS)


def test_writes_that_the_system_cuts_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, place: whole(file, content[:100], place))
    record(nn.ReLU(), [(ROWS, LABELS)], tmp_path / "a.safetensors")
    monkeypatch.undo()
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["0.Input"], ROWS)
