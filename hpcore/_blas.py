"""Keep the BLAS to one thread while several threads of our own call it: theirs would only get in each other's way."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it has no types


class _OneThread:
    """A limit of one BLAS thread. It is global to the process: the first holder sets it, the last restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_holders = 0
        self._controller: Any = None
        self._n_modules = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._n_holders == 0:
                if self._n_modules != len(sys.modules):  # a module may have brought another BLAS
                    self._n_modules = len(sys.modules)
                    self._controller = ThreadpoolController()  # looks through all loaded libraries
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._n_holders += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._n_holders -= 1
            if self._n_holders == 0:
                self._limit.restore_original_limits()


one_blas_thread = _OneThread()
"""``with one_blas_thread: ...`` may be nested and held by several threads at once."""
