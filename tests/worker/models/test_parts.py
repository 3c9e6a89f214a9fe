"""The scan of ONNX files, batches that do not fit, registered data, and the registry itself."""

import contextlib
import gzip
import random
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from PIL import Image
from sklearn.datasets import load_iris

from contract.formats import sniff
from contract.registry import RegisteredData, RegisteredModel, load_registry
from contract.schemas import ProblemError
from tests.worker import files
from tests.worker.models import networks
from worker.models import recording
from worker.models.batches import LayerFile, run_all
from worker.models.data import RowDigest, open_registered
from worker.models.onnx_model import OnnxModel
from worker.models.onnx_scan import scan_onnx
from worker.models.onnx_session import OnnxPart
from worker.safetensors_file import read_safetensors

Array = files.Array


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        action()
    return caught.value.problem.code


def good(folder: Path) -> bytes:
    return networks.mlp_onnx(folder / "good.onnx", networks.seeded(networks.mlp)).read_bytes()


def nested(depth: int) -> bytes:
    """A graph in a graph in a graph: attribute 6 of node 1 of the one around it."""
    inner = b""
    for _ in range(depth):
        for number in (6, 5, 1):
            size, head = len(inner), bytearray([number << 3 | 2])
            while size > 127:
                head.append(size & 127 | 128)
                size >>= 7
            inner = bytes(head) + bytes([size]) + inner
    head, size = bytearray([7 << 3 | 2]), len(inner)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return b"\x08\x08" + bytes(head) + bytes([size]) + inner


class TestScan:
    def test_a_good_file(self, tmp_path: Path) -> None:
        path = networks.mlp_onnx(tmp_path / "m.onnx", networks.seeded(networks.mlp))
        graph = scan_onnx(path)
        assert [node.operator for node in graph.nodes] == ["Gemm", "Relu", "Gemm", "Softmax"]
        assert graph.constants["w0"].shape == [6, 5]
        assert [(value.name, value.shape) for value in graph.inputs] == [("x", [None, 6])]
        assert graph.opsets == {"": 17}
        assert sniff(path.read_bytes()[:9]) == "onnx"

    def test_what_is_refused(self, tmp_path: Path) -> None:
        network = networks.seeded(networks.mlp)
        path = tmp_path / "m.onnx"
        foreign = helper.make_node("Gelu", ["x"], ["y"], domain="com.example")
        networks.mlp_onnx(path, network, nodes=[foreign], opsets=[helper.make_opsetid("com.example", 1)])
        assert code_of(lambda: scan_onnx(path)) == "operator_unsupported"
        node = helper.make_node("Relu", ["a"], ["b"])
        function = helper.make_function("local", "f", ["a"], ["b"], [node], [helper.make_opsetid("", 17)])
        networks.mlp_onnx(path, network, functions=[function])
        assert code_of(lambda: scan_onnx(path)) == "operator_unsupported"
        assert code_of(lambda: scan_onnx(networks.external(path))) == "external_data_forbidden"
        with path.open("wb") as file:
            file.write(b"\x08\x08")
            file.truncate(2**31)
        assert code_of(lambda: scan_onnx(path)) == "model_too_large"

    @pytest.mark.parametrize("depth", [20, 10_000])
    def test_graphs_in_graphs(self, tmp_path: Path, depth: int) -> None:
        (tmp_path / "m.onnx").write_bytes(nested(depth))
        assert code_of(lambda: scan_onnx(tmp_path / "m.onnx")) == "invalid_onnx"

    def test_a_constant_that_claims_more_than_it_has(self, tmp_path: Path) -> None:
        import onnx

        model = onnx.load_model_from_string(good(tmp_path))
        model.graph.initializer[0].dims[0] = 2**40
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        assert code_of(lambda: scan_onnx(tmp_path / "m.onnx")) == "invalid_onnx"

    def test_damage_anywhere_is_refused_or_harmless(self, tmp_path: Path) -> None:
        content, path, rng = good(tmp_path), tmp_path / "m.onnx", random.Random(0)
        for number in range(400):
            damaged = bytearray(content[: rng.randrange(len(content))] if number % 2 else content)
            if not number % 2:
                for _ in range(3):
                    damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            path.write_bytes(bytes(damaged))
            with contextlib.suppress(ProblemError):  # and nothing else
                scan_onnx(path)


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


class TestData:
    def test_a_fraction_of_each_class_is_held_out(self) -> None:
        entry = RegisteredData(sklearn="iris", validation_fraction=0.2, seed=3)
        parts = [open_registered(entry, split, 2**30) for split in ("train", "validation")]
        assert [np.bincount(part.codes).tolist() for part in parts] == [[40] * 3, [10] * 3]
        rows = [{row.tobytes() for row in part.take(np.arange(len(part.codes)))["inputs"]} for part in parts]
        whole = {row.astype(np.float32).tobytes() for row in load_iris().data}
        assert rows[0] | rows[1] == whole
        assert parts[0].classes == ("setosa", "versicolor", "virginica")

    def test_folders_of_images(self, tmp_path: Path) -> None:
        for split, count in (("train", 3), ("validation", 2)):
            for number, name in enumerate(("cat", "dog")):
                (tmp_path / split / name).mkdir(parents=True)
                for image in range(count):
                    Image.new("RGB", (9, 7), (10 * image, 100 * number, 0)).save(
                        tmp_path / split / name / f"{image}.png"
                    )
        (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
        (tmp_path / "train" / "cat" / "link.png").symlink_to("/etc/passwd")
        entry = RegisteredData(images=tmp_path, size=[4, 5])
        data = open_registered(entry, "train", 2**30)
        assert (data.classes, data.codes.tolist()) == (("cat", "dog"), [0, 0, 0, 1, 1, 1])
        batch = data.take(np.array([2, 4]))["inputs"]
        assert (batch.shape, batch.dtype.name) == ((2, 3, 4, 5), "uint8")
        assert batch[:, :, 0, 0].tolist() == [[20, 0, 0], [10, 100, 0]]
        (tmp_path / "train" / "cat" / "0.png").write_bytes(b"no image")
        assert code_of(lambda: data.take(np.array([0]))) == "data_unavailable"

    def test_mnist_and_cifar(self, tmp_path: Path) -> None:
        images = np.arange(2 * 5 * 4, dtype=np.uint8).reshape(2, 5, 4)
        header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 5, 4)
        (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + bytes([7, 3]))
        data = open_registered(RegisteredData(mnist=tmp_path), "validation", 2**30)
        assert (data.classes, data.codes.tolist()) == (("3", "7"), [1, 0])
        assert np.array_equal(data.take(np.array([1]))["inputs"], images[1:, None])
        assert code_of(lambda: open_registered(RegisteredData(mnist=tmp_path), "train", 2**30)) == "data_unavailable"
        record = np.arange(3073) % 251
        (tmp_path / "test_batch.bin").write_bytes(record.astype(np.uint8).tobytes() * 2)
        cifar = open_registered(RegisteredData(cifar10=tmp_path), "validation", 2**30)
        assert np.array_equal(cifar.take(np.array([1]))["inputs"].ravel(), record[1:])
        (tmp_path / "test_batch.bin").write_bytes(b"short")
        assert (
            code_of(lambda: open_registered(RegisteredData(cifar10=tmp_path), "validation", 2**30))
            == "data_unavailable"
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.m]\n", "exactly one"),
        ("[models.m]\nfactory = 'os.system'\n", "factory"),
        ("[models.m]\nfactory = 'a:b'\nweights = 'w'\n", "sha256"),
        ("[models.m]\nfactory = 'a:b'\nweight = 'w'\n", "weight"),
        ("[models.m]\nfactory = 'a:b'\n[models.m.input]\nmean = [1.0]\n", "std"),
        ("[data.d]\nimages = 'x'\n", "size"),
        ("[data.d]\n", "exactly one"),
        ("[models", "TOML"),
    ],
)
def test_a_wrong_registry_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text)
    with pytest.raises(ProblemError) as caught:
        load_registry(path)
    assert (caught.value.problem.code, said in caught.value.problem.detail) == ("registry_invalid", True), caught.value


def test_paths_are_relative_to_the_registry(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text("[data.d]\ntrain = 'x/d.npz'\n")
    assert load_registry(tmp_path / "models.toml").data_set("d").train == tmp_path / "x" / "d.npz"
    assert load_registry(None).models == {}
    assert code_of(lambda: load_registry(tmp_path / "none.toml")) == "registry_invalid"


class TestRowDigest:
    """What identifies the data of a run."""

    ROWS: Array = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)

    def digest(self, *taken: tuple[int, int], rows: Array | None = None, codes: int = 0) -> str:
        rows = self.ROWS if rows is None else rows
        seen = RowDigest(np.arange(20) % 2 + codes)
        for first, end in taken:
            seen.update(first, {"inputs": rows[first:end], "mask": rows[first:end] > 0})
        return seen.hexdigest()

    def test_batches_and_second_tries_leave_no_trace(self) -> None:
        whole = self.digest((0, 20))
        assert self.digest((0, 4), (0, 16), (0, 8), (8, 16), (16, 20)) == whole

    def test_every_value_type_and_label_counts(self) -> None:
        changed = self.ROWS.copy()
        changed[19, 2] += 1
        digests = {
            self.digest((0, 20)),
            self.digest((0, 20), rows=changed),
            self.digest((0, 20), rows=self.ROWS.view(np.int32)),
            self.digest((0, 20), rows=self.ROWS.reshape(20, 3, 1)),
            self.digest((0, 20), codes=1),
        }
        assert len(digests) == 5


def test_the_data_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, opened = tmp_path / "images", Counter[str]()
    for number in range(12):
        path = folder / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 3), 20 * number, np.uint8)).save(path)
    whole = Image.open

    def counted(path: Path) -> Image.Image:
        opened[path.name] += 1
        return whole(path)

    monkeypatch.setattr(Image, "open", counted)
    entry = RegisteredModel.model_validate(
        {"factory": "tests.worker.models.networks:mlp", "input": {"shape": [6], "dtype": "float32"}}
    )
    run = {
        "model": tmp_path, "entry": entry, "trained": False, "seed": 0, "pooling": None, "rows": list(range(6)),
        "data": RegisteredData(images=folder, size=[2, 3], mode="L"), "split": "train", "out": tmp_path / "out",
    }  # fmt: skip
    work = {"runs": [run], "layers": {}, "device": "cpu", "n_threads": 1, "memory_bytes": None, "max_unpacked_bytes": 1}
    recording.record(work, lambda _done, _total: None)
    # The first four are looked at beforehand, to learn the shapes of layers.
    assert sorted(opened.values()) == [1, 1, 2, 2, 2, 2]
