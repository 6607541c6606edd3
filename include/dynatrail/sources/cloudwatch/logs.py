"""CloudWatch Logs: the events that each configured filter matches (FilterLogEvents), masked before they are kept.

A page holds up to 10,000 events or 1 MB, and may hold none although more follow. The same event matched by two filters
is two rows, as the filter's name is what a row can be searched by.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from dynatrail.config import LogFilter, Target
from dynatrail.privacy.log_lines import mask_line
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.cloudwatch.metrics import with_hours
from dynatrail.warehouse.schema import INSTANT, LOG_EVENT

FILTER = "logs:FilterLogEvents"
DESCRIBE = "logs:DescribeLogGroups"

_MILLISECONDS = pa.timestamp("ms", tz="UTC")
_encode = msgspec.json.Encoder().encode


def retention(client: Any, log_group: str) -> timedelta | None:
    """How long the log group keeps its events; None for ever.

    Raises:
        LookupError: there is no such log group.
        ClientError, BotoCoreError: AWS refuses or fails.
    """
    for page in client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=log_group):
        for group in page["logGroups"]:
            if group["logGroupName"] == log_group:
                days = group.get("retentionInDays")
                return timedelta(days=days) if days else None
    raise LookupError(log_group)


def pages(client: Any, chosen: LogFilter, start: datetime, end: datetime) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The pages of events in [start, end) that the filter matches, those without any left out."""
    asked: dict[str, Any] = {
        "logGroupName": chosen.log_group,
        "startTime": _milliseconds(start),
        "endTime": _milliseconds(end) - 1,  # inclusive
        **({"filterPattern": chosen.pattern} if chosen.pattern else {}),
    }
    for page in client.get_paginator("filter_log_events").paginate(**asked):
        if page["events"]:
            yield page["events"]


def rows(events: Sequence[Mapping[str, Any]], chosen: LogFilter, target: Target, tokens: Tokenizer) -> pa.Table:
    """Events as rows of `log_event`, their messages masked."""
    count = len(events)
    place = (target.account_id, target.region, chosen.name, chosen.log_group)
    columns: dict[str, Any] = {
        "log_event_id": [_id(place, event) for event in events],
        "log_stream": [event.get("logStreamName") for event in events],
        "event_id": [event.get("eventId") for event in events],
        "message": [mask_line(event.get("message", ""), tokens) for event in events],
    }
    columns = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    fixed = {"account_id": place[0], "region": place[1], "filter_name": place[2], "log_group": place[3]}
    columns |= {name: pa.repeat(pa.scalar(value, pa.string()), count) for name, value in fixed.items()}
    columns["event_time"] = _instants([event.get("timestamp") for event in events])
    columns["ingestion_time"] = _instants([event.get("ingestionTime") for event in events])
    return with_hours(columns, LOG_EVENT.schema)


def _id(place: tuple[str, ...], event: Mapping[str, Any]) -> str:
    identity = [*place, event.get("logStreamName"), event.get("eventId")]
    return hashlib.sha256(_encode(identity)).hexdigest()


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _instants(milliseconds: Sequence[int | None]) -> pa.Array:
    return pa.array(milliseconds, pa.int64()).cast(_MILLISECONDS).cast(INSTANT)
