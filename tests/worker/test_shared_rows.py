"""Validation data that hold training rows are noticed; data that repeat themselves are not taken for that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.schemas import Report
from interlayer.local import LocalInput, analyze
from tests.interlayer.render.sample import sample_report
from worker.findings import findings

N = 100


def rows(seed: int, n: int = N) -> Any:
    """Rows of three classes in turn, so that a prefix has equally many of each."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, 6)) + 2.0 * (np.arange(n) % 3)[:, None]


def report_of(folder: Path, splits: Mapping[str, Any], *, dead: bool = False) -> Report:
    """Analyse the rows of each split, recorded at an input and behind a ReLU (or where all is dead behind it)."""
    inputs = []
    for split, data in splits.items():
        path = folder / f"{split}.npz"
        behind = np.where(data > 3.5, 1.0, 0.0) if dead else np.maximum(data, 0)
        arrays: dict[str, Any] = (
            {"0.Input": data, "1.ReLU": behind} if not dead else {"1.ReLU": behind, "2.Dense": data}
        )
        np.savez(path, labels=np.arange(len(data)) % 3, **arrays)
        inputs.append(LocalInput(path, split=split))
    return analyze(inputs, {"tests": {"n_resamples": 99}})


@pytest.mark.parametrize(
    ("leaked", "severity"), [(0, None), (1, "warning"), (9, "warning"), (10, "error"), (99, "error")]
)
def test_leaked_rows_are_counted(tmp_path: Path, leaked: int, severity: str | None) -> None:
    train, validation = rows(1), rows(2)
    validation[:leaked] = train[::-1][:leaked]
    report = report_of(tmp_path, {"train": train, "validation": validation})
    (found,) = report.shared_rows
    assert (found.n_shared, found.n_validation, found.n_repeated, found.layer) == (leaked, N, 0, "0.Input")
    found_severities = [finding.severity for finding in report.findings if finding.code == "shared_rows"]
    assert found_severities == ([] if severity is None else [severity])


def test_rows_that_are_the_same_only_behind_a_layer_are_not_shared(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"train": rows(1), "validation": rows(2)}, dead=True)
    (found,) = report.shared_rows
    assert (found.layer, found.n_shared) == ("2.Dense", 0)


def test_data_that_repeat_themselves_are_not_blamed(tmp_path: Path) -> None:
    few = np.round(rows(1, 12), 1)
    train, validation = np.tile(few, (9, 1)), np.tile(few, (8, 1))
    report = report_of(tmp_path, {"train": train, "validation": validation})
    (found,) = report.shared_rows
    assert (found.n_shared, found.n_repeated) == (96, 84)
    (finding,) = [finding for finding in report.findings if finding.code == "shared_rows"]
    assert finding.severity == "info"
    assert "chance" in finding.message


def test_one_split_shares_nothing(tmp_path: Path) -> None:
    assert report_of(tmp_path, {"validation": rows(1)}).shared_rows == []


def test_networks_are_compared_with_themselves(tmp_path: Path) -> None:
    paths = []
    for seed in range(2):
        paths.append(tmp_path / f"{seed}.npz")
        np.savez(paths[-1], labels=np.arange(N) % 3, layer=rows(seed))
    roles = [(0, "train", "a"), (1, "validation", "a"), (1, "train", "b"), (0, "validation", "b")]
    inputs = [LocalInput(paths[number], split=split, instance=instance) for number, split, instance in roles]
    report = analyze(inputs, {"tests": {"n_resamples": 99}})
    assert [(found.instance, found.n_shared) for found in report.shared_rows] == [("a", 0), ("b", 0)]


def test_older_reports_say_nothing_of_it() -> None:
    report = sample_report(n_layers=2)
    assert "shared_rows" not in {finding.code for finding in findings(report)}
