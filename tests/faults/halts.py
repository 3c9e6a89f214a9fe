"""The moments in which an interruption is worst: around a commit, a file's getting its name, a backup's copying a file.

`ACTION:MOMENT:PLACE:NUMBER` is one of them: `kill:before:Parts.succeed:9` ends the process when the ninth transaction
that `Parts.succeed` has opened is about to be committed; `stop:after:Folder.keep:1` freezes it once its first file is
in place, `kill:at:Folder.keep:1` as soon as anything can be seen under that file's name; `stop:after:backup.copy:1`
freezes a backup that has copied its first file.
"""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEEP = "Folder.keep"
COPY = "backup.copy"
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
Meet = Callable[[str, str], None]  # a moment and a place


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

    {KEEP: _around_files, COPY: _around_copies}.get(place, _around_transactions)(meet)


def _around_transactions(meet: Meet) -> None:
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


def _around_files(meet: Meet) -> None:
    from contract.stores import Folder

    original = Folder.keep

    def keep(self: Folder, path: Path, key: str) -> None:
        meet("before", KEEP)
        with _first_sight(self.path(key), lambda: meet("at", KEEP)):
            original(self, path, key)
        meet("after", KEEP)

    Folder.keep = keep  # type: ignore[method-assign]  # the point


@contextmanager
def _first_sight(target: Path, seen: Callable[[], None]) -> Iterator[None]:
    """Look before every line that this thread runs whether a file is there, and call `seen` once it is."""
    looking = not target.exists()

    def look(*_: Any) -> Any:
        nonlocal looking
        if looking and os.path.lexists(target):
            looking = False
            seen()
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


def _around_copies(meet: Meet) -> None:
    from contract import backup
    from contract.blobs import Blobs

    original = backup._copy

    def copy(source: Blobs, key: str, copied: Path) -> None:
        meet("before", COPY)
        original(source, key, copied)
        meet("after", COPY)

    vars(backup)["_copy"] = copy
