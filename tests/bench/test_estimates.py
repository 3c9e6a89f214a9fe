"""Memory as it is estimated and as a computing process takes it: the kernel's count, which no load can disturb."""

from pathlib import Path

import pytest

from bench.estimates import ComputingProcess, Trial, written

TRIALS = [
    Trial(300, 10, (8192,), "float32", "safetensors"),
    Trial(400, 10, (4096,), "float64", request=(("sampling", {"per_class": 200}),)),
    Trial(4, 700, (32,), request=(("tests", {"n_resamples": 99}),)),
]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial.classes}x{trial.rows}")
def test_the_memory_of_an_analysis_is_estimated_within_a_fifth(trial: Trial, tmp_path: Path) -> None:
    with ComputingProcess(tmp_path) as process:
        found = process.run(*written(trial, tmp_path), trial.threads)
    assert found.event.event == "report"
    assert found.prediction.memory_bytes == pytest.approx(found.memory_bytes, rel=0.2)
