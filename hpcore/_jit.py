"""The one place that knows how numerical kernels are compiled; loads numba, so only kernel files import it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Summation may be reordered so that it vectorises; NaN, infinity and signed zero keep their meaning.
REASSOCIATE = frozenset({"reassoc", "contract"})


def kernel(*, fastmath: frozenset[str] = frozenset()) -> Callable[[Kernel], Kernel]:
    """Compile a function on its first call, without the interpreter lock, and keep the machine code on disk.

    Where the directory of the package and the user's cache are both read-only the code lives in memory only.
    """

    def decorate(function: Kernel) -> Kernel:
        options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath) or False}
        try:
            return cast("Kernel", numba.njit(cache=True, **options)(function))
        except RuntimeError:  # "no locator available": nowhere to write
            return cast("Kernel", numba.njit(**options)(function))

    return decorate
