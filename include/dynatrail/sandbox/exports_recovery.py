"""Point-in-time recovery of the sandbox's tables: since when it is on, and how far back it reaches."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from dynatrail.sandbox.parameters import bare_table
from dynatrail.sandbox.parts import Seen

Json = dict[str, Any]

BEHIND = timedelta(minutes=5)
"""LatestRestorableDateTime is "typically 5 minutes before the current time" (DescribeContinuousBackups)."""

_LONGEST_DAYS = 35


class Recovery(msgspec.Struct):
    """Of one table: when it was switched on, and RecoveryPeriodInDays."""

    since: datetime
    days: int = _LONGEST_DAYS

    def reach(self, now: datetime) -> tuple[datetime, datetime]:
        """Earliest and latest instant that can be restored or exported, inclusive."""
        return max(self.since, now - timedelta(days=self.days)), max(self.since, now - BEHIND)


class Recoveries(msgspec.Struct):
    """By `place_of` a table: one without a recovery has it off. `created` is also when a deleted table ended."""

    by_table: dict[str, Recovery] = {}
    created: dict[str, datetime] = {}

    def saw(self, seen: Seen) -> None:
        """Take note of a successful UpdateContinuousBackups, CreateTable or DeleteTable."""
        sent, place = seen.call.parameters, place_of(seen)
        match seen.call.operation:
            case "CreateTable" | "DeleteTable":
                self.by_table.pop(place, None)
                self.created[place] = seen.now
            case "UpdateContinuousBackups":
                wanted = sent.get("PointInTimeRecoverySpecification") or {}
                if not wanted.get("PointInTimeRecoveryEnabled"):
                    self.by_table.pop(place, None)
                    return
                recovery = self.by_table.setdefault(place, Recovery(seen.now))
                recovery.days = int(wanted.get("RecoveryPeriodInDays", recovery.days))

    def description(self, place: str, now: datetime) -> Json:
        """ContinuousBackupsDescription, in sandbox time; ministack gives the present real time for both ends."""
        recovery = self.by_table.get(place)
        described: Json = {"PointInTimeRecoveryStatus": "ENABLED" if recovery else "DISABLED"}
        if recovery:
            earliest, latest = recovery.reach(now)
            described |= {
                "RecoveryPeriodInDays": recovery.days,
                "EarliestRestorableDateTime": earliest.timestamp(),
                "LatestRestorableDateTime": latest.timestamp(),
            }
        return {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": described}


def place_of(seen: Seen) -> str:
    """`ACCOUNT/REGION/TABLE` of the table that a call names."""
    sent = seen.call.parameters
    name = bare_table(sent.get("TableName") or sent.get("TableArn") or "")
    return f"{seen.account_id}/{seen.call.region}/{name}"
