"""Registered data: which rows they are, what identifies them, and how often they are read."""

import gzip
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_iris

from contract.registry import RegisteredData, RegisteredModel
from tests.worker import files
from tests.worker.models.bench import code_of
from worker.models import recording
from worker.models.data import RowDigest, open_registered

Array = files.Array


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
