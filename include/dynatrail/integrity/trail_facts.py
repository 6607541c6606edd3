"""What is known of trails beside their digests: when they logged with validation, and what GetTrailStatus says.

Whoever verifies brings these facts; they come from CloudTrail's own management events and from snapshots of the
configuration. Without any, digests are judged by themselves alone.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Change:
    """What changed a trail's logging or validation.

    Attributes:
        at: when.
        event_name: `CreateTrail`, `StartLogging`, `StopLogging`, `UpdateTrail` or `DeleteTrail`; `snapshot` where only
            two snapshots tell that it changed in between.
        event_id: of that event, or the snapshot's key; evidence.
        actor: ARN of who did it; None: not known.
    """

    at: datetime
    event_name: str
    event_id: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSpan:
    """A span of time in which one trail was logging.

    Attributes:
        trail_name: its name.
        home_region: its home region.
        account_ids: accounts whose events it delivers; None: all that it has folders for.
        start: begin; None: since before anything is known.
        end: end; None: it goes on.
        validation: whether log file validation was on; a change of it ends one span and begins another.
        began: what began it, where known.
        ended: what ended it, where known.
    """

    trail_name: str
    home_region: str
    start: datetime | None
    end: datetime | None
    validation: bool = True
    account_ids: frozenset[str] | None = None
    began: Change | None = None
    ended: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFacts:
    """What GetTrailStatus says of a trail while it is verified.

    Give none offline: then a digest that is overdue by more than an hour at the end of the window is gone. With facts,
    even empty ones, what AWS itself has not delivered may still come for a day.

    Attributes:
        is_logging: IsLogging; None: AWS was not asked, or refused.
        latest_digest_delivery_time: LatestDigestDeliveryTime, of the trail's newest digest in any region.
    """

    trail_name: str
    home_region: str
    is_logging: bool | None = None
    latest_digest_delivery_time: datetime | None = None
