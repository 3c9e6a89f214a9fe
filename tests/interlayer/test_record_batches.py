"""Samples, types and loaders: which rows of a batch are recorded, and as what."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from interlayer.record import RecordingError, record
from interlayer.record.row_sample import RowSample
from tests.interlayer.recordings import AUTOMATIC, Arrays, affine, convolutional, metadata, pairs, recorded


class TestSample:
    """A limit per class."""

    def test_every_layer_and_label_speak_of_the_same_rows(self, tmp_path: Path) -> None:
        values = torch.arange(200.0).reshape(200, 1)
        labels = torch.arange(200) % 2 + 10 * (torch.arange(200) >= 150)  # classes 0, 1 (75 rows), 10, 11 (25 rows)
        model = nn.Sequential(affine(1, 1, weight=3.0, bias=1.0), nn.ReLU())
        result = record(model, pairs(values, labels), tmp_path / "a.safetensors", per_class=30, seed=4)

        arrays = load_file(tmp_path / "a.safetensors")
        rows = arrays["0.Input"][:, 0].astype(int)
        assert len(set(rows.tolist())) == len(rows)
        np.testing.assert_array_equal(arrays["labels"], labels.numpy()[rows])
        np.testing.assert_array_equal(arrays["1.Dense"][:, 0], 3 * rows + 1)
        np.testing.assert_array_equal(arrays["1.ReLU"], arrays["1.Dense"])
        assert result.counts == Counter(arrays["labels"].tolist()) == {0: 30, 1: 30, 10: 25, 11: 25}

    def test_the_seed_alone_decides(self, tmp_path: Path, images: Tensor, labels: Tensor) -> None:
        def content(name: str, seed: int, model: nn.Module) -> Arrays:
            record(model, pairs(images, labels), tmp_path / name, per_class=4, seed=seed)
            return load_file(tmp_path / name)

        one = content("one", 1, convolutional(inplace=False))
        again = content("again", 1, convolutional(inplace=True))
        other = content("other", 2, convolutional(inplace=False))
        np.testing.assert_array_equal(one["0.Input"], again["0.Input"])
        assert not np.array_equal(one["0.Input"], other["0.Input"])

    def test_the_sample_is_uniform(self) -> None:
        drawn: Counter[int] = Counter()
        n_seeds, n_rows, per_class = 2000, 12, 3
        for seed in range(n_seeds):
            sample = RowSample(per_class, seed)
            row_at: dict[int, int] = {}
            for start in range(0, n_rows, 5):
                size = min(5, n_rows - start)
                rows, places = sample.place(["a"] * size)
                kept = range(size) if rows is None else rows.tolist()
                row_at.update(zip(list(places), (start + row for row in kept), strict=True))
            drawn.update(row_at.values())
        expected = n_seeds * per_class / n_rows
        deviation = np.sqrt(expected * (1 - per_class / n_rows))
        assert all(abs(drawn[row] - expected) < 4 * deviation for row in range(n_rows))

    def test_batches_without_a_kept_row_are_not_run(self, tmp_path: Path) -> None:
        n_runs = 0

        class Counting(nn.Linear):
            def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name of the base class
                nonlocal n_runs
                n_runs += 1
                return super().forward(input)

        loader = [(torch.randn(2, 1), ["a", "b"]) for _ in range(200)]
        record(Counting(1, 1), loader, tmp_path / "a.safetensors", per_class=1)
        assert 1 <= n_runs < 40  # 2 H(200) = 12 of 200 expected


class TestTypes:
    """What the file holds is what it says."""

    def test_float16_on_request(self, tmp_path: Path, images: Tensor, labels: Tensor) -> None:
        model = convolutional(inplace=False)
        record(model, pairs(images, labels), tmp_path / "full.safetensors")
        record(model, pairs(images, labels), tmp_path / "half.safetensors", dtype="float16")
        full, half = load_file(tmp_path / "full.safetensors"), load_file(tmp_path / "half.safetensors")
        for layer in AUTOMATIC:
            assert half[layer].dtype == np.float16
            np.testing.assert_array_equal(half[layer], full[layer].astype(np.float16))

    def test_values_beyond_float16_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RecordingError, match=r"'0\.Input' holds NaN or infinity in float16"):
            record(nn.ReLU(), [(torch.full((2, 1), 7e4), [0, 1])], tmp_path / "a.safetensors", dtype="float16")

    def test_bfloat16_becomes_float32(self, tmp_path: Path) -> None:
        values = torch.randn(4, 3, dtype=torch.bfloat16)
        record(nn.ReLU(), [(values, [0, 1, 0, 1])], tmp_path / "a.safetensors")
        array = load_file(tmp_path / "a.safetensors")["0.Input"]
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, values.float().numpy())

    def test_arrays_of_several_types_are_aligned(self, tmp_path: Path) -> None:
        class Mixed(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.stages = nn.ModuleList(_To(dtype) for dtype in (torch.float16, torch.float64, torch.int32))

            def forward(self, x: Tensor) -> None:
                for stage in self.stages:
                    stage(x)

        values = torch.arange(9.0).reshape(3, 3)
        record(Mixed(), [(values, [0, 1, 1])], tmp_path / "a.safetensors", layers=["0.Input", "stages.*"])
        layers, arrays = recorded(tmp_path / "a.safetensors")
        assert layers == ["0.Input", "stages.0", "stages.1", "stages.2"]
        for layer, dtype in zip(layers, [np.float32, np.float16, np.float64, np.int32], strict=True):
            assert arrays[layer].dtype == dtype
            np.testing.assert_array_equal(arrays[layer], values.numpy())
        raw = (tmp_path / "a.safetensors").read_bytes()
        header_bytes = int.from_bytes(raw[:8], "little")
        header = json.loads(raw[8 : 8 + header_bytes])
        header.pop("__metadata__")
        for name, entry in header.items():
            assert (8 + header_bytes + entry["data_offsets"][0]) % arrays[name].itemsize == 0

    def test_strings_become_codes_and_classes(self, tmp_path: Path) -> None:
        loader = [(torch.randn(2, 2), ["zebra", "ape"]), (torch.randn(2, 2), ("bee", "ape"))]
        result = record(nn.ReLU(), loader, tmp_path / "a.safetensors")
        assert json.loads(metadata(tmp_path / "a.safetensors")["classes"]) == ["ape", "bee", "zebra"]
        assert load_file(tmp_path / "a.safetensors")["labels"].tolist() == [2, 0, 1, 0]
        assert result.counts == {"ape": 2, "bee": 1, "zebra": 1}

    def test_integers_stay(self, tmp_path: Path) -> None:
        record(nn.ReLU(), [(torch.randn(3, 2), np.array([7, -1, 7], np.int16))], tmp_path / "a.safetensors")
        assert "classes" not in metadata(tmp_path / "a.safetensors")
        assert load_file(tmp_path / "a.safetensors")["labels"].tolist() == [7, -1, 7]


class _To(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


class TestLoaders:
    """The forms of a batch."""

    def test_mappings_are_passed_by_name(self, tmp_path: Path) -> None:
        class Difference(nn.Module):
            def forward(self, *, left: Tensor, right: Tensor) -> Tensor:
                return left - right

        left, right = torch.randn(4, 2), torch.randn(4, 2)
        batches: list[Any] = [
            {"left": left, "right": right, "labels": torch.tensor([0, 1, 0, 1])},
            ({"right": right, "left": left}, [0, 1, 0, 1]),
        ]
        for batch in batches:
            record(Difference(), [batch], tmp_path / "a.safetensors")
            assert recorded(tmp_path / "a.safetensors")[0] == ["0.Input", "0.Difference"]
            array = load_file(tmp_path / "a.safetensors")["0.Difference"]
            np.testing.assert_array_equal(array, (left - right).numpy())

    def test_the_data_loader_of_torch(self, tmp_path: Path, images: Tensor, labels: Tensor) -> None:
        loader: DataLoader[tuple[Tensor, ...]] = DataLoader(TensorDataset(images, labels), batch_size=8)
        record(convolutional(inplace=True), loader, tmp_path / "a.safetensors")
        np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["0.Input"], images.numpy())

    @pytest.mark.parametrize("batch", [torch.randn(4, 2), {"inputs": 0}, (1, 2, 3)])
    def test_anything_else_is_refused(self, tmp_path: Path, batch: Any) -> None:
        with pytest.raises(RecordingError, match="a pair"):
            record(nn.ReLU(), [batch], tmp_path / "a.safetensors")
