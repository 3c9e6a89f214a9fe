"""The short examples run, and print what they promise."""

import re
from pathlib import Path

import pytest

from examples import own_activations, pytorch_model, training_loop


def test_own_activations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_activations.main(tmp_path)
    assert re.search(r"^0\.Input +64 +0\.9\d+", capsys.readouterr().out, re.MULTILINE)


def test_pytorch_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytorch_model.main(tmp_path)
    printed = capsys.readouterr().out
    assert all(layer in printed for layer in ("0.Input", "1.Dense", "1.ReLU", "2.Dense"))
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{state}-{split}.safetensors" for state in ("untrained", "trained") for split in ("train", "validation")
    }


def test_training_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training_loop.main(tmp_path, n_epochs=2)
    epochs = re.findall(r"^epoch (\d): mean separation (\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert [epoch for epoch, _ in epochs] == ["0", "1"]
    assert all(0.1 < float(mean) < 0.6 for _, mean in epochs)
