"""What README and docs tell people to type in Python works as it is written."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlayer.errors import UsageError
from interlayer.local import LocalInput, analyze
from interlayer.notebook import Check
from tests.e2e.activations import write_study

ROOT = Path(__file__).parents[1]


def python_with(file: str, word: str) -> str:
    """Return the one block of Python in a file that has a word."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / file).read_text(encoding="utf-8"), re.DOTALL)
    (found,) = (block for block in blocks if word in block)
    return str(found)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_activations_in_five_lines(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["cat", "dog"], 40)
    images, hidden, output = (rng.normal(size=(80, size)) for size in (12, 6, 2))
    names: dict[str, Any] = {"labels": labels, "images": images, "hidden": hidden, "output": output}
    exec(python_with("README.md", "np.savez"), names)
    assert names["report"].layers == ["0.Input", "1.ReLU", "2.Dense"]
    assert capsys.readouterr().out == "".join(f"{each.message}\n" for each in names["report"].findings) != ""


def test_a_check_in_a_notebook(folder: Path) -> None:
    write_study(folder / "study.npz", n_per_class=40)
    (folder / "interlayer.yaml").write_text(
        "version: 1\nrules: [{id: r, check: separation, layers: last, split: validation, at_least: 0.5}]\n"
    )
    names: dict[str, object] = {}
    exec(python_with("docs/ci.md", "notebook").replace("validation.safetensors", "study.npz"), names)
    assert isinstance(names["found"], Check)
    assert names["found"]


def test_a_file_that_is_not_there_is_said(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file absent\.npz"):
        analyze([LocalInput("absent.npz")])
