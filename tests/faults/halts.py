"""The moments in which an interruption is worst: right before and right after a commit, or before and after a file.

`ACTION:MOMENT:PLACE:NUMBER` is one of them: `kill:before:Parts.succeed:9` ends the process when the ninth transaction
that `Parts.succeed` has opened is about to be committed; `stop:after:Folder.keep:1` freezes it once its first file is
in place.
"""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEEP = "Folder.keep"
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def install(text: str) -> None:
    """Have this process kill or stop itself in the named moment."""
    action, moment, place, number = text.split(":")
    met: Counter[str] = Counter()
    lock = threading.Lock()

    def meet(now: str, here: str) -> None:
        if here == place and now == moment:
            with lock:
                met[here] += 1
                here_it_is = met[here] == int(number)
            if here_it_is:
                os.kill(os.getpid(), _SIGNALS[action])

    _around_files(meet) if place == KEEP else _around_transactions(meet)


def _around_transactions(meet: Any) -> None:
    from contract.database import Database

    original = Database.write

    @contextmanager
    def opened(database: Database, place: str) -> Iterator[Any]:
        with original(database) as connection:
            yield connection
            meet("before", place)
        meet("after", place)

    def write(self: Database) -> Any:
        return opened(self, sys._getframe(1).f_code.co_qualname)

    Database.write = write  # type: ignore[method-assign]  # the point


def _around_files(meet: Any) -> None:
    from contract.stores import Folder

    original = Folder.keep

    def keep(self: Folder, path: Path, key: str) -> None:
        meet("before", KEEP)
        original(self, path, key)
        meet("after", KEEP)

    Folder.keep = keep  # type: ignore[method-assign]  # the point
