"""CloudWatch Logs in sandbox time: FilterLogEvents with patterns and pages, and when things were written.

ministack keeps groups, streams and events; it stamps real time, does not page, and takes every JSON pattern for a
match. GetLogEvents and Logs Insights queries stay its own.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.logs_patterns import Matcher, PatternError, compile_pattern
from dynatrail.sandbox.parts import Seen

Json = dict[str, Any]

_MOST_EVENTS = 10_000
_MOST_BYTES = 1 << 20
_TOO_OLD, _TOO_NEW = timedelta(days=14), timedelta(hours=2)
_DAY_MS = 86_400_000


class LogEvent(msgspec.Struct, frozen=True, array_like=True):
    """One line; times are milliseconds since the epoch."""

    timestamp: int
    ingestion_time: int
    event_id: str
    stream: str
    message: str


class Group(msgspec.Struct):
    """A log group. `streams` gives each stream's creation."""

    created_at: int
    retention_days: int | None = None
    streams: dict[str, int] = {}
    events: list[LogEvent] = []


class Logs:
    """The part.

    Attributes:
        scanned_a_page: events that one page of FilterLogEvents looks through; where none of them matches the page is
            empty and has a token, which is normal in AWS.
    """

    name = "logs"

    def __init__(self) -> None:
        self.scanned_a_page = 1_000
        self._groups: dict[str, Group] = {}

    def saw(self, seen: Seen) -> None:
        if seen.call.service != "logs" or not seen.ok:
            return
        sent, key, now = seen.call.parameters, _key(seen), _ms(seen.now)
        group = self._groups.get(key)
        match seen.call.operation:
            case "CreateLogGroup":
                self._groups[key] = Group(now)
            case "DeleteLogGroup":
                self._groups.pop(key, None)
            case "PutRetentionPolicy" if group:
                group.retention_days = int(sent["retentionInDays"])
            case "DeleteRetentionPolicy" if group:
                group.retention_days = None
            case "CreateLogStream" if group:
                group.streams[sent["logStreamName"]] = now
            case "DeleteLogStream" if group:
                group.streams.pop(sent["logStreamName"], None)
                group.events = [event for event in group.events if event.stream != sent["logStreamName"]]
            case "PutLogEvents" if group:
                self._take(group, key, sent, seen.now)

    def answer(self, seen: Seen) -> Response | None:
        if seen.call.service != "logs" or not seen.ok:
            return None
        match seen.call.operation:
            case "FilterLogEvents":
                return self._filter(seen)
            case "PutLogEvents" if refused := _refused(seen.call.parameters.get("logEvents") or [], seen.now):
                return _json({**json.loads(seen.response.body), "rejectedLogEventsInfo": refused})
            case "DescribeLogGroups":
                return self._describe_groups(seen)
            case "DescribeLogStreams":
                return self._describe_streams(seen)
        return None

    def tick(self, now: datetime) -> None:
        """Drop what a group's retention no longer keeps."""
        for group in self._groups.values():
            if group.retention_days and group.events:
                oldest = _ms(now) - group.retention_days * _DAY_MS
                if group.events[0].timestamp < oldest:
                    group.events = [event for event in group.events if event.timestamp >= oldest]

    def save(self) -> bytes:
        return msgspec.msgpack.encode(self._groups)

    def load(self, saved: bytes) -> None:
        self._groups = msgspec.msgpack.decode(saved, type=dict[str, Group])

    def _take(self, group: Group, key: str, sent: Json, now: datetime) -> None:
        stream, late = sent["logStreamName"], False
        for event in sent.get("logEvents") or ():
            timestamp = int(event["timestamp"])
            if not _takes(timestamp, now):
                continue
            place = f"{key}:{stream}:{timestamp}:{len(group.events)}"
            number = int.from_bytes(hashlib.blake2b(place.encode(), digest_size=16).digest())
            late = late or (bool(group.events) and group.events[-1].timestamp > timestamp)
            event_id = f"{timestamp:013d}{number:043d}"[:56]
            group.events.append(LogEvent(timestamp, _ms(now), event_id, stream, event["message"]))
        if late:
            group.events.sort(key=lambda event: event.timestamp)

    def _filter(self, seen: Seen) -> Response:
        sent, group = seen.call.parameters, self._groups.get(_key(seen), Group(0))
        if sent.get("logStreamNames") and sent.get("logStreamNamePrefix"):
            return _refuse("logStreamNames and logStreamNamePrefix cannot be given together.")
        try:
            matches = compile_pattern(sent.get("filterPattern") or "")
            begin = _read_token(sent)
        except PatternError as error:
            return _refuse(str(error))
        most = min(int(sent.get("limit") or _MOST_EVENTS), _MOST_EVENTS)
        wanted = list(_within(group.events, sent))
        page, end = self._page(wanted, begin, most, matches)
        answer: Json = {
            "events": [
                {
                    "logStreamName": event.stream,
                    "timestamp": event.timestamp,
                    "message": event.message,
                    "ingestionTime": event.ingestion_time,
                    "eventId": event.event_id,
                }
                for event in page
            ],
            "searchedLogStreams": [],
        }
        if end < len(wanted):
            answer["nextToken"] = base64.urlsafe_b64encode(f"{_fingerprint(sent)}:{end}".encode()).decode()
        return _json(answer)

    def _page(self, events: list[LogEvent], begin: int, most: int, matches: Matcher) -> tuple[list[LogEvent], int]:
        """The matches of one page, and where the next one begins."""
        found: list[LogEvent] = []
        size, end = 0, begin
        for event in events[begin : begin + self.scanned_a_page]:
            if matches(event.message):
                size += len(event.message.encode()) + 26
                if len(found) == most or (found and size > _MOST_BYTES):
                    break
                found.append(event)
            end += 1
        return found, end

    def _describe_groups(self, seen: Seen) -> Response:
        answer = json.loads(seen.response.body)
        for told in answer.get("logGroups", []):
            if group := self._groups.get(f"{seen.account_id}/{seen.call.region}/{told['logGroupName']}"):
                told["creationTime"] = group.created_at
                told["storedBytes"] = sum(len(event.message.encode()) + 26 for event in group.events)
        return _json(answer)

    def _describe_streams(self, seen: Seen) -> Response:
        answer, group = json.loads(seen.response.body), self._groups.get(_key(seen), Group(0))
        for told in answer.get("logStreams", []):
            own = [event for event in group.events if event.stream == told["logStreamName"]]
            told["creationTime"] = group.streams.get(told["logStreamName"], told.get("creationTime"))
            if own:
                told["lastIngestionTime"] = max(event.ingestion_time for event in own)
        return _json(answer)


def _within(events: list[LogEvent], sent: Json) -> Iterator[LogEvent]:
    """Events of the window and streams asked for; both ends of the window belong to it."""
    since, until = sent.get("startTime"), sent.get("endTime")
    streams, prefix = sent.get("logStreamNames"), sent.get("logStreamNamePrefix") or ""
    for event in events:
        if (
            (since is None or event.timestamp >= since)
            and (until is None or event.timestamp <= until)
            and (not streams or event.stream in streams)
            and event.stream.startswith(prefix)
        ):
            yield event


def _key(seen: Seen) -> str:
    sent = seen.call.parameters
    name = str(sent.get("logGroupName") or sent.get("logGroupIdentifier") or "")
    name = name.split(":log-group:", 1)[-1].removesuffix(":*")
    return f"{seen.account_id}/{seen.call.region}/{name}"


def _takes(timestamp: int, now: datetime) -> bool:
    return _ms(now - _TOO_OLD) <= timestamp <= _ms(now + _TOO_NEW)


def _refused(events: list[Json], now: datetime) -> Json:
    """`rejectedLogEventsInfo`: events older than 14 days or more than two hours ahead; events come in order."""
    times = [int(event["timestamp"]) for event in events]
    found: Json = {}
    if old := sum(time < _ms(now - _TOO_OLD) for time in times):
        found["tooOldLogEventEndIndex"] = old
    if any(time > _ms(now + _TOO_NEW) for time in times):
        found["tooNewLogEventStartIndex"] = sum(time <= _ms(now + _TOO_NEW) for time in times)
    return found


def _read_token(sent: Json) -> int:
    if not (token := sent.get("nextToken")):
        return 0
    try:
        fingerprint, _, place = base64.urlsafe_b64decode(token).decode().partition(":")
        if fingerprint == _fingerprint(sent):
            return int(place)
    except ValueError:
        pass
    raise PatternError("The specified nextToken is invalid.")


def _fingerprint(sent: Json) -> str:
    rest = sorted((name, value) for name, value in sent.items() if name not in {"nextToken", "limit"})
    return hashlib.sha256(repr(rest).encode()).hexdigest()[:16]


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _json(answer: Json) -> Response:
    body = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(200, [("Content-Type", "application/x-amz-json-1.1")], body)


def _refuse(message: str) -> Response:
    body = json.dumps({"__type": "InvalidParameterException", "message": message}).encode()
    return Response(400, [("Content-Type", "application/x-amz-json-1.1")], body)
