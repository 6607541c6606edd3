"""Keeps calls of one API below a rate, whatever number of threads make them."""

import threading
import time
from collections.abc import Callable


class Limiter:
    """Lets `per_second` calls through, evenly, after a first burst of a second's worth (the GCRA form of a bucket)."""

    def __init__(
        self,
        per_second: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1 / per_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._due = float("-inf")

    def wait(self) -> None:
        """Return when the next call may be made."""
        with self._lock:
            now = self._monotonic()
            self._due = max(self._due + self._interval, now - 1 + self._interval)
            pause = self._due - now
        if pause > 0:
            self._sleep(pause)
