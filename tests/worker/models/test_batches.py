"""Models run in batches: layers one by one, and batches that do not fit into memory."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker import files
from tests.worker.models import networks
from tests.worker.models.bench import code_of
from worker.models.batches import LayerFile, run_all
from worker.models.onnx_model import OnnxModel
from worker.models.onnx_session import OnnxPart
from worker.safetensors_file import read_safetensors

Array = files.Array


def test_layers_computed_one_by_one_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small budget holds one layer and the weights for one: the rest is let go of."""
    alive: list[int] = []
    run = OnnxPart.run

    def counted(part: OnnxPart, feed: Mapping[str, Array]) -> list[Any]:
        outputs = run(part, feed)
        alive.append(len(outputs))
        return outputs

    monkeypatch.setattr(OnnxPart, "run", counted)
    path = networks.mlp_onnx(tmp_path / "m.onnx", networks.seeded(networks.mlp))
    batch = {"inputs": np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)}
    found: list[dict[str, Array]] = []
    for budget in (1, 2**29):
        model = OnnxModel(path, device="cpu", n_threads=1, budget_bytes=budget)
        outputs: dict[str, Array] = {}
        names = model.names(batch)[0]
        model.run(batch, names, outputs.__setitem__)
        assert alive == ([1] * (len(names) - 1) if budget == 1 else [len(names) - 1])
        assert len(model._parts) == 1
        alive.clear()
        found.append(outputs)
    assert all(np.array_equal(found[0][name], found[1][name]) for name in names)


class Hungry:
    """A model that doubles its input and holds only so many rows, more on the CPU than on the GPU."""

    def __init__(self, gpu: int, cpu: int) -> None:
        self.device, self._rows = "cuda", {"cuda": gpu, "cpu": cpu}
        self.sizes: list[int] = []

    def names(self, _batch: Mapping[str, Array]) -> tuple[list[str], list[str]]:
        return ["double"], []

    def run(self, batch: Mapping[str, Array], _layers: Sequence[str], put: Callable[[str, Array], None]) -> None:
        rows = batch["inputs"]
        if len(rows) > self._rows[self.device]:
            raise RuntimeError("out of memory")
        self.sizes.append(len(rows))
        put("double", 2 * rows)

    def is_out_of_memory(self, error: Exception) -> bool:
        return "out of memory" in str(error)

    def to_cpu(self) -> bool:
        moved, self.device = self.device == "cuda", "cpu"
        return moved


class TestMemory:
    def run(self, folder: Path, model: Hungry, *, may_leave_gpu: bool = True) -> tuple[list[str], Array]:
        inputs = np.arange(60, dtype=np.float32).reshape(20, 3)
        file = LayerFile(folder / "f.safetensors", np.arange(20) % 2, {"double": inputs[:1]}, np.arange(20))
        notes = run_all(
            model,
            ["double"],
            20,
            8,
            lambda first, end: {"inputs": inputs[first:end]},
            file.write,
            may_leave_gpu=may_leave_gpu,
            on_rows=lambda _rows: None,
        )
        (found,) = [array for array in read_safetensors(folder / "f.safetensors").arrays if array.name == "double"]
        assert np.array_equal(found.load(), 2 * inputs)
        return notes, found.load()

    def test_a_batch_that_fits(self, tmp_path: Path) -> None:
        model = Hungry(8, 8)
        assert self.run(tmp_path, model)[0] == []
        assert model.sizes == [8, 8, 4]

    def test_a_batch_that_does_not_is_halved(self, tmp_path: Path) -> None:
        model = Hungry(3, 8)
        (note,) = self.run(tmp_path, model)[0]
        assert note.startswith("the model ran on 2 rows at a time")
        assert model.device == "cuda"

    def test_then_the_cpu_takes_over(self, tmp_path: Path) -> None:
        model = Hungry(0, 8)
        (note,) = self.run(tmp_path, model)[0]
        assert "CPU" in note
        assert model.sizes == [8, 8, 4]

    @pytest.mark.parametrize(("may_leave_gpu", "cpu"), [(False, 8), (True, 0)])
    def test_where_nothing_helps_it_is_said(self, tmp_path: Path, may_leave_gpu: bool, cpu: int) -> None:
        assert code_of(lambda: self.run(tmp_path, Hungry(0, cpu), may_leave_gpu=may_leave_gpu)) == "out_of_memory"
