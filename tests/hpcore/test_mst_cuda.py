"""The device path on CPU tensors, and on a GPU where there is one: the integers are those of the CPU path."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

import hpcore
from hpcore import _mst_cuda, _products_cuda, spanning_tree
from hpcore._boruvka_cuda import bottlenecks, minimum_forest
from hpcore._exact_cpu import edge_lengths
from hpcore._mst_cuda import CudaBlocks
from hpcore._pair_counts import PairCounts, count_pairs
from hpcore._products_cuda import Precision, product, product_error, rounded, rounding_error
from hpcore.distances import distinct_points
from hpcore.errors import DeviceUnavailable, OutOfMemory, SmallerParts
from hpcore.spanning_tree import Forests, on_device, resolve_device
from tests import oracle
from tests.hpcore.test_mst_cpu import DATA as ADVERSARIAL

PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bf16")

# "meta" would compute nothing; "cpu:0" is a torch device like any other, but not the word for our own kernels
DEVICES = ["cpu:0", "cuda"] if torch.cuda.is_available() else ["cpu:0"]


def counts(
    rows: NDArray[Any],
    labels: NDArray[Any],
    device: str,
    part_size: int = 4096,
    precisions: tuple[Precision, ...] | None = None,
) -> PairCounts:
    points = distinct_points(rows, "euclidean")
    forests = Forests(
        points,
        np.unique(labels, return_inverse=True)[1],
        len(np.unique(labels)),
        n_threads=1,
        memory_budget=None,
        report=lambda *_: None,
        device=device,
        part_size=part_size,
        blocks=None if precisions is None else lambda exponent: CudaBlocks(points.rows, exponent, device, precisions),
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


# --- precision: what a tensor core does to its input, and what it may do to a sum


def cut_sum(products: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum along the last axis in float32 by cutting off after every addition, as tensor cores do."""
    total = np.zeros(products.shape[:-1], np.float32)
    for k in range(products.shape[-1]):
        exact = total.astype(np.float64) + products[..., k]  # exact enough: 53 bits of two numbers of 24
        nearest = exact.astype(np.float32)
        too_far = np.abs(nearest.astype(np.float64)) > np.abs(exact)
        total = np.where(too_far, np.nextafter(nearest, np.float32(0)), nearest)
    return total


@given(
    seed=st.integers(0, 2**32 - 1),
    precision=st.sampled_from(PRECISIONS),
    name=st.sampled_from(sorted(ADVERSARIAL)),
)
def test_certified_bounds_hold_in_every_precision(seed: int, precision: Precision, name: str) -> None:
    """lower < w ≤ upper for the products of this device, and for sums that are cut off instead of rounded."""
    rng = np.random.default_rng(seed)
    rows = distinct_points(ADVERSARIAL[name](rng, 8), "euclidean").rows
    exponent = -int(np.frexp(np.abs(rows).max())[1])
    blocks = CudaBlocks(rows, exponent, "cpu:0")
    chosen = np.array_split(rng.permutation(len(rows)), 2)
    left, right = (blocks.pack(rows, each, rows.astype(np.float64).mean(axis=0)) for each in chosen)
    scaled = np.ldexp(rows.astype(np.float64), exponent)
    exact = ((scaled[chosen[0]][:, None] - scaled[chosen[1]][None]) ** 2).sum(axis=2)

    def cut(x: torch.Tensor, y: torch.Tensor, _: Precision) -> torch.Tensor:
        terms = x.double().numpy()[:, None] * y.double().numpy()[None]  # exact: factors have few bits
        return torch.from_numpy(cut_sum(terms.astype(np.float32)))

    ways = [product] if precision == "float32" else [product, cut]
    for way in ways:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_mst_cuda, "product", way)
            upper, lower = (each.double().numpy() for each in blocks._bounds(left, right, precision))
        assert (exact <= upper).all()
        assert (lower <= exact * (1 - 1.5e-12)).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_factors_survive_the_hardware(seed: int) -> None:
    """TF32 factors have 13 zero bits: a tensor core that cuts off and one that rounds read the same numbers."""
    rng = np.random.default_rng(seed)
    rows = torch.from_numpy((rng.standard_normal((8, 9)) * 10.0 ** rng.integers(-9, 9)).astype(np.float32))
    tf32 = rounded(rows, "tf32")
    assert not bool((tf32.view(torch.int32) & 0x1FFF).any())
    assert float(((tf32 - rows).abs() / rows.abs()).max()) <= 2.0**-11
    assert rounded(rows, "bf16").dtype == torch.bfloat16
    limits: dict[Precision, float] = {"tf32": 2.0**-11, "bf16": 2.0**-8}
    for precision, limit in limits.items():
        factors = rounded(rows, precision)
        exact = np.linalg.norm(rows.double().numpy() - factors.double().numpy(), axis=1)
        norms = np.linalg.norm(rows.double().numpy(), axis=1)
        assert (exact / norms).max() <= rounding_error(rows, factors) * (1 + 1e-9) <= limit * (1 + 1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", sorted(ADVERSARIAL))
def test_counts_are_those_of_the_cpu_in_every_precision(name: str, precision: Precision, device: str) -> None:
    """Wide bounds cost candidates and fallbacks, never a wrong number."""
    rows, labels = ADVERSARIAL[name](np.random.default_rng(4), 30), np.repeat(np.arange(4), 30)
    found, expected = counts(rows, labels, device, precisions=(precision,)), counts(rows, labels, "cpu")
    for field in ("count", "least", "most", "squared_weights", "squared_strengths"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_the_process_allows_is_kept_out(precision: Precision) -> None:
    """True float32 where TF32 is allowed everywhere, and the setting is what it was."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        rows = rounded(torch.rand(512, 512, device="cuda"), precision)
        exact = rows.double() @ rows.double().T
        error = float(((product(rows, rows, precision) - exact).abs() / exact).max())
        assert error <= product_error(512, precision)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("wanted", ["tf32", "ieee"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_newer_settings_of_the_process_are_kept_out_and_kept(precision: Precision, wanted: str) -> None:
    """Torch refuses to read its older setting once a process has used the newer ones."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = wanted
    try:
        with _products_cuda._allowed(precision):
            assert matmul.fp32_precision == ("tf32" if precision == "tf32" else "ieee")
        assert matmul.fp32_precision == wanted
    finally:
        matmul.fp32_precision = before


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_autocast_of_the_caller_is_kept_out(precision: Precision, device: str) -> None:
    """It would round the factors to bfloat16, by more than the bounds allow."""
    rows = torch.rand(64, 64, device=device)
    factors = rounded(rows, precision)
    with torch.autocast(rows.device.type, dtype=torch.bfloat16):
        assert (rows @ rows.T).dtype == torch.bfloat16
        found = product(factors, factors, precision)
    assert found.dtype == torch.float32
    exact = factors.double() @ factors.double().T
    assert float(((found - exact).abs() / exact).max()) <= product_error(64, precision)


@pytest.mark.parametrize("wanted", [(False, False), (False, True), (True, True)])
def test_how_sums_may_be_split_is_kept(wanted: tuple[bool, bool]) -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_bf16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction_split_k
    matmul.allow_bf16_reduced_precision_reduction = wanted
    try:
        with _products_cuda._allowed("bf16"):
            assert not matmul.allow_bf16_reduced_precision_reduction
        now = matmul.allow_bf16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction_split_k
        assert now == wanted
    finally:
        matmul.allow_bf16_reduced_precision_reduction = before


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bounds_hold_where_small_products_are_taken_for_zero(precision: Precision) -> None:
    """As on a device without denormal numbers: rows of one sign, so that what is lost adds up."""
    rng = np.random.default_rng(0)
    rows = ((1 + 0.01 * rng.standard_normal((6, 3072))) * 9e-20).astype(np.float32)
    blocks = CudaBlocks(rows, 0, "cpu:0")
    packed = blocks.pack(rows, np.arange(6), np.zeros(3072))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the flag is that of one thread
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormal numbers")
    try:
        assert float(torch.tensor([9e-20]) @ torch.tensor([9e-20])) == 0.0
        upper, lower = blocks._bounds(packed, packed, precision)
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(n_threads)
    exact = np.asarray(oracle.squared_distances(rows))
    assert (exact <= upper.numpy()).all()
    assert (lower.numpy() <= exact).all()


# --- exact lengths


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


# --- memory


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


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_threads_use_the_device_that_is_current_in_the_callers() -> None:
    with torch.cuda.device(1):
        rows, labels = data("relu"), np.repeat(np.arange(4), 60)
        found = hpcore.pairwise_henze_penrose(rows, labels, device="cuda", n_threads=4)
    np.testing.assert_array_equal(found.cross_edges, hpcore.pairwise_henze_penrose(rows, labels).cross_edges)


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
