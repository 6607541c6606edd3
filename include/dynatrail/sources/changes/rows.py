"""Rows of `item_change` of one table, filled change by change and turned into Arrow once."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dynatrail.privacy.policy import TableMasks
from dynatrail.privacy.subjects import SubjectKeys
from dynatrail.warehouse.schema import ITEM_CHANGE

HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class ChangedTable:
    """A table whose changes are read; unlike a WatchedTable it may be deleted by now.

    Attributes:
        masks: what is done with the values of its items.
        subjects: the keys under which some of them are encrypted; None where none are.
    """

    account_id: str
    region: str
    name: str
    arn: str
    masks: TableMasks = field(default_factory=TableMasks)
    subjects: SubjectKeys | None = None

    @property
    def slice(self) -> dict[str, str]:
        """What names the table's rows to `Warehouse.replace`."""
        return {"account_id": self.account_id, "region": self.region, "table_name": self.name}


class Change(NamedTuple):
    """One row; the fields are the columns of `item_change` that differ from row to row.

    `event_time` is in microseconds since 1970, as are the bounds of a reconstructed row.
    """

    change_id: str
    event_time: int
    item_key_token: str
    key_attributes: list[str]
    change_type: str | None
    old_image: str | None
    new_image: str | None
    changed_attributes: list[str] | None
    view_type: str | None
    source_uri: str
    source_position: str
    reconstructed: bool = False
    reconstructed_from: int | None = None
    reconstructed_to: int | None = None
    by_ttl: bool | None = None
    event_id: str | None = None
    sequence_number: str | None = None
    shard_id: str | None = None
    stream_arn: str | None = None
    time_precision: str | None = None
    size_bytes: int | None = None
    user_identity: str | None = None
    other_fields: str | None = None
    old_image_token: str | None = None
    new_image_token: str | None = None


class ChangeRows:
    """The changes of one table from one origin: `stream`, `kinesis` or `export`."""

    def __init__(self, table: ChangedTable, origin: str) -> None:
        self.table = table
        self.origin = origin
        self._rows: dict[str, Change] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, change: Change) -> None:
        """Add a change; of two with one `change_id`, which are the same record read twice, the first stays."""
        self._rows.setdefault(change.change_id, change)

    def arrow(self) -> pa.Table:
        """All changes as rows of `item_change`, in the order in which they came."""
        count = len(self._rows)
        values = list(zip(*self._rows.values(), strict=True)) or [()] * len(Change._fields)
        columns = dict(zip(Change._fields, values, strict=True))
        fixed = {
            "account_id": self.table.account_id,
            "region": self.table.region,
            "table_name": self.table.name,
            "table_arn": self.table.arn,
            "change_origin": self.origin,
        }
        times = np.array(columns["event_time"], np.int64)
        arrays = {"event_hour": _instants(pa.array(times // HOUR_US * HOUR_US))}
        arrays["event_date"] = arrays["event_hour"].cast(pa.date32())
        for column in ITEM_CHANGE.schema:
            if column.name in fixed:
                arrays[column.name] = pa.repeat(pa.scalar(fixed[column.name], pa.string()), count)
            elif pa.types.is_timestamp(column.type) and column.name in columns:
                arrays[column.name] = _instants(pa.array(columns[column.name], pa.int64()))
            elif column.name in columns:
                arrays[column.name] = pa.array(columns[column.name], column.type)
        return pa.table([arrays[name] for name in ITEM_CHANGE.schema.names], names=ITEM_CHANGE.schema.names)


def _instants(microseconds: pa.Array) -> pa.Array:
    return microseconds.cast(pa.timestamp("us")).cast(ITEM_CHANGE.schema.field("event_time").type)
