"""Products on a device: what a tensor core does to its input and may do to a sum, within bounds that are certified."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcore import _mst_cuda, _products_cuda
from hpcore._mst_cuda import CudaBlocks
from hpcore._products_cuda import Precision, product, product_error, rounded, rounding_error
from hpcore.distances import distinct_points
from tests import oracle
from tests.hpcore.device_counts import DEVICES, PRECISIONS
from tests.hpcore.hard_data import HARD_DATA


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
    name=st.sampled_from(sorted(HARD_DATA)),
)
def test_certified_bounds_hold_in_every_precision(seed: int, precision: Precision, name: str) -> None:
    """lower < w ≤ upper for the products of this device, and for sums that are cut off instead of rounded."""
    rng = np.random.default_rng(seed)
    rows = distinct_points(HARD_DATA[name](rng, 8), "euclidean").rows
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
