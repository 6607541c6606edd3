"""Ground truth: what the scenario really did, written down by the scenario itself and never read by the pipeline.

It is worked out from the calls as they were made (typed keys, the intended item), not from the records, so that it can
judge them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec

from dynatrail.clock import iso
from dynatrail.sandbox.recorder import Recorded
from dynatrail.sandbox.scenarios.request_truth import RequestTruth

Json = dict[str, Any]


class Item(msgspec.Struct, frozen=True):
    """One item that a call named.

    Attributes:
        key: typed DynamoDB JSON.
        operation: Put, Update, Delete, Get or ConditionCheck.
        in_record: False where CloudTrail loses the key: redacted PartiQL inserts, `?` parameters, denied calls.
    """

    table: str
    key: Json
    operation: str
    in_record: bool = True


class Incident(msgspec.Struct, frozen=True):
    """One planted incident, as a later benchmark looks for it."""

    id: str
    title: str
    started_at: str
    actor: str
    account_id: str
    region: str
    tables: list[str]


class Planted(msgspec.Struct, kw_only=True):
    """Something done to the trail, its bucket or a stream, that a proof of the trail must find; nothing else is wrong.

    Attributes:
        kind: `log_file_forged`, `selectors_narrowed` or `stream_replaced`.
        starts_at, ends_at: the span that it hides; of a forged file the hour of its delivery.
        principal_arn: whose data events are hidden, or who is said to have made the forged ones.
        actor: who did it, as far as the trail can tell.
        tables: ARNs of the tables concerned.
        addresses: the forged object's URI; the trail's ARN; the stream's ARNs before and after.
        event_ids: of the calls by which it was done; of a forged file, of its records.
        counts: how many of what are forged (`records`), hidden (`requests`, and `by_operation`) or lost (`changes`).
    """

    id: str
    kind: str
    title: str
    account_id: str
    region: str
    starts_at: str
    ends_at: str
    principal_arn: str | None = None
    actor: str | None = None
    tables: list[str] = []
    addresses: list[str] = []
    event_ids: list[str] = []
    counts: Json = {}


_SINGLE = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete", "GetItem": "Get"}


def items_of(operation: str, sent: Mapping[str, Any], keys: Mapping[str, Iterable[str]]) -> list[Item]:
    """Items that a classic call names; `keys` gives each table's key attributes. PartiQL's are told by the scenario."""
    match operation:
        case "PutItem" | "UpdateItem" | "DeleteItem" | "GetItem":
            return [_item(sent["TableName"], sent.get("Key") or sent["Item"], _SINGLE[operation], keys)]
        case "BatchGetItem":
            return [
                Item(table, dict(key), "Get")
                for table, wanted in sent["RequestItems"].items()
                for key in wanted["Keys"]
            ]
        case "BatchWriteItem":
            return [
                _item(table, request["PutRequest"]["Item"], "Put", keys)
                if "PutRequest" in request
                else Item(table, dict(request["DeleteRequest"]["Key"]), "Delete")
                for table, requests in sent["RequestItems"].items()
                for request in requests
            ]
        case "TransactWriteItems" | "TransactGetItems":
            found = []
            for member in sent["TransactItems"]:
                kind, part = next(iter(member.items()))
                found.append(_item(part["TableName"], part.get("Key") or part["Item"], kind, keys))
            return found
    return []


def _item(table: str, attributes: Mapping[str, Any], operation: str, keys: Mapping[str, Iterable[str]]) -> Item:
    return Item(table, {name: attributes[name] for name in keys.get(table, attributes)}, operation)


class Truth:
    """Writes `NAME.jsonl` and, at the end, `NAME.planted.json` and `NAME.summary.json` into a folder.

    Attributes:
        planted: what was done to the trail, its bucket or a stream.
        hidden: successful calls whose records no trail selects: (account, region, table's ARN, operation) -> how many.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / f"{name}.jsonl"
        self._summary_path = folder / f"{name}.summary.json"
        self._planted_path = folder / f"{name}.planted.json"
        self.planted: list[Planted] = []
        self.hidden: Counter[tuple[str, str, str, str]] = Counter()
        self._file: TextIO = self.path.open("w", encoding="utf-8")
        self._operations: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self.incidents: dict[str, Incident] = {}
        self.requests = RequestTruth(folder / f"{name}.metrics.json")
        self.records = 0
        self.calls = 0

    def write(
        self,
        recorded: Iterable[Recorded],
        *,
        actor: Json,
        items: list[Item],
        tables: list[str],
        incident: str | None,
    ) -> None:
        """One call and the records that it left: one line a record, several when several accounts were concerned."""
        self.calls += 1
        for one in recorded:
            record = one.record
            code = record.get("errorCode")
            outcome = "success" if code is None else "denied" if code == "AccessDenied" else "failure"
            region, account = record["awsRegion"], record["recipientAccountId"]
            visible = outcome != "denied"
            line = {
                "event_time": record["eventTime"],
                "event_id": record["eventID"],
                "correction_event_id": one.correction_id,
                "call": self.calls,
                "recipient_account_id": account,
                "region": region,
                "event_source": record["eventSource"],
                "event_name": record["eventName"],
                "tables": [_arn(region, account, table) for table in tables],
                "items": [
                    {
                        "table_arn": _arn(region, account, item.table),
                        "key": item.key,
                        "operation": item.operation,
                        "in_record": item.in_record and visible,
                    }
                    for item in items
                ],
                "actor": actor,
                "outcome": outcome,
                "incident": incident,
                "delivered": one.delivered,
            }
            self._file.write(msgspec.json.encode(line).decode() + "\n")  # binary keys as base64 text
            self._operations[record["eventName"]] += 1
            self._outcomes[outcome] += 1
            if not one.delivered and outcome == "success":
                arns = [_arn(region, account, table) for table in tables]
                self.hidden.update((account, region, arn, record["eventName"]) for arn in arns)
            self.records += 1

    def close(self, start: datetime, end: datetime, more: Json) -> Json:
        """Write the summary; also returned."""
        self._file.close()
        self.requests.close()
        planted = msgspec.to_builtins(self.planted)
        self._planted_path.write_text(json.dumps(planted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        summary = {
            "window": [iso(start), iso(end)],
            "calls": self.calls,
            "records": self.records,
            "operations": dict(sorted(self._operations.items())),
            "outcomes": dict(sorted(self._outcomes.items())),
            "planted": [one.id for one in self.planted],
            "incidents": [msgspec.to_builtins(incident) for incident in self.incidents.values()],
            **more,
        }
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        self._summary_path.write_text(text + "\n", encoding="utf-8")
        read: Json = json.loads(text)  # as a later start of the sandbox will read it
        return read


def _arn(region: str, account: str, table: str) -> str:
    return table if table.startswith("arn:") else f"arn:aws:dynamodb:{region}:{account}:table/{table}"
