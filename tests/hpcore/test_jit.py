"""Kernels compile with and without a place for their machine code."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from hpcore import _jit


def test_kernels_work_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """numba raises at decoration where neither the package nor the user's cache can be written."""
    original = numba.njit
    asked: list[bool] = []

    def without_cache(*arguments: Any, cache: bool = False, **options: Any) -> Any:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return original(*arguments, **options)

    monkeypatch.setattr(numba, "njit", without_cache)

    @_jit.kernel(fastmath=_jit.REASSOCIATE)
    def total(values: Any) -> float:
        result = 0.0
        for value in values:
            result += value
        return result

    assert total(np.arange(5.0)) == 10.0
    assert asked[:2] == [True, False]  # numba compiles functions of its own after these


def test_no_code_is_taken_from_the_disk_where_its_sources_cannot_be_told() -> None:
    """Another release of numba may keep its stamp elsewhere."""

    class Dispatcher:
        _cache = object()

    assert not _jit._depends_on_all_sources(Dispatcher())
