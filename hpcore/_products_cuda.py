"""Matrix products on a device in a chosen precision, with the rounding of their factors measured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from hpcore._approximation import U32

Precision = Literal["float32", "tf32", "bf16"]
_ONE_AT_A_TIME = threading.Lock()  # what torch allows in a product holds for the whole process


def rounded(rows: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Return float32 rows rounded to what the factors of a product may hold (n, d); the type is that of the product.

    TF32 keeps 10 bits of the fraction. Rounded beforehand, it does not matter whether a tensor core rounds or cuts off.
    """
    if precision == "float32":
        return rows
    if precision == "bf16":
        return rows.bfloat16()
    half, kept = 1 << 12, ~((1 << 13) - 1)
    return ((rows.view(torch.int32) + half) & kept).view(torch.float32)


def rounding_error(rows: torch.Tensor, factors: torch.Tensor) -> float:
    """Return the largest relative error η of a row: ``|x - fl(x)| ≤ η |x|``; rounded up itself."""
    exact = rows.double()
    error = ((exact - factors.double()) ** 2).sum(dim=1)
    relative = (error / (exact * exact).sum(dim=1).clamp_min(1e-300)).max()
    return float(relative.sqrt()) * (1.0 + 1e-12)


def product_error(n_features: int, precision: Precision) -> float:
    """Return the error of a product of rounded factors, as a share of ``|x|² + |y|²`` for the squared distance.

    In any order of summation ``|fl(x·y) - x·y| ≤ (d + 2) u |x| |y|`` to first order, u = 2⁻²⁴; twice that is used.
    Products of TF32 and of bf16 factors are exact in float32, but tensor cores cut sums off instead of rounding
    them (2 u for each), after an alignment that loses as much again: four times that is used.
    """
    return (2 if precision == "float32" else 8) * (n_features + 4) * U32


def product(left: torch.Tensor, right: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Return ``left @ right.T`` (n, m) in float32. On a CPU: the same factors, summed in true float32."""
    with torch.autocast(left.device.type, enabled=False):  # the caller's would round the factors to 16 bits
        if left.device.type != "cuda":
            return left.float() @ right.float().T
        with _ONE_AT_A_TIME, _allowed(precision):
            if precision == "bf16":
                return torch.mm(left, right.T, out_dtype=torch.float32)
            return left @ right.T


@contextmanager
def _allowed(precision: Precision) -> Iterator[None]:
    """Allow TF32 for nothing but TF32, and no sums in bf16, whatever the process has asked for.

    Torch has two ways to ask. The older one, set here, sets the newer ones as well, which decide; but it cannot be read
    once the process has used these.
    """
    matmul = torch.backends.cuda.matmul
    others = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # the module puts an object in its own place
    newer = matmul.fp32_precision, others.fp32_precision
    of_sums = matmul.allow_bf16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction_split_k
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:  # "mix of the legacy and new APIs"
        older = "highest"
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(older)
        matmul.fp32_precision, others.fp32_precision = newer
        matmul.allow_bf16_reduced_precision_reduction = of_sums
