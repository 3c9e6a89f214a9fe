"""The device path on CPU tensors, and on a GPU where there is one: the integers are those of the CPU path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import hpcore
from hpcore import spanning_tree
from hpcore._boruvka_cuda import bottlenecks, minimum_forest
from hpcore._exact_cpu import edge_lengths
from hpcore._mst_cuda import CudaBlocks
from hpcore._products_cuda import Precision
from hpcore.errors import DeviceUnavailable
from hpcore.spanning_tree import resolve_device
from tests import oracle
from tests.hpcore.device_counts import DEVICES, PRECISIONS, counts, data
from tests.hpcore.hard_data import HARD_DATA


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("part_size", [4096, 64])
@pytest.mark.parametrize("name", ["relu", "sub-clusters", "offset", "near duplicates", "lattice"])
def test_counts_equal_those_of_the_cpu(name: str, part_size: int, device: str) -> None:
    rows, labels = data(name), np.repeat(np.arange(4), 60)
    found, expected = counts(rows, labels, device, part_size), counts(rows, labels, "cpu", part_size)
    for field in ("count", "least", "most", "squared_weights", "squared_strengths"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("part_size", [4096, 70, 12])
def test_many_small_classes(part_size: int, device: str) -> None:
    """All in one block; in blocks of several; and larger ones in several parts beside small ones."""
    rng = np.random.default_rng(2)
    rows, labels = rng.standard_normal((200, 20)), np.arange(200) % 25
    labels[labels < 3] = 0
    found = counts(rows, labels, device, part_size)
    np.testing.assert_array_equal(found.count, oracle.pairwise_cross_edges(rows, labels))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("n_values", [2, 1000])
def test_boruvka_and_linkage_give_the_bottlenecks(device: str, n_values: int) -> None:
    """Sets of points at once, with many equal lengths and with few, against all paths of the whole matrix."""
    rng = np.random.default_rng(3)
    sets = [(0, 1), (1, 24), (24, 30)]
    weights = oracle.squared_distances(rng.integers(0, n_values, (30, 4)).astype(np.float64)).astype(np.float32)
    label = np.repeat(np.arange(3), [stop - start for start, stop in sets])
    is_own = label[:, None] == label
    weights[~is_own] = np.inf
    order, longest = (each.cpu().numpy() for each in bottlenecks(torch.from_numpy(weights).to(device), sets))
    assert sorted(order) == list(range(30))
    bottleneck = weights.copy()
    for k in range(30):  # least longest edge over all paths, by Floyd and Warshall
        bottleneck = np.minimum(bottleneck, np.maximum(bottleneck[:, [k]], bottleneck[[k], :]))
    is_later = np.triu(np.ones((30, 30), np.bool_), 1) & is_own[order][:, order]
    np.testing.assert_array_equal(longest[is_later], bottleneck[order][:, order][is_later])
    assert (longest[~is_later] == -np.inf).all()


@pytest.mark.parametrize("device", DEVICES)
@given(seed=st.integers(0, 2**32 - 1), n_values=st.sampled_from([1, 2, 3, 1000]), n=st.integers(1, 40))
def test_the_minimum_forest_is_a_tree_of_least_weight(device: str, seed: int, n_values: int, n: int) -> None:
    weights = np.random.default_rng(seed).integers(0, n_values, (n, n)).astype(np.float32)
    weights = np.minimum(weights, weights.T)
    edges = minimum_forest(torch.from_numpy(weights).to(device)).cpu().numpy()
    u, v = edges // n, edges % n
    assert len(edges) == n - 1
    component = np.arange(n)
    for i, j in zip(u, v, strict=True):
        assert component[i] != component[j], "a cycle"
        component[component == component[i]] = component[j]
    assert weights[u, v].sum() == sum(weights[i, j] for i, j in oracle.prim(weights.astype(np.float64)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", sorted(HARD_DATA))
def test_counts_are_those_of_the_cpu_in_every_precision(name: str, precision: Precision, device: str) -> None:
    """Wide bounds cost candidates and fallbacks, never a wrong number."""
    rows, labels = HARD_DATA[name](np.random.default_rng(4), 30), np.repeat(np.arange(4), 30)
    found, expected = counts(rows, labels, device, precisions=(precision,)), counts(rows, labels, "cpu")
    for field in ("count", "least", "most", "squared_weights", "squared_strengths"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("d", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_are_bit_for_bit_those_of_the_cpu(d: int, dtype: type, device: str) -> None:
    rng = np.random.default_rng(d)
    rows: NDArray[Any] = (rng.standard_normal((50, d)) * 10.0 ** rng.integers(-3, 3, (50, 1))).astype(dtype)
    rows.flags.writeable = False
    u, v = rng.integers(0, 50, (2, 400))
    expected = np.empty(400)
    edge_lengths(rows, u, v, expected)
    np.testing.assert_array_equal(CudaBlocks(rows, 0, device).lengths(rows, u, v), expected)
    np.testing.assert_allclose(expected, ((rows[u].astype(float) - rows[v]) ** 2).sum(axis=1), rtol=1e-13)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_threads_use_the_device_that_is_current_in_the_callers() -> None:
    with torch.cuda.device(1):
        rows, labels = data("relu"), np.repeat(np.arange(4), 60)
        found = hpcore.pairwise_henze_penrose(rows, labels, device="cuda", n_threads=4)
    np.testing.assert_array_equal(found.cross_edges, hpcore.pairwise_henze_penrose(rows, labels).cross_edges)


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
