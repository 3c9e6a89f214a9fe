"""Models on a command line: `interlayer submit network.onnx@data=inputs.npz`."""

from pathlib import Path

import pytest

from interlayer.errors import UsageError
from interlayer.inputs import parse_sources
from interlayer.local import LocalInput
from interlayer.model_input import ModelInput

DEFAULTS = ("trained", "train", "0")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("network.onnx", "inputs.npz", "run.npz"):
        Path(name).write_bytes(b"")


def test_files_and_names() -> None:
    found = parse_sources(
        ["network.onnx@data=inputs.npz", "name:cnn@data=name:digits,split=validation,pooling=mean,step=3",
         "run.npz@state=untrained"],
        *DEFAULTS,
    )  # fmt: skip
    assert found == [
        ModelInput("network.onnx", "inputs.npz"),
        ModelInput("name:cnn", "name:digits", split="validation", step=3, pooling="mean"),
        LocalInput(Path("run.npz"), state="untrained"),
    ]
    first, second = found[:2]
    assert isinstance(first, ModelInput)
    assert isinstance(second, ModelInput)
    reference = first.reference(lambda path: "sha256:" + {"network.onnx": "a", "inputs.npz": "b"}[path.name] * 64)
    assert reference.model is not None
    assert reference.data is not None
    assert (reference.model.artifact, reference.data.artifact) == ("sha256:" + "a" * 64, "sha256:" + "b" * 64)
    named = second.reference(lambda path: pytest.fail(f"{path} is no file"))
    assert named.model is not None
    assert named.data is not None
    assert (named.model.name, named.data.name, named.model.pooling) == ("cnn", "digits", "mean")
    assert (named.split, named.step) == ("validation", 3)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["network.onnx"], "network.onnx is a model; say after @ what it runs on"),
        (["name:cnn@split=train"], "name:cnn@data=name:NAME"),
        (["run.npz@data=inputs.npz"], "run.npz is no model"),
        (["run.npz@pooling=mean"], "run.npz is no model"),
        (["network.onnx@data=none.npz"], "there is no file none.npz"),
        (["none.onnx@data=inputs.npz"], "there is no file none.onnx"),
        (["name:cnn@data=name:digits,color=red"], "'color=red' in 'name:cnn@data=name:digits,color=red' is none of"),
        (["name:cnn@data=name:digits", "network.onnx@data=inputs.npz"], "are both train data of the trained network"),
        (["name:cnn@data=name:digits,step=x"], "must be a whole number"),
    ],
)
def test_refusals(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_sources(texts, *DEFAULTS)
