"""Chains of digests: how each hangs on the one before, which ones are missing, and what time is covered."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class ChainState(StrEnum):
    """What is to be said of a chain; several may hold."""

    VALID = "valid"
    INVALID = "invalid"
    BROKEN = "broken"
    PENDING_REDELIVERY = "pending_redelivery"
    GAP_BY_CONFIGURATION = "gap_by_configuration"
    TRUNCATED_TAIL = "truncated_tail"
    TRUNCATED_HEAD = "truncated_head"


class ChainId(NamedTuple):
    """Which chain.

    Attributes:
        base: address of the folder that holds the account's folder, such as `s3://bucket/prefix/AWSLogs/o-org/`.
        kind: `standard` or `backfill`.
    """

    account_id: str
    region: str
    trail_name: str
    home_region: str
    kind: str
    base: str


class Cover(StrEnum):
    """What is known of deliveries in a stretch of time."""

    VALID = "valid"
    INVALID = "invalid"
    MISSING = "missing"
    PENDING = "pending"
    UNREAD = "unread"
    OFF = "off"
    OPEN = "open"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A half-open stretch of time of a chain, and what covers it; `end` None: from then on.

    Attributes:
        reason_code: `log_file.reason_code` of a file that falls into it.
        reason: the same for a person.
    """

    start: datetime
    end: datetime | None
    cover: Cover
    reason_code: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain as verified.

    Attributes:
        states: what is to be said of it, sorted; `(valid,)` where all is well.
        stretches: in order, without overlap, from the oldest digest to after `until`.
        digests: count by `trail_digest.status`.
    """

    id: ChainId
    states: tuple[ChainState, ...]
    stretches: tuple[Stretch, ...]
    digests: dict[str, int]
