"""Tokens: all of them, their mean, the first or the last that counts."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from interlayer.record import record
from tests.interlayer.recordings import LABELS, metadata, recorded


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.act = nn.Embedding(10, 4), nn.Tanh()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:  # noqa: ARG002 - models take it
        return torch.as_tensor(self.act(self.embed(input_ids)))


class TestPooling:
    """Tokens."""

    ids = torch.randint(10, (6, 5), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(5) < torch.tensor([5, 3, 1, 2, 4, 5])[:, None]).long()

    def run(self, path: Path, pooling: Any, **more: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        torch.manual_seed(0)
        model = _Encoder()
        batch = {"input_ids": self.ids, "labels": LABELS, **more}
        parts = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 4), slice(4, 6))]
        record(model, parts, path, pooling=pooling)
        _, arrays = recorded(path)
        assert metadata(path).get("pooling", "none") == pooling
        with torch.no_grad():
            return arrays["1.Tanh"], model(self.ids).numpy()

    def test_all_tokens_by_default(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "none")
        np.testing.assert_array_equal(found, tokens)

    def test_mean_of_the_tokens_that_count(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "mean", attention_mask=self.mask)
        expected = [row[: int(n)].mean(axis=0) for row, n in zip(tokens, self.mask.sum(1), strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)

    def test_mean_without_a_mask(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "mean")
        np.testing.assert_allclose(found, tokens.mean(axis=1), rtol=1e-5, atol=1e-7)

    def test_first(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "cls", attention_mask=self.mask)
        np.testing.assert_array_equal(found, tokens[:, 0])

    def test_last_that_counts(self, tmp_path: Path) -> None:
        found, tokens = self.run(tmp_path / "a", "last", attention_mask=self.mask)
        expected = [row[int(n) - 1] for row, n in zip(tokens, self.mask.sum(1), strict=True)]
        np.testing.assert_array_equal(found, expected)

    def test_of_a_sample_the_mask_goes_with_its_row(self, tmp_path: Path) -> None:
        model = _Encoder()
        everything = {"input_ids": self.ids, "attention_mask": self.mask, "labels": LABELS}
        one_by_one = [{name: value[row : row + 1] for name, value in everything.items()} for row in range(6)]
        for batches, name in (([everything], "a"), (one_by_one, "b")):
            record(model, batches, tmp_path / name, pooling="mean", per_class=2, seed=3)
        (_, one), (_, many) = recorded(tmp_path / "a"), recorded(tmp_path / "b")
        np.testing.assert_allclose(one["1.Tanh"], many["1.Tanh"], rtol=1e-6)
