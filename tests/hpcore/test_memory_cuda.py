"""Memory of a device that runs out: smaller parts follow, then a clear error, and never another count."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from hpcore import _mst_cuda, spanning_tree
from hpcore._mst_cuda import CudaBlocks
from hpcore.errors import OutOfMemory, SmallerParts
from hpcore.spanning_tree import on_device
from tests.hpcore.device_counts import counts, data


class Scarce(TorchFunctionMode):
    """Memory that runs out at one call that returns a tensor, or at every call from there on.

    `places` are the lines of the package that make such calls, each with the number of its first.
    """

    def __init__(self, at: int, *, forever: bool = False, error: RuntimeError | None = None) -> None:
        super().__init__()
        self.at, self.forever, self.calls = at, forever, 0
        self.error = error or torch.OutOfMemoryError("no room")
        self.places: dict[tuple[str, int], int] = {}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.calls += 1
            caller: Any = sys._getframe(1)
            while "hpcore" not in caller.f_code.co_filename:
                caller = caller.f_back
            self.places.setdefault((caller.f_code.co_filename, caller.f_lineno), self.calls)
            if self.calls == self.at or (self.forever and self.calls > self.at):
                raise self.error
        return result


@pytest.mark.filterwarnings("ignore::hpcore.errors.SmallerParts")
def test_memory_may_run_out_anywhere() -> None:
    """At every line that makes a tensor: smaller parts follow, and the counts stay what they are."""
    sizes_of_classes = (18, 17, 6, 5)  # two in two parts each, two in one block
    rows, labels = data("relu")[:46], np.repeat(np.arange(4), sizes_of_classes)
    expected = counts(rows, labels, "cpu").count

    def sizes_tried(memory: Scarce) -> list[int]:
        sizes: list[int] = []

        def work(part_size: int) -> NDArray[np.float64]:
            sizes.append(part_size)
            return counts(rows, labels, "cpu:0", part_size // 256).count  # 16, then 8

        with memory:
            np.testing.assert_array_equal(on_device("cuda", work), expected)
        return sizes

    plenty = Scarce(-1)
    assert sizes_tried(plenty) == [4096]
    assert len(plenty.places) > 50
    n_smaller = 0
    for at in plenty.places.values():
        sizes = sizes_tried(Scarce(at))
        assert sizes in ([4096], [4096, 2048])
        n_smaller += len(sizes) == 2
    assert n_smaller > len(plenty.places) // 2  # the others went on with fewer edges at once, or without a copy


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("no room"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_memory_that_stays_out_ends_in_a_clear_error(error: RuntimeError) -> None:
    """Torch's own error, and those of libraries that need memory of their own; any other is not hidden."""
    rows, labels = data("relu")[::4], np.repeat(np.arange(4), 15)
    for at in (1, 10, 60):
        with Scarce(at, forever=True, error=error), pytest.raises(OutOfMemory, match="`device`"):
            on_device("cuda", lambda part_size: counts(rows, labels, "cpu:0", part_size))
        with Scarce(at, error=RuntimeError("something else")), pytest.raises(RuntimeError, match="something else"):
            counts(rows, labels, "cpu:0")


def test_rows_are_sent_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory map, read-only as all rows are here, is never copied whole on its way."""
    rows = np.arange(70.0).reshape(10, 7)
    rows.flags.writeable = False
    monkeypatch.setattr(_mst_cuda, "_BYTES_AT_A_TIME", 3 * rows[0].nbytes)
    sent: list[int] = []
    tensor = CudaBlocks._tensor

    def recorded(self: CudaBlocks, array: NDArray[Any]) -> torch.Tensor:
        sent.append(len(array))
        return tensor(self, array)

    monkeypatch.setattr(CudaBlocks, "_tensor", recorded)
    blocks = CudaBlocks(rows, 0, "cpu")
    assert max(sent) == 3
    assert blocks._resident is not None
    np.testing.assert_array_equal(blocks._resident.numpy(), rows)


def test_lack_of_device_memory_makes_parts_smaller_and_then_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def work(part_size: int) -> int:
        sizes.append(part_size)
        with _mst_cuda._out_of_memory_is_ours():
            if part_size > 512:
                raise torch.OutOfMemoryError("no room")
        return part_size

    with pytest.warns(SmallerParts, match="parts of 512 points, not of 4096"):
        assert on_device("cuda", work) == 512
    assert sizes == [4096, 2048, 1024, 512]
    monkeypatch.setattr(spanning_tree, "SMALLEST_DEVICE_PART", 1024)
    with pytest.raises(OutOfMemory, match="`device`"):
        on_device("cuda", work)
    with pytest.raises(OutOfMemory):
        on_device("cpu", work)
