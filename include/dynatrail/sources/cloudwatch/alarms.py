"""Alarms: their whole history, which outlives them (DescribeAlarmHistory, 30 days), and what they watch now."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from dynatrail.config import Target
from dynatrail.privacy.documents import RESOURCE_DIMENSIONS
from dynatrail.privacy.log_lines import mask_json, mask_name, mask_text
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.sources.cloudwatch.metrics import with_hours
from dynatrail.warehouse.schema import ALARM_EVENT, INSTANT

HISTORY = "cloudwatch:DescribeAlarmHistory"
DESCRIBE = "cloudwatch:DescribeAlarms"
KEPT = timedelta(days=30)
"""How long CloudWatch keeps an alarm's history."""

_TYPES = ["MetricAlarm", "CompositeAlarm"]
_NUMBERS = r"[-+\d.eE,/: \[\]()]+"
_OWN_WORDS = re.compile(
    r"Threshold Crossed: (?:no datapoints were received for \d+ periods? and \d+ missing datapoints? (?:was|were) "
    rf"treated as \[?\w+\]?|\d+ (?:out of the last \d+ )?datapoints? (?:{_NUMBERS} )?(?:was|were) (?:not )?"
    rf"(?:greater|less) than (?:or equal to )?(?:the threshold|the upper threshold|the lower threshold) {_NUMBERS})"
    r"(?: \(minimum \d+ datapoints? for \w+ -> \w+ transition\))?\.?"
    r"|Unchecked: Initial alarm creation"
    r"|Insufficient Data: \d+ datapoints? (?:was|were) unknown\.?"
)
"""Reasons that CloudWatch itself writes: nothing but counts of metrics is in them."""

_OWN_SUMMARY = re.compile(
    r"Alarm updated from (?:OK|ALARM|INSUFFICIENT_DATA) to (?:OK|ALARM|INSUFFICIENT_DATA)\.?"
    r'|Alarm "[^"]{1,255}" (?:created|updated|deleted)'
    r"|(?:Successfully executed|Failed to execute|Published a notification to|Requested execution of) (?:action )?"
    r"arn:[\w-]+:[\w-]+:[\w-]*:\d*:[\w:./-]+\.?"
)
_REASON = re.compile(r"stateReason|reason", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")
_ARN = re.compile(r"arn:[\w-]+:[\w-]+:[\w-]*:\d*:[\w:./ -]+")
_WORD = re.compile(r"[A-Za-z_]{1,60}|\d{1,2}(?:\.\d{1,2})?|p\d{1,2}(?:\.\d+)?")
_NAMES = frozenset(
    ("alarmname", "metricname", "namespace", "alarmarn", "alarmrule", "region", "accountid", "tablename", "operation")
)
_TIMES = frozenset(
    (
        "querydate",
        "startdate",
        "timestamp",
        "stateupdatedtimestamp",
        "stateupdatetimestamp",
        "statetransitionedtimestamp",
    )
    + ("alarmconfigurationupdatedtimestamp",)
)
_NUMERIC = frozenset(
    ("period", "threshold", "recentdatapoints", "evaluationperiods", "datapointstoalarm", "value", "samplecount")
    + (
        "recentlowerthresholds",
        "recentupperthresholds",
        "actionsuppressorwaitperiod",
        "actionsuppressorextensionperiod",
    )
)
_WORDS = frozenset(
    ("version", "type", "statevalue", "statistic", "extendedstatistic", "stat", "unit", "comparisonoperator")
    + ("treatmissingdata", "evaluatelowsamplecountpercentile", "actionstate", "alarmtype", "id", "returndata")
)
_WORDS_OF_REASONS = frozenset(("version", "statistic", "extendedstatistic", "unit"))
"""Those of them that CloudWatch writes into stateReasonData, which a caller of SetAlarmState may fill as well."""

_ARNS = frozenset(("okactions", "alarmactions", "insufficientdataactions", "notificationresource", "arn", "alarmarn"))

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="sorted").encode


def watched(client: Any) -> dict[str, tuple[str | None, str | None]]:
    """Alarm -> the metric and the table that it watches, of all alarms there are now."""
    found: dict[str, tuple[str | None, str | None]] = {}
    for page in client.get_paginator("describe_alarms").paginate(AlarmTypes=_TYPES):
        for alarm in page.get("MetricAlarms", ()):
            found[alarm["AlarmName"]] = _subject(alarm)
        for alarm in page.get("CompositeAlarms", ()):
            found[alarm["AlarmName"]] = (None, None)
    return found


def history(client: Any, start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
    """All entries of all alarms in [start, end), those of deleted alarms included, oldest first."""
    pages = client.get_paginator("describe_alarm_history").paginate(
        AlarmTypes=_TYPES, StartDate=start, EndDate=end, ScanBy="TimestampAscending"
    )
    for page in pages:
        for entry in page["AlarmHistoryItems"]:
            if start <= entry["Timestamp"] < end:  # EndDate is inclusive
                yield entry


def rows(
    entries: Iterator[Mapping[str, Any]],
    subjects: Mapping[str, tuple[str | None, str | None]],
    target: Target,
    tokens: Tokenizer,
) -> pa.Table:
    """Entries as rows of `alarm_event`, without what could be a value."""
    made = [_row(entry, subjects, target, tokens) for entry in entries]
    columns = {
        name: pa.array([row.get(name) for row in made], ALARM_EVENT.schema.field(name).type)
        for name in ALARM_EVENT.schema.names
        if name not in {"event_hour", "event_date"}
    }
    columns["event_time"] = columns["event_time"].cast(INSTANT)
    return with_hours(columns, ALARM_EVENT.schema)


def _row(
    entry: Mapping[str, Any],
    subjects: Mapping[str, tuple[str | None, str | None]],
    target: Target,
    tokens: Tokenizer,
) -> dict[str, Any]:
    text = entry.get("HistoryData") or ""
    try:
        data = _decode(text) if text else {}
    except msgspec.DecodeError:
        data = {"unreadable": tokens.value(text)}
    if not isinstance(data, dict):
        data = {"value": data}
    old, new = _member(data, "oldState"), _member(data, "newState")
    name = entry["AlarmName"]
    metric, table = subjects.get(name) or _subject_in(data)
    summary, reason = entry.get("HistorySummary"), new.get("stateReason")
    identity = [target.account_id, target.region, name, entry.get("AlarmType"), entry.get("HistoryItemType")]
    identity += [entry["Timestamp"].isoformat(), tokens.value(f"{summary}\0{text}")]
    return {
        "alarm_event_id": hashlib.sha256(_encode(identity)).hexdigest(),
        "event_time": entry["Timestamp"],
        "account_id": target.account_id,
        "region": target.region,
        "alarm_name": name,
        "alarm_type": entry.get("AlarmType"),
        "history_item_type": entry.get("HistoryItemType"),
        "old_state": _state(old),
        "new_state": _state(new),
        "summary": _summary(summary, tokens),
        "reason": mask_reason(reason, tokens) if isinstance(reason, str) else None,
        "metric_name": metric,
        "table_name": table,
        "history_data": _encode(_masked(data, "", tokens)).decode() if text else None,
    }


def mask_reason(text: str, tokens: Tokenizer) -> str:
    """What CloudWatch itself writes stays; what a caller of SetAlarmState wrote is free text."""
    return text if _OWN_WORDS.fullmatch(text) else mask_text(text, tokens)


def _summary(text: str | None, tokens: Tokenizer) -> str | None:
    if text is None:
        return None
    return text if _OWN_SUMMARY.fullmatch(text) else mask_text(text, tokens)


def _member(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _state(state: Mapping[str, Any]) -> str | None:
    value = state.get("stateValue")
    return value if isinstance(value, str) and value in {"OK", "ALARM", "INSUFFICIENT_DATA"} else None


def _subject(alarm: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The first metric that an alarm's definition names and the first table among its dimensions."""
    members = {name[:1].lower() + name[1:]: value for name, value in alarm.items()}
    stats = [query.get("MetricStat") or query.get("metricStat") or {} for query in members.get("metrics") or ()]
    metrics = [members, *({"metric": stat.get("Metric") or stat.get("metric") or {}} for stat in stats)]
    names, tables = [], []
    for one in metrics:
        inner = one.get("metric", one)
        inner = {name[:1].lower() + name[1:]: value for name, value in inner.items()}
        names += [inner["metricName"]] if isinstance(inner.get("metricName"), str) else []
        for dimension in inner.get("dimensions") or ():
            pair = {key.lower(): value for key, value in dimension.items()}
            if pair.get("name") == "TableName" and isinstance(pair.get("value"), str):
                tables.append(pair["value"])
    return next(iter(names), None), next(iter(tables), None)


def _subject_in(data: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The same from an entry that tells of an alarm's making, change or end, for the alarm may be gone."""
    for member in ("deletedAlarm", "updatedAlarm", "createdAlarm"):
        if isinstance(data.get(member), dict):
            return _subject(data[member])
    return None, None


def _masked(value: Any, name: str, tokens: Tokenizer, *, of_reason: bool = False) -> Any:
    """HistoryData: fields that CloudWatch itself fills keep values of their form; all else is masked."""
    if isinstance(value, dict):
        if {key.lower() for key in value} == {"name", "value"} and not of_reason:
            return _dimension(value, tokens)
        return {
            mask_name(key, tokens): _masked(inner, key, tokens, of_reason=of_reason or key == "stateReasonData")
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_masked(inner, name, tokens, of_reason=of_reason) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    kind = name.lower()
    if isinstance(value, int | float):
        return value if kind in _NUMERIC else mask_json(str(value), tokens)
    if _REASON.fullmatch(name):
        return mask_reason(value, tokens)
    kept = (
        (kind in _NAMES and not of_reason)
        or (kind in _TIMES and _TIME.fullmatch(value))
        or (kind in (_WORDS_OF_REASONS if of_reason else _WORDS) and _WORD.fullmatch(value))
        or (kind in _ARNS and _ARN.fullmatch(value))
    )
    return value if kept else mask_json(value, tokens)


def _dimension(value: Mapping[str, Any], tokens: Tokenizer) -> dict[str, Any]:
    known = any(key.lower() == "name" and part in RESOURCE_DIMENSIONS for key, part in value.items())
    return {
        key: part if isinstance(part, str) and (known or key.lower() == "name") else mask_json(part, tokens)
        for key, part in value.items()
    }
