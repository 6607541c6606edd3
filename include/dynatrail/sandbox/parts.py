"""Pieces of AWS that the sandbox does itself, where ministack lacks them or gets them wrong.

ministack is asked first, so it has verified the signature and the caller's IAM policy; a part then learns from the call
(`saw`) and may give another answer (`answer`). `tick` tells it that sandbox time has moved on. All three run under the
recorder's lock, one call after the other.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from dynatrail.sandbox.calls import Call
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.identities import Caller


@dataclass(frozen=True, slots=True)
class Seen:
    """One call that has been answered.

    Attributes:
        response: ministack's answer, or that of a part before.
        account_id: account of the caller's credentials.
        now: sandbox time.
    """

    call: Call
    response: Response
    account_id: str
    caller: Caller
    now: datetime

    @property
    def ok(self) -> bool:
        return self.response.status < 300  # noqa: PLR2004

    @property
    def denied(self) -> bool:
        """Whether ministack refused signature or policy: no part may then answer in its place."""
        return self.response.status == 403 or b"AccessDenied" in self.response.body[:400]  # noqa: PLR2004


class Part(Protocol):
    """One piece of AWS."""

    name: str
    """Also the name of its file in the sandbox's folder: `parts/NAME.state`."""

    def saw(self, seen: Seen) -> None:
        """Learn from a call of any service, in the order in which they were made."""

    def answer(self, seen: Seen) -> Response | None:
        """Another answer to a call that was not denied; None leaves it as it is."""

    def tick(self, now: datetime) -> None:
        """Sandbox time is now `now`: do what AWS would have done by itself since the last time."""

    def save(self) -> bytes:
        """Everything that must outlive the process."""

    def load(self, saved: bytes) -> None:
        """Go on from what `save` gave."""


@runtime_checkable
class Witness(Protocol):
    """A part that must know what the caller got in the end, whichever part answered."""

    def gave(self, seen: Seen) -> None:
        """`seen.response` is what the caller gets; asked after all parts' `answer`."""
