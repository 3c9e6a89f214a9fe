"""The callbacks of Lightning and of the Hugging Face `Trainer` record every epoch, and training raises separation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("example", ["lightning_callback", "hugging_face_trainer"])
def test_a_series_from_before_training_to_the_last_epoch(tmp_path: Path, example: str) -> None:
    # A process of its own: both libraries set up loggers, signal handlers and random states of the whole process.
    code = (
        f"from pathlib import Path; from examples import {example}; {example}.main(Path({str(tmp_path)!r}), n_epochs=3)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    epochs = re.findall(r"^epoch (\d): mean separation (-?\d\.\d+)$", result.stdout, re.MULTILINE)
    assert [epoch for epoch, _ in epochs] == ["0", "1", "2", "3"]
    assert float(epochs[-1][1]) > float(epochs[0][1]) + 0.05
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {
        f"train-{epoch}.safetensors" for epoch in range(4)
    }


@pytest.mark.parametrize(
    ("module", "missing", "message"),
    [
        ("lightning", "lightning", "pip install lightning"),
        ("hugging_face", "transformers", 'pip install "interlayer[models]" accelerate'),
    ],
)
def test_a_missing_library_is_named(module: str, missing: str, message: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\ntry:\n    import interlayer.record.{module}\n"
    code += "except ModuleNotFoundError as error:\n    print(error)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert message in result.stdout
