"""What reading CloudWatch came to: which API refused, what failed, and what each hour therefore lacks."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError

from dynatrail.errors import SourceError
from dynatrail.sources.aws import explain

Piece = Literal["metrics", "alarms", "logs", "insights"]
PIECES: tuple[Piece, ...] = ("metrics", "alarms", "logs", "insights")

ASSUME = "sts:AssumeRole"

_REFUSALS = frozenset(
    ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403")
)


class Report:
    """Reasons by hour, for the statement and for the operator; none carries a value of an item.

    Attributes:
        denied: actions that the connection's identity may not do.
        faults: what should be tried again (throttling, a fault of AWS, the network), one sentence each.
        warnings: what a person should know and trying again does not change.
    """

    def __init__(self, hours: Collection[datetime]) -> None:
        self.hours = sorted(hours)
        self.denied: set[str] = set()
        self.faults: list[str] = []
        self.warnings: set[str] = set()
        self._reasons: dict[datetime, set[str]] = defaultdict(set)
        self._expired: dict[datetime, set[Piece]] = defaultdict(set)
        self._silent: dict[datetime, set[Piece]] = defaultdict(set)

    def lack(
        self, piece: Piece, reason: str, hours: Iterable[datetime] | None = None, *, all_of_it: bool = False
    ) -> None:
        """Note that something of `piece` is missing in these hours (default: all); `all_of_it`: nothing came."""
        for hour in self.hours if hours is None else hours:
            self._reasons[hour].add(f"{piece}: {reason}")
            if all_of_it:
                self._silent[hour].add(piece)

    def expire(self, piece: Piece, reason: str, hours: Iterable[datetime], *, all_of_it: bool = True) -> None:
        """Note that AWS no longer keeps `piece` of these hours; what an earlier run said of it then stands."""
        for hour in hours:
            self._expired[hour].add(piece)
            self.lack(piece, reason, (hour,), all_of_it=all_of_it)

    def failed(
        self,
        piece: Piece,
        action: str,
        error: Exception,
        attempt: str,
        hours: Iterable[datetime] | None = None,
        *,
        all_of_it: bool = False,
    ) -> None:
        """Note that a call failed: a refusal names its action; anything else is a fault, to be tried again."""
        if refused(error):
            if isinstance(error, ClientError) and error.operation_name == "AssumeRole":
                action = ASSUME
            self.denied.add(action)
            self.lack(piece, f"{action} is not allowed", hours, all_of_it=all_of_it)
            return
        self.faults.append(str(explain(error, attempt) if isinstance(error, ClientError | BotoCoreError) else error))
        self.lack(piece, f"{action} failed", hours)

    def statement(self, hour: datetime, before: tuple[str, list[str]] | None) -> tuple[str, list[str] | None]:
        """Status and reasons of an hour, as `source_statement` has them.

        Args:
            hour: one of the report's.
            before: status and reasons that an earlier run stated; they stand for what AWS no longer keeps.
        """
        reasons, silent = set(self._reasons[hour]), set(self._silent[hour])
        if before is not None:
            for piece in self._expired[hour]:
                reasons = {reason for reason in reasons if not reason.startswith(f"{piece}: ")}
                reasons |= {reason for reason in before[1] if reason.startswith(f"{piece}: ")}
                if before[0] != "not_assessable":
                    silent.discard(piece)
        if not reasons:
            return "complete", None
        # Alarms, logs and contributors add to the metrics; without these nothing can be counted.
        return "not_assessable" if silent >= {"metrics", "alarms"} else "incomplete", sorted(reasons)

    def whole(self, piece: Piece) -> bool:
        """Whether everything of `piece` was read in all hours."""
        return not any(r.startswith(f"{piece}: ") for reasons in self._reasons.values() for r in reasons)

    def check(self, place: str) -> None:
        """Speak up at the end of a task, when everything that could be read has landed.

        Raises:
            SourceError: something failed that may go well another time, or nothing at all may be read.
        """
        if self.faults:
            more = f" ({len(self.faults)} calls failed; everything else has landed)" if len(self.faults) > 1 else ""
            raise SourceError(f"CloudWatch of {place} was not read whole{more}. {self.faults[0]}")
        if ASSUME in self.denied or {"cloudwatch:GetMetricData", "cloudwatch:DescribeAlarmHistory"} <= self.denied:
            raise SourceError(
                f"CloudWatch of {place} may not be read: {', '.join(sorted(self.denied))} are not allowed. Give the "
                "connection's identity docs/reference/iam/extract_cloudwatch.json."
            )

    def told(self) -> list[str]:
        """Refusals and warnings, one sentence each, in order."""
        refusals = [
            f"{action} is not allowed, and hours are stated as incomplete. docs/reference/iam/extract_cloudwatch.json "
            "has what is needed."
            for action in self.denied
        ]
        return sorted({*refusals, *self.warnings})


def refused(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code", "") in _REFUSALS


def code_of(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
