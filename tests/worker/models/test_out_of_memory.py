"""Memory that runs out while a model runs, as PyTorch and ONNX Runtime say it: fewer rows at a time, then the CPU."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from contract.registry import RegisteredModel
from contract.schemas import ProblemError
from tests.worker.models import networks
from worker.models import onnx_model, recording
from worker.models.batches import LEFT_GPU
from worker.safetensors_file import read_safetensors

NO_ROOM = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "torch on the CPU": RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "onnxruntime": RuntimeError(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate "
        "memory for requested buffer of size 1073741824"
    ),
}


class Bounded(nn.Module):
    """Has room for so many rows."""

    def __init__(self, rows: int = 10**9, error: str = "torch") -> None:
        super().__init__()
        self.dense, self.rows, self.error = nn.Linear(6, 5), rows, error
        self.most = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.rows:
            raise NO_ROOM[self.error]
        out: torch.Tensor = self.dense(x)
        return out


def recorded(
    folder: Path, name: str, entry: RegisteredModel | None, device: str = "cpu", model: Path | None = None
) -> Any:
    """Record a model on 108 rows; return what became of it, and the bytes of the file."""
    run = {
        "model": model or folder, "entry": entry, "trained": False, "seed": 0, "pooling": None, "rows": None,
        "data": networks.data_file(folder / "data.npz"), "split": "train", "out": folder / name,
    }  # fmt: skip
    work = {
        "runs": [run], "layers": {}, "device": device, "n_threads": 1, "memory_bytes": None,
        "max_unpacked_bytes": 2**30,
    }  # fmt: skip
    (found,) = recording.record(work, lambda _done, _total: None)
    return found, {array.name: array.load() for array in read_safetensors(folder / name).arrays}


def bounded(**arguments: Any) -> RegisteredModel:
    return RegisteredModel(factory="tests.worker.models.test_out_of_memory:Bounded", arguments=arguments)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.allclose(one[name], other[name], rtol=1e-5) for name in one)


@pytest.mark.parametrize("error", ["torch", "torch on the CPU", "cublas"])
def test_pytorch_is_given_fewer_rows(tmp_path: Path, error: str) -> None:
    plain, expected = recorded(tmp_path, "plain.safetensors", bounded())
    found, arrays = recorded(tmp_path, "bounded.safetensors", bounded(rows=9, error=error))
    assert plain["notes"] == []
    assert found["notes"] == ["the model ran on 8 rows at a time, for 64 did not fit into memory"]
    assert same(arrays, expected)


@pytest.mark.parametrize("error", ["torch", "cublas"])
def test_not_even_a_few_rows(tmp_path: Path, error: str) -> None:
    with pytest.raises(ProblemError) as caught:
        recorded(tmp_path, "a.safetensors", bounded(rows=0, error=error))
    assert caught.value.problem.code == "out_of_memory"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A GPU, played by the CPU, that runs out of memory for good after so many tensors were sent to it."""
    to, state = torch.Tensor.to, {"room": 10**9}

    def send(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        where = str(args[0] if args else kwargs.get("device"))
        if where != "cuda":
            return to(tensor, *args, **kwargs)
        state["room"] -= 1
        if state["room"] < 0:
            raise NO_ROOM["torch"]
        return tensor

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "to", send)
    monkeypatch.setattr(nn.Module, "to", lambda module, where: [p.to(where) for p in module.parameters()] and module)
    return lambda room: state.update(room=room)


@pytest.mark.parametrize("room", [0, 1, 5, 9, 13])
def test_pytorch_leaves_the_gpu(tmp_path: Path, gpu: Callable[[int], None], room: int) -> None:
    """At the weights, while it is probed, and between batches."""
    _, expected = recorded(tmp_path, "cpu.safetensors", bounded())
    gpu(room)
    found, arrays = recorded(tmp_path, "auto.safetensors", bounded(), "auto")
    assert (found["device"], found["notes"]) == ("cpu", [LEFT_GPU])
    assert same(arrays, expected)
    gpu(room)
    with pytest.raises(ProblemError) as caught:
        recorded(tmp_path, "cuda.safetensors", bounded(), "cuda")
    assert caught.value.problem.code == "out_of_memory"


class Arena:
    """A part of a model with room for so many rows on its GPU."""

    def __init__(self, part: Any, rows: int) -> None:
        self._part, self._rows = part, rows

    def run(self, feed: dict[str, Any]) -> Any:
        if len(next(iter(feed.values()))) > self._rows:
            raise NO_ROOM["onnxruntime"]
        return self._part.run(feed)


@pytest.mark.parametrize(
    ("rows", "note"), [(5, "the model ran on 4 rows at a time, for 64 did not fit into memory"), (3, LEFT_GPU)]
)
def test_onnx_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, note: str) -> None:
    path = networks.mlp_onnx(tmp_path / "m.onnx", networks.seeded(networks.mlp))
    _, expected = recorded(tmp_path, "cpu.safetensors", None, model=path)
    part = onnx_model.OnnxModel._part

    def on_gpu(model: onnx_model.OnnxModel, outputs: tuple[str, ...]) -> Any:
        found = part(model, outputs)
        if model._device == "cpu":
            return found
        model.device = "cuda"
        return Arena(found, rows)

    monkeypatch.setattr(onnx_model.OnnxModel, "_part", on_gpu)
    found, arrays = recorded(tmp_path, "auto.safetensors", None, "auto", path)
    assert found["notes"] == [note]
    assert found["device"] == ("cpu" if note == LEFT_GPU else "cuda")
    assert same(arrays, expected)
