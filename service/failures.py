"""How often somebody has failed to show a valid key. A right key is never refused: nobody can lock others out."""

import math
import threading
import time
from collections import OrderedDict, deque

_WINDOW_SECONDS = 60.0
_MOST_NAMES = 10_000


class Failures:
    """The failures of the last minute, by address and by key id. In memory: forgetting them does no harm."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, *names: str) -> int:
        """Note a failure under some names; return the seconds to wait where there are too many, else 0."""
        now = time.monotonic()
        with self._lock:
            return max(self._note(name, now) for name in names)

    def _note(self, name: str, now: float) -> int:
        times = self._times.setdefault(name, deque(maxlen=self._limit + 1))
        self._times.move_to_end(name)
        while len(self._times) > _MOST_NAMES:
            self._times.popitem(last=False)
        times.append(now)
        while now - times[0] > _WINDOW_SECONDS:
            times.popleft()
        return math.ceil(_WINDOW_SECONDS - (now - times[0])) if len(times) > self._limit else 0
