"""How to take away the guards of the processes that compute: their end, their deadline and their memory."""

import os
import sys
import threading
from typing import Any


def group_kill() -> None:
    from worker import child_process

    vars(child_process)["os"] = _Kills(os)


class _Kills:
    """Kills one process where a group is asked for."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return self._module.kill if name == "killpg" else getattr(self._module, name)


def deadline() -> None:
    os.environ["INTERLAYER_DEADLINE_SECONDS"] = "1e9"


def memory_limit() -> None:
    if "worker.child" in sys.argv:
        from worker import child

        vars(child)["limit_memory"] = lambda _: None


def follow_parent() -> None:
    if "worker.child" in sys.argv:
        from worker import child
        from worker.messages import Work

        def read(works: Any) -> None:
            for line in sys.stdin:
                works.put(Work.model_validate_json(line))
            threading.Event().wait()

        child._read_stdin = read
