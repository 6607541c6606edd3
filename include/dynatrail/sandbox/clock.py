"""Sandbox time: a scenario plays weeks in a minute, and every source of the account must agree on when things happened.

The mapping from real to sandbox time is a list of breakpoints. After a breakpoint sandbox time either stands still
(while a scenario places each call at the instant it wants) or runs on in step with real time. It never goes back, so an
instant that the simulated account stamped in real time can be mapped to sandbox time at any later moment.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from dynatrail import clock as wall
from dynatrail.errors import SandboxError


class Breakpoint(msgspec.Struct, frozen=True):
    """From the real instant `real` on, sandbox time starts at `sandbox` and runs (`running`) or stands still."""

    real: datetime
    sandbox: datetime
    running: bool

    def at(self, real: datetime) -> datetime:
        return self.sandbox + max(real - self.real, timedelta()) if self.running else self.sandbox


class SandboxClock:
    """Thread-safe; instants are UTC. Without breakpoints sandbox time is real time."""

    def __init__(self, breakpoints: Iterable[Breakpoint] = (), real: Callable[[], datetime] = wall.now) -> None:
        self._real = real
        self._breakpoints = list(breakpoints)
        self._lock = threading.Lock()

    @property
    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """Everything that must be kept to map the same instants again."""
        with self._lock:
            return tuple(self._breakpoints)

    @property
    def running(self) -> bool:
        """Whether sandbox time runs in step with real time just now."""
        with self._lock:
            return self._breakpoints[-1].running if self._breakpoints else True

    def now(self) -> datetime:
        """The present sandbox instant."""
        with self._lock:
            return self._at(self._real())

    def at(self, real_instant: datetime) -> datetime:
        """The sandbox instant that held at `real_instant`.

        An instant that is still to come lies as far ahead of the present sandbox time as it does of the present (the
        expiry of a session). Before the first breakpoint it is the instant itself, but never later than that
        breakpoint's sandbox time.
        """
        instant = real_instant.astimezone(UTC)
        with self._lock:
            real = self._real()
            if instant > real:
                ahead = instant - real
                if self._breakpoints and not self._breakpoints[-1].running:
                    ahead = timedelta(seconds=round(ahead.total_seconds()))  # what a call took is no part of it
                return self._at(real) + ahead
            return self._at(instant)

    def set(self, instant: datetime, *, running: bool = False) -> datetime:
        """Let sandbox time be `instant` from now on, standing still unless `running`.

        Raises:
            SandboxError: `instant` lies before the present sandbox time of a clock that was set before.
        """
        instant = instant.astimezone(UTC)
        with self._lock:
            real = self._real()
            if self._breakpoints and instant < (present := self._at(real)):
                raise SandboxError(
                    f"The sandbox clock stands at {wall.iso(present)} and cannot go back to {wall.iso(instant)}. "
                    "Play the scenario in a new sandbox folder, or with an `end` that lies later."
                )
            self._breakpoints.append(Breakpoint(real, instant, running))
        return instant

    def _at(self, real: datetime) -> datetime:
        index = bisect_right(self._breakpoints, real, key=lambda point: point.real)
        if index:
            return self._breakpoints[index - 1].at(real)
        return min(real, self._breakpoints[0].sandbox) if self._breakpoints else real
