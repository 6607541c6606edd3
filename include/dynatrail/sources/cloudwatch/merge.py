"""What an hour holds after a further reading: rows of AWS's latest answer, and those that AWS no longer gives.

CloudWatch forgets (fine datapoints after 15 days, alarm history after 30, log events by their group's retention), so a
later reading never removes what an earlier one saw; it replaces the rows that it gives again. Where a series of an hour
exists at several periods, the finest stays alone: otherwise sums would count twice.
"""

from collections.abc import Collection
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.sources.cloudwatch.insights import NAMESPACE
from dynatrail.warehouse.schema import ALARM_EVENT, INSTANT, METRIC, Table

_BETWEEN = "\x1f"
_NONE = "\x1e"
_SERIES = [name for name in METRIC.natural_key if name not in {"period_s", "event_time"}]


def merge_metrics(present: pa.Table, came: pa.Table, reported: Collection[tuple[str, str, datetime]] = ()) -> pa.Table:
    """The union by natural key; `came` wins.

    Args:
        present: rows of the hours as they are.
        came: rows of the new answer.
        reported: (metric_name, dimensions, hour) of the Contributor Insights rules that answered: their contributors
            of before are dropped, for another answer may name others.
    """
    if reported:
        names = ["metric_name", "dimensions", "event_hour"]
        rules = [dict(zip(names, rule, strict=True)) for rule in sorted(reported)]
        schema = pa.schema([METRIC.schema.field(name) for name in names])
        answered = _key(pa.Table.from_pylist(rules, schema), names)
        of_rule = pc.is_in(_key(present, names), value_set=answered)
        insight = pc.equal(present["namespace"], NAMESPACE)
        present = present.filter(pc.invert(pc.and_(of_rule, insight)))
    return _finest(union(present, came, METRIC))


def merge_alarms(present: pa.Table, came: pa.Table) -> pa.Table:
    """The union by natural key; `came` wins, but what an alarm watched is kept once the alarm is gone."""
    known = {
        row["alarm_event_id"]: row
        for row in present.select(["alarm_event_id", "metric_name", "table_name"]).to_pylist()
    }
    filled = came.to_pylist()
    for row in filled:
        before = known.get(row["alarm_event_id"])
        if before and row["metric_name"] is None and row["table_name"] is None:
            row.update(metric_name=before["metric_name"], table_name=before["table_name"])
    return union(present, pa.Table.from_pylist(filled, came.schema), ALARM_EVENT)


def union(present: pa.Table, came: pa.Table, table: Table) -> pa.Table:
    """Rows of both, once each by the table's natural key; a row of `came` wins, among equals the last."""
    names = table.schema.names
    both = pa.concat_tables([present.select(names).cast(table.schema), came.select(names).cast(table.schema)])
    if not len(came):
        return both
    # Of rows with one key the last: what came lies behind what was there.
    numbered = both.select(list(table.natural_key)).append_column("row", pa.array(range(len(both)), pa.int64()))
    last = numbered.group_by(list(table.natural_key), use_threads=False).aggregate([("row", "max")])["row_max"]
    return both if len(last) == len(both) else both.take(last)


def _finest(rows: pa.Table) -> pa.Table:
    if len(pc.unique(rows["period_s"])) < 2:  # noqa: PLR2004  one period at most
        return rows
    series = _key(rows, [*_SERIES, "event_hour"])
    least = pa.table({"key": series, "period": rows["period_s"]}).group_by("key").aggregate([("period", "min")])
    place = pc.index_in(series, value_set=least["key"].combine_chunks())
    return rows.filter(pc.equal(rows["period_s"], least["period_min"].combine_chunks().take(place)))


def _key(rows: pa.Table, names: Collection[str]) -> pa.Array:
    """One text that tells rows apart by these columns; NULL is a value of its own."""
    texts = []
    for name in names:
        column = rows[name].combine_chunks()
        if column.type == INSTANT:
            column = column.cast(pa.int64())
        texts.append(pc.fill_null(column.cast(pa.string()), _NONE))
    joined = pc.binary_join_element_wise(*texts, _BETWEEN)
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
