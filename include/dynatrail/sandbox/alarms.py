"""CloudWatch alarms in sandbox time: their states follow the sandbox's own metrics, their history outlives them.

ministack checks and keeps PutMetricAlarm and its relatives; composite alarms are its own altogether. DescribeAlarms and
DescribeAlarmHistory are answered here.
"""

import base64
import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from dynatrail.sandbox.alarms_states import ALARM, OK, UNKNOWN, Alarm, judge
from dynatrail.sandbox.calls import service_model
from dynatrail.sandbox.hop import Response
from dynatrail.sandbox.metrics_store import MINUTE, MetricStore
from dynatrail.sandbox.metrics_wire import WireError, encode, is_cbor, read_cbor, refuse
from dynatrail.sandbox.parts import Seen

Json = dict[str, Any]
T = TypeVar("T")

HISTORY_KEPT = timedelta(days=30)
_PAGE, _MOST = 50, 100
_ACTIONS = {ALARM: "AlarmActions", OK: "OKActions", UNKNOWN: "InsufficientDataActions"}
_SETTINGS = (
    *("AlarmName", "AlarmDescription", "MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions"),
    *("Period", "Unit", "EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator"),
    *("TreatMissingData", "ActionsEnabled", "OKActions", "AlarmActions", "InsufficientDataActions"),
)


class Entry(msgspec.Struct, frozen=True):
    """One line of an alarm's history."""

    account_id: str
    region: str
    alarm: str
    at: datetime
    kind: str
    summary: str
    data: str


class _Saved(msgspec.Struct):
    alarms: dict[str, Alarm] = {}
    history: list[Entry] = []


class Alarms:
    """The part. `store` is that of the metrics' part, which must come before this one."""

    name = "alarms"

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._alarms: dict[str, Alarm] = {}
        self._history: list[Entry] = []

    def saw(self, seen: Seen) -> None:
        if seen.call.service != "cloudwatch" or not seen.ok:
            return
        place, sent = f"{seen.account_id}/{seen.call.region}/", seen.call.parameters
        names = [place + name for name in [*(sent.get("AlarmNames") or ()), sent.get("AlarmName")] if name]
        alarms = [self._alarms[name] for name in names if name in self._alarms]
        match seen.call.operation:
            case "PutMetricAlarm" if names:
                self._put(seen, names[0], {name: sent[name] for name in _SETTINGS if name in sent})
            case "DeleteAlarms":
                for alarm in alarms:
                    del self._alarms[place + alarm.name]
                    self._configured(alarm, "Delete", seen.now)
            case "EnableAlarmActions" | "DisableAlarmActions" as operation:
                for alarm in alarms:
                    alarm.settings["ActionsEnabled"] = operation == "EnableAlarmActions"
                    self._configured(alarm, "Update", seen.now)
            case "SetAlarmState":
                text = sent.get("StateReasonData")
                data = json.loads(text) if text else None
                for alarm in alarms:
                    self._change(alarm, sent["StateValue"], sent["StateReason"], data, seen.now)

    def answer(self, seen: Seen) -> Response | None:
        call = seen.call
        give = {"DescribeAlarms": self._describe, "DescribeAlarmHistory": self._describe_history}.get(call.operation)
        if call.service != "cloudwatch" or give is None:
            return None
        cbor = is_cbor(seen.response)
        try:
            answer = give(seen)
        except WireError as error:
            return refuse(error, cbor=cbor)
        shape = service_model("cloudwatch").operation_model(call.operation).output_shape
        return encode(answer, shape, cbor=cbor)  # type: ignore[arg-type]  # both have an answer

    def tick(self, now: datetime) -> None:
        second = int(now.timestamp())
        for alarm in self._alarms.values():
            period, lag = alarm.period, MINUTE + zlib.crc32(alarm.name.encode()) % 30
            if alarm.judged + period + lag > second:
                continue
            series = alarm.series(self._store)
            while (end := alarm.judged + period) + lag <= second:
                alarm.judged = end
                at = datetime.fromtimestamp(end + lag, UTC)
                verdict = judge(alarm, series, end, at)
                if verdict is not None and verdict.state != alarm.state:
                    self._change(alarm, verdict.state, verdict.reason, verdict.data, at)

    def save(self) -> bytes:
        return msgspec.msgpack.encode(_Saved(self._alarms, self._history))

    def load(self, saved: bytes) -> None:
        state = msgspec.msgpack.decode(saved, type=_Saved)
        self._alarms, self._history = state.alarms, state.history

    def _put(self, seen: Seen, key: str, settings: Json) -> None:
        if alarm := self._alarms.get(key):
            alarm.settings, alarm.configured_at = settings, seen.now
            self._configured(alarm, "Update", seen.now)
            return
        second = int(seen.now.timestamp())
        alarm = Alarm(seen.account_id, seen.call.region, settings, seen.now, seen.now, 0)
        alarm.judged = second // alarm.period * alarm.period
        self._alarms[key] = alarm
        self._configured(alarm, "Create", seen.now)

    def _change(self, alarm: Alarm, state: str, reason: str, data: Json | None, at: datetime) -> None:
        old = _state(alarm.state, alarm.reason, alarm.reason_data)
        summary = f"Alarm updated from {alarm.state} to {state}"
        alarm.state, alarm.reason, alarm.reason_data, alarm.updated_at = state, reason, data, at
        self._note(
            alarm,
            at,
            "StateUpdate",
            summary,
            {"version": "1.0", "oldState": old, "newState": _state(state, reason, data)},
        )
        if alarm.settings.get("ActionsEnabled", True):
            for arn in alarm.settings.get(_ACTIONS[state]) or ():
                told = {
                    "actionState": "Succeeded",
                    "stateUpdateTimestamp": int(at.timestamp() * 1000),
                    "notificationResource": arn,
                    "publishedMessage": None,
                    "error": None,
                }
                self._note(alarm, at, "Action", f"Successfully executed action {arn}", told)

    def _configured(self, alarm: Alarm, kind: str, at: datetime) -> None:
        done = f"{kind.lower()}d"
        data = {"version": "1.0", "type": kind, f"{done}Alarm": {"alarmArn": alarm.arn, **_camel(alarm.settings)}}
        self._note(alarm, at, "ConfigurationUpdate", f'Alarm "{alarm.name}" {done}', data)

    def _note(self, alarm: Alarm, at: datetime, kind: str, summary: str, data: Json) -> None:
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        self._history.append(Entry(alarm.account_id, alarm.region, alarm.name, at, kind, summary, text))

    def _describe(self, seen: Seen) -> Json:
        """DescribeAlarms: metric alarms from here, composite ones from ministack."""
        sent, kinds = seen.call.parameters, seen.call.parameters.get("AlarmTypes") or ["MetricAlarm"]
        names, prefix = sent.get("AlarmNames"), sent.get("AlarmNamePrefix")
        if names and prefix:
            raise WireError("ValidationError", "AlarmNames and AlarmNamePrefix cannot be given together.")
        found = [
            alarm
            for alarm in self._alarms.values()
            if "MetricAlarm" in kinds
            and (alarm.account_id, alarm.region) == (seen.account_id, seen.call.region)
            and (not names or alarm.name in names)
            and alarm.name.startswith(prefix or "")
            and alarm.state == (sent.get("StateValue") or alarm.state)
            and _acts(alarm, sent.get("ActionPrefix"))
        ]
        page, token = _page(sorted(found, key=lambda alarm: alarm.name), sent)
        answer: Json = {"MetricAlarms": [_described(alarm) for alarm in page], "CompositeAlarms": []}
        if "CompositeAlarm" in kinds and is_cbor(seen.response) and seen.ok:
            answer["CompositeAlarms"] = read_cbor(seen.response.body).get("CompositeAlarms", [])
        return answer | ({"NextToken": token} if token else {})

    def _describe_history(self, seen: Seen) -> Json:
        sent = seen.call.parameters
        since, until = sent.get("StartDate"), sent.get("EndDate")
        oldest = seen.now - HISTORY_KEPT
        found = [
            entry
            for entry in self._history
            if (entry.account_id, entry.region) == (seen.account_id, seen.call.region)
            and entry.at >= oldest
            and entry.alarm == (sent.get("AlarmName") or entry.alarm)
            and entry.kind == (sent.get("HistoryItemType") or entry.kind)
            and (since is None or entry.at >= since)
            and (until is None or entry.at <= until)
            and "MetricAlarm" in (sent.get("AlarmTypes") or ["MetricAlarm"])
        ]
        found.sort(key=lambda entry: entry.at, reverse=sent.get("ScanBy") != "TimestampAscending")
        page, token = _page(found, sent)
        items = [
            {
                "AlarmName": entry.alarm,
                "AlarmType": "MetricAlarm",
                "Timestamp": entry.at,
                "HistoryItemType": entry.kind,
                "HistorySummary": entry.summary,
                "HistoryData": entry.data,
            }
            for entry in page
        ]
        return {"AlarmHistoryItems": items, **({"NextToken": token} if token else {})}


def _page(found: list[T], sent: Json) -> tuple[list[T], str | None]:
    most = int(sent.get("MaxRecords") or _PAGE)
    if not 1 <= most <= _MOST:
        raise WireError("ValidationError", f"MaxRecords must be between 1 and {_MOST}.")
    begin = 0
    if token := sent.get("NextToken"):
        try:
            begin = int(base64.urlsafe_b64decode(token))
        except ValueError:
            raise WireError("InvalidNextToken", "The token is not one of this request.") from None
    end = begin + most
    return found[begin:end], base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(found) else None


def _described(alarm: Alarm) -> Json:
    more: Json = {"StateReasonData": json.dumps(alarm.reason_data)} if alarm.reason_data else {}
    return {
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        "Dimensions": [],
        "TreatMissingData": "missing",
        **alarm.settings,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.configured_at,
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateUpdatedTimestamp": alarm.updated_at,
        "StateTransitionedTimestamp": alarm.updated_at,
        **more,
    }


def _acts(alarm: Alarm, prefix: str | None) -> bool:
    if not prefix:
        return True
    return any(arn.startswith(prefix) for name in _ACTIONS.values() for arn in alarm.settings.get(name) or ())


def _state(state: str, reason: str, data: Json | None) -> Json:
    return {"stateValue": state, "stateReason": reason, **({"stateReasonData": data} if data else {})}


def _camel(settings: Json) -> Json:
    """The settings as the history shows them: the first letter lowered, dimensions too."""
    shown = {name[:1].lower() + name[1:]: value for name, value in settings.items()}
    if dimensions := settings.get("Dimensions"):
        shown["dimensions"] = [{"name": part["Name"], "value": part["Value"]} for part in dimensions]
    return shown
