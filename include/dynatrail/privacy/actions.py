"""What a masking policy can do to a value before it is stored, and what comes of it.

A value that an action does not fit, such as a day where a date is generalised, is redacted: a policy hides more than it
was meant to, never less.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Literal

REDACTED = "***"

Action = Literal["drop", "redact", "token", "partial", "generalise", "encrypt", "keep"]
Generalisation = Literal["year", "month", "day", "bucket", "prefix"]

_DATE = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?(?:$|[T ])")
_EXACT = Context(prec=60)
_LEAST_HIDDEN = 4
"""Characters that `partial` must leave unseen; with fewer, what is seen tells the rest."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One action with what it takes.

    Attributes:
        keep_first, keep_last: characters that `partial` leaves at the ends.
        to: what `generalise` makes of a value.
        size: width of a `bucket`.
        ipv4, ipv6: lengths of a `prefix`.
    """

    action: Action
    keep_first: int = 0
    keep_last: int = 0
    to: Generalisation | None = None
    size: Decimal | None = None
    ipv4: int = 24
    ipv6: int = 48


TOKEN, REDACT, KEEP = Mask("token"), Mask("redact"), Mask("keep")


def masked(mask: Mask, kind: str, text: str, token: Callable[[], str]) -> str:
    """What is stored in the place of a scalar.

    Args:
        mask: not `drop`, which leaves nothing to store, nor `encrypt`, which needs to know whose value it is.
        kind: DynamoDB type of the scalar; of a set's member that of the member.
        text: its canonical text.
        token: makes its token.
    """
    if mask.action == "keep":
        return text
    if mask.action == "token":
        return token()
    if mask.action == "partial":
        return _partial(mask, text) if kind in ("S", "N") else REDACTED
    if mask.action == "generalise":
        return _generalised(mask, kind, text)
    return REDACTED


def _partial(mask: Mask, text: str) -> str:
    if len(text) < mask.keep_first + mask.keep_last + _LEAST_HIDDEN:
        return REDACTED
    # The number of hidden characters is not told: it is a property of the value.
    return text[: mask.keep_first] + REDACTED + text[len(text) - mask.keep_last :]


def _generalised(mask: Mask, kind: str, text: str) -> str:
    if mask.to == "bucket":
        return _bucket(mask.size, text) if kind == "N" else REDACTED
    if kind != "S":
        return REDACTED
    if mask.to == "prefix":
        return _prefix(mask, text)
    found = _DATE.match(text)
    if not found or (mask.to == "day" and not found[3]):
        return REDACTED
    parts = {"year": 1, "month": 2, "day": 3}[mask.to or "year"]
    return "-".join(found.groups()[:parts])


def _bucket(size: Decimal | None, text: str) -> str:
    """The lower end of the bucket that holds the number."""
    try:
        steps, rest = _EXACT.divmod(Decimal(text), size or Decimal(1))
        floor = _EXACT.multiply(steps - (rest < 0), size or Decimal(1))
    except InvalidOperation:
        return REDACTED
    return format(floor.normalize(_EXACT), "f") if floor else "0"


def _prefix(mask: Mask, text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return REDACTED
    length = mask.ipv4 if address.version == 4 else mask.ipv6  # noqa: PLR2004  IP version
    return str(ipaddress.ip_network((address, length), strict=False))
