"""Good files are read as numpy and the safetensors library wrote them."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from contract.schemas import InspectedLayer, ProblemError
from tests.worker import files
from worker.activations import ActivationFile, open_activations

LIMIT = 2**30
LABELS = np.array([3, -1, 3, 10, -1, 10])


def opened(path: Path) -> ActivationFile:
    return open_activations(path, max_unpacked_bytes=LIMIT)


def layer_array(dtype: Any) -> files.Array:
    values = np.random.default_rng(0).integers(0, 100, (len(LABELS), 4, 2))
    return values.astype(dtype)


@pytest.mark.parametrize(
    "dtype",
    ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8", "i1", "<i2", "<i4", "<i8", ">i8", "u1", "<u2", ">u4", "<u8"],
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressed", [False, True])
def test_npz_layers_come_back_as_they_are(tmp_path: Path, dtype: str, order: Any, compressed: bool) -> None:
    array = np.asarray(layer_array(dtype), order=order)
    save: Any = np.savez_compressed if compressed else np.savez
    save(tmp_path / "a.npz", labels=LABELS, layer=array)
    found = opened(tmp_path / "a.npz").layers["layer"].load()
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative
    assert found.dtype.kind == array.dtype.kind
    assert found.dtype.itemsize == array.dtype.itemsize


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_npy_version_is_read(tmp_path: Path, version: tuple[int, int]) -> None:
    array = layer_array("<f4")
    members = {"labels.npy": files.npy(LABELS, version), "layer.npy": files.npy(array, version)}
    (tmp_path / "a").write_bytes(files.archive(members))
    np.testing.assert_array_equal(opened(tmp_path / "a").layers["layer"].load(), array)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_safetensors_layers_come_back_as_they_are(tmp_path: Path, dtype: str) -> None:
    array = layer_array(dtype)
    save_file({"labels": LABELS, "layer": array}, tmp_path / "a.safetensors")
    found = opened(tmp_path / "a.safetensors").layers["layer"].load()
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert isinstance(found, np.memmap), "a layer must not be copied into memory before it is needed"


def test_bfloat16_is_exact_in_float32(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save_tensors

    tensor = torch.randn(len(LABELS), 5, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    save_tensors({"labels": torch.from_numpy(LABELS), "layer": tensor}, tmp_path / "a.safetensors")
    layer = opened(tmp_path / "a.safetensors").layers["layer"]
    assert layer.dtype == "bfloat16"
    np.testing.assert_array_equal(layer.load(), tensor.to(torch.float32).numpy())
    assert layer.load().dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "classes", "codes"),
    [
        (LABELS, ("-1", "3", "10"), [1, 0, 1, 2, 0, 2]),
        (LABELS.astype(">i2"), ("-1", "3", "10"), [1, 0, 1, 2, 0, 2]),
        (np.array([7, 2, 7, 2, 7, 2], np.uint8), ("2", "7"), [1, 0, 1, 0, 1, 0]),
        (np.array(["dog", "cat", "dög", "cat", "dög", "dog"]), ("cat", "dog", "dög"), [1, 0, 2, 0, 2, 1]),
        (np.array(["10", "9", "10", "9", "10", "9"]), ("10", "9"), [0, 1, 0, 1, 0, 1]),
        (np.array(["dög".encode(), b"cat"] * 3), ("cat", "dög"), [1, 0, 1, 0, 1, 0]),
        (np.array(["ß", ""] * 3, ">U2"), ("", "ß"), [1, 0, 1, 0, 1, 0]),
    ],
    ids=["integers", "big-endian", "unsigned", "text", "numbers as text", "bytes", "big-endian text"],
)
def test_labels_of_every_kind(tmp_path: Path, labels: files.Array, classes: tuple[str, ...], codes: list[int]) -> None:
    found = opened(files.write_npz(tmp_path / "a.npz", {"labels": labels, "layer": layer_array("f4")}))
    assert found.classes == classes
    assert found.codes.tolist() == codes


def test_class_names_of_the_metadata_name_integer_labels(tmp_path: Path) -> None:
    labels = np.array([2, 0, 2, 0, 2, 0])
    metadata = {"classes": json.dumps(["plane", "unused", "bird"])}
    save_file({"labels": labels, "layer": layer_array("f4")}, tmp_path / "a", metadata=metadata)
    found = opened(tmp_path / "a")
    assert (found.classes, found.codes.tolist()) == (("plane", "bird"), [1, 0, 1, 0, 1, 0])


class TestLayerOrder:
    names = ("10.Softmax", "0.Input", "labels", "2.ReLU")

    def arrays(self, order: tuple[str, ...]) -> dict[str, files.Array]:
        return {name: LABELS if name == "labels" else layer_array("f4") for name in order}

    def test_of_an_npz_is_that_of_its_entries(self, tmp_path: Path) -> None:
        found = opened(files.write_npz(tmp_path / "a.npz", self.arrays(self.names)))
        assert list(found.layers) == ["10.Softmax", "0.Input", "2.ReLU"]

    def test_of_an_npz_is_that_of_its_list(self, tmp_path: Path) -> None:
        wanted = ["0.Input", "2.ReLU", "10.Softmax"]
        arrays = {**self.arrays(self.names), "layers": np.array(wanted)}
        assert list(opened(files.write_npz(tmp_path / "a.npz", arrays)).layers) == wanted

    def test_of_safetensors_is_that_of_the_data(self, tmp_path: Path) -> None:
        # The library may put the names in any order in the header; the data are what the file's order is.
        header, payload = files.good_tensors()
        header["early"] = {"dtype": "F32", "shape": [4, 1], "data_offsets": [32, 48]}
        header["layer"]["data_offsets"] = [48, 80]
        (tmp_path / "a").write_bytes(files.safetensors(header, payload + bytes(16)))
        assert list(opened(tmp_path / "a").layers) == ["early", "layer"]

    def test_of_safetensors_is_that_of_its_metadata(self, tmp_path: Path) -> None:
        wanted = ["2.ReLU", "0.Input", "10.Softmax"]
        save_file(self.arrays(self.names), tmp_path / "a", metadata={"layers": json.dumps(wanted)})
        assert list(opened(tmp_path / "a").layers) == wanted

    @pytest.mark.parametrize(
        "wanted", [["0.Input"], ["0.Input", "2.ReLU", "10.Softmax", "9.More"], ["0.Input", "2.ReLU", "2.ReLU"]]
    )
    def test_a_list_that_does_not_fit_is_refused(self, tmp_path: Path, wanted: list[str]) -> None:
        arrays = {**self.arrays(self.names), "layers": np.array(wanted)}
        for path in (
            files.write_npz(tmp_path / "a.npz", arrays),
            self._safetensors(tmp_path / "a.safetensors", wanted),
        ):
            with pytest.raises(ProblemError) as caught:
                opened(path)
            assert caught.value.problem.code == "layers_invalid"
            assert "every layer of the file once" in caught.value.problem.detail

    def _safetensors(self, path: Path, wanted: list[str]) -> Path:
        save_file(self.arrays(self.names), path, metadata={"layers": json.dumps(wanted)})
        return path


def test_the_inspection_says_what_is_in_the_file(tmp_path: Path) -> None:
    arrays = {"labels": LABELS, "0.Input": layer_array("f4"), "1.Out": np.zeros((6, 2), np.float16)}
    found = opened(files.write_npz(tmp_path / "a.npz", arrays)).inspection()
    assert found.rows == 6
    assert found.classes == {"-1": 2, "3": 2, "10": 2}
    assert found.layers == [
        InspectedLayer(name="0.Input", shape=[6, 4, 2], dtype="float32"),
        InspectedLayer(name="1.Out", shape=[6, 2], dtype="float16"),
    ]


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    save_file({"labels": LABELS, "layer": layer_array("f4")}, tmp_path / "a.npz")
    assert list(opened(tmp_path / "a.npz").layers) == ["layer"]


def test_a_safetensors_file_whose_length_spells_pk_is_no_archive(tmp_path: Path) -> None:
    header, payload = files.good_tensors()
    text = json.dumps(header).encode()
    content = files.safetensors(text + b" " * (0x4B50 - len(text)), payload)
    assert content[:2] == b"PK"
    (tmp_path / "a").write_bytes(content)
    assert list(opened(tmp_path / "a").layers) == ["layer"]


def test_one_row_layers_of_one_column_and_many_axes_are_layers(tmp_path: Path) -> None:
    arrays = {"labels": LABELS, "flat": np.arange(6.0), "deep": np.zeros((6, 1, 2, 1, 3))}
    found = opened(files.write_npz(tmp_path / "a.npz", arrays))
    assert {name: a.shape for name, a in found.layers.items()} == {"flat": (6,), "deep": (6, 1, 2, 1, 3)}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("place", [0.3, 0.6, 0.98])
def test_a_large_layer_is_checked_when_it_is_read_and_not_before(
    tmp_path: Path, compression: int, place: float
) -> None:
    noise = np.random.default_rng(0).normal(size=(6, 50_000))  # does not compress, so a byte is in the layer's middle
    members = {"labels.npy": files.npy(LABELS), "layer.npy": files.npy(noise)}
    content = bytearray(files.archive(members, compression))
    for at in range(int(place * len(content)), int(place * len(content)) + 40):
        content[at] ^= 0xFF
    (tmp_path / "a").write_bytes(content)
    layer = opened(tmp_path / "a").layers["layer"]
    with pytest.raises(ProblemError) as caught:
        layer.load()
    assert caught.value.problem.code == "corrupt_archive"


def test_an_array_larger_than_the_memory_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.npz"
    np.savez_compressed(path, labels=LABELS, layer=np.zeros((len(LABELS), 4096)))
    array = open_activations(path, max_unpacked_bytes=2**40).layers["layer"]
    monkeypatch.setattr("worker.npz.largest_array_bytes", lambda: 4096)
    with pytest.raises(ProblemError, match="safetensors") as refused:
        array.load()
    assert refused.value.problem.code == "out_of_memory"
