"""The one place that knows how numerical kernels are compiled; loads numba, so only kernel files import it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Summation may be reordered so that it vectorises; NaN, infinity and signed zero keep their meaning.
REASSOCIATE = frozenset({"reassoc", "contract"})


def _stamp_of_sources() -> str:
    digest = hashlib.blake2b()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


_STAMP = _stamp_of_sources()


def kernel(*, fastmath: frozenset[str] = frozenset()) -> Callable[[Kernel], Kernel]:
    """Compile a function on its first call, without the interpreter lock, and keep the machine code on disk.

    Where the directory of the package and the user's cache are both read-only the code lives in memory only.
    """

    def decorate(function: Kernel) -> Kernel:
        options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath) or False}
        try:
            compiled = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available": nowhere to write
            compiled = None
        if compiled is None or not _depends_on_all_sources(compiled):
            compiled = numba.njit(**options)(function)
        return cast("Kernel", compiled)

    return decorate


def _depends_on_all_sources(compiled: Any) -> bool:
    """Have numba use machine code from the disk only where no source of the package has changed; whether that worked.

    It holds the code of the kernels that are called as well, and numba looks at the file of the caller alone: after an
    update old code would go on computing, silently.
    """
    file: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if not hasattr(file, "_source_stamp"):
        return False
    file._source_stamp = _STAMP
    return True
