"""The device path on CPU tensors, and on a GPU where there is one: the integers are those of the CPU path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import hpcore
from hpcore import _mst_cuda, spanning_tree
from hpcore._pair_counts import PairCounts, count_pairs
from hpcore.distances import distinct_points
from hpcore.errors import DeviceUnavailable, OutOfMemory
from hpcore.spanning_tree import Forests, on_device, resolve_device
from tests import oracle

# "meta" would compute nothing; "cpu:0" is a torch device like any other, but not the word for our own kernels
DEVICES = ["cpu:0", "cuda"] if torch.cuda.is_available() else ["cpu:0"]


def counts(rows: NDArray[Any], labels: NDArray[Any], device: str, part_size: int = 4096) -> PairCounts:
    forests = Forests(
        distinct_points(rows, "euclidean"),
        np.unique(labels, return_inverse=True)[1],
        len(np.unique(labels)),
        n_threads=1,
        memory_budget=None,
        report=lambda *_: None,
        device=device,
        part_size=part_size,
    )
    return count_pairs(forests, "average", lambda *_: None)


def data(name: str) -> NDArray[Any]:
    rng = np.random.default_rng(1)
    rows = np.maximum(rng.standard_normal((240, 40)) + np.repeat(rng.standard_normal((4, 40)) * 0.4, 60, axis=0), 0)
    if name == "sub-clusters":
        rows[::2] += 500.0
    elif name == "offset":
        rows += 1e4
    elif name == "near duplicates":
        rows = rows[rng.integers(0, 240, 240)] + 1e-4 * rows
    elif name == "lattice":
        return rng.integers(0, 3, (240, 5))
    return rows.astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("part_size", [4096, 64])
@pytest.mark.parametrize("name", ["relu", "sub-clusters", "offset", "near duplicates", "lattice"])
def test_counts_equal_those_of_the_cpu(name: str, part_size: int, device: str) -> None:
    rows, labels = data(name), np.repeat(np.arange(4), 60)
    found, expected = counts(rows, labels, device, part_size), counts(rows, labels, "cpu", part_size)
    for field in ("count", "least", "most", "squared_weights", "squared_strengths"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


@pytest.mark.parametrize("device", DEVICES)
def test_many_small_classes(device: str) -> None:
    rng = np.random.default_rng(2)
    rows, labels = rng.standard_normal((200, 20)), np.arange(200) % 25
    np.testing.assert_array_equal(counts(rows, labels, device).count, oracle.pairwise_cross_edges(rows, labels))


def test_boruvka_and_linkage_give_the_bottlenecks() -> None:
    """Largest gaps between places against longest edges on paths of the reference tree."""
    rng = np.random.default_rng(3)
    weights = oracle.squared_distances(rng.standard_normal((30, 2)))
    order, gap = _mst_cuda._linkage(torch.from_numpy(weights.astype(np.float32)))
    assert sorted(order) == list(range(30))
    assert sorted(gap[1:]) == sorted(np.float32(weights[i, j]) for i, j in oracle.prim(weights))
    bottleneck = weights.astype(np.float32).astype(np.float64)
    for k in range(30):  # least longest edge over all paths, by Floyd and Warshall
        bottleneck = np.minimum(bottleneck, np.maximum(bottleneck[:, [k]], bottleneck[[k], :]))
    for i in range(30):
        for j in range(i + 1, 30):
            assert gap[i + 1 : j + 1].max() == bottleneck[order[i], order[j]]


def test_reduced_precision_of_the_process_is_kept_out() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with _mst_cuda._full_precision():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_lack_of_device_memory_makes_parts_smaller_and_then_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def work(part_size: int) -> int:
        sizes.append(part_size)
        with _mst_cuda._out_of_memory_is_ours():
            if part_size > 512:
                raise torch.OutOfMemoryError("no room")
        return part_size

    assert on_device("cuda", work) == 512
    assert sizes == [4096, 2048, 1024, 512]
    monkeypatch.setattr(spanning_tree, "SMALLEST_DEVICE_PART", 1024)
    with pytest.raises(OutOfMemory, match="`device`"):
        on_device("cuda", work)
    with pytest.raises(OutOfMemory):
        on_device("cpu", work)


def test_device_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("cpu") == "cpu"
    for has_driver in (False, True):
        monkeypatch.setattr(spanning_tree, "_has_nvidia_driver", lambda has_driver=has_driver: has_driver)
        assert resolve_device("auto") == "cpu"
    with pytest.raises(DeviceUnavailable, match="`device`"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("cuda") == resolve_device("auto") == "cuda"


@pytest.mark.parametrize("device", [each for each in DEVICES if each == "cuda"] or ["cpu"])
def test_public_functions_name_their_device(device: str) -> None:
    rows, labels = data("relu"), np.repeat(np.arange(4), 60)
    found, expected = (hpcore.pairwise_henze_penrose(rows, labels, device=each) for each in (device, "cpu"))
    np.testing.assert_array_equal(found.cross_edges, expected.cross_edges)
    assert (found.device, expected.device) == (device, "cpu")
