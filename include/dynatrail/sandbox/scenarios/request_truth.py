"""How many requests of which kind the scenario made in each hour, counted by the stage that made them.

Independent of what the sandbox's CloudWatch counts: from the calls as they were sent and the answers as they came back.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from dynatrail.clock import hour_of, iso

Json = dict[str, Any]

_DATA = frozenset(
    {
        *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem"),
        *("TransactGetItems", "TransactWriteItems", "ExecuteStatement", "BatchExecuteStatement"),
        *("ExecuteTransaction", "GetRecords"),
    }
)
_THROTTLED = frozenset({"ProvisionedThroughputExceededException", "ThrottlingException"})


class RequestTruth:
    """Counts DynamoDB requests and writes them to `NAME.metrics.json`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._successful: Counter[tuple[str, str, str, str, str]] = Counter()
        self._returned: Counter[tuple[str, str, str, str, str]] = Counter()
        self._conditions: Counter[tuple[str, str, str, str]] = Counter()
        self._user_errors: Counter[tuple[str, str, str]] = Counter()

    def made(
        self,
        account_id: str,
        region: str,
        operation: str,
        tables: Iterable[str],
        answer: Mapping[str, Any],
        error: str | None,
        at: datetime,
    ) -> None:
        """Count one request on `tables`; `error` is its error code."""
        place = (account_id, region, iso(hour_of(at)))
        if error is None:
            for table in tables if operation in _DATA else ():
                key = (*place, table, operation)
                self._successful[key] += 1
                if operation in {"Query", "Scan"}:
                    self._returned[key] += answer["Count"]
        elif error == "ConditionalCheckFailedException":
            for table in tables:
                self._conditions[(*place, table)] += 1
        elif error not in _THROTTLED:
            self._user_errors[place] += 1

    def close(self) -> None:
        """Write the file: lists of objects, in order of their names."""
        where = ("account_id", "region", "hour", "table_name", "operation")
        found: dict[str, list[Json]] = {
            "requests": [
                {**dict(zip(where, key, strict=True)), "successful": count, "returned_items": self._returned.get(key)}
                for key, count in sorted(self._successful.items())
            ],
            "conditional_checks_failed": [
                {**dict(zip(where, key, strict=False)), "count": count}
                for key, count in sorted(self._conditions.items())
            ],
            "user_errors": [
                {**dict(zip(where, key, strict=False)), "count": count}
                for key, count in sorted(self._user_errors.items())
            ],
        }
        self._path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
