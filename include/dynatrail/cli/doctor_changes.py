"""The part of `doctor` that looks at item changes: gaps that nobody has filled, and streams that nobody reads.

Both come from the state database alone. A DAG that never runs raises no alarm of its own, so it is raised here.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from dynatrail import clock
from dynatrail.arns import place_of
from dynatrail.cli.findings import Finding
from dynatrail.config import Config
from dynatrail.state import streams
from dynatrail.state.models import StreamGap, StreamShard

_CHANGES_FROM = {"streams": "stream", "kinesis": "kinesis"}
_NAMED = 6


def gaps() -> list[Finding]:
    """Gaps that are open or narrowed; nothing where no changes were ever read."""
    missing = streams.gaps(unrepaired=True)
    if not missing:
        return [Finding("gaps", "none is open")] if streams.shards() else []
    tables = {gap.table_arn for gap in missing}
    oldest = min(missing, key=lambda gap: (_bounds(gap), gap.table_arn))
    start, end = _bounds(oldest)
    return [
        Finding(
            "gaps",
            f"{_counted(len(missing), 'gap')} open in the changes of {_counted(len(tables), 'table')}; the oldest: "
            f"{_table(oldest.table_arn)}, {start} to {end}",
            "These hours are incomplete until repair_changes has filled them, which point-in-time recovery allows for "
            "35 days at most: docs/cookbooks/repair-a-gap.md.",
        )
    ]


def checkpoints(watched: Config, now: datetime | None = None) -> list[Finding]:
    """How far the streams of watched tables were read by `now`; nothing where none was ever read."""
    now = now or clock.now()
    read = list(_read(streams.shards(), watched))
    if not read:
        return []
    behind = [(point, row) for point, row in read if now - point > watched.stream_alarm_after]
    if not behind:
        point, row = min(read, key=lambda one: (one[0], one[1].stream_arn))
        farthest = f"{_table(row.table_arn)} until {clock.iso(point)}"
        return [Finding("streams", f"{_counted(len(read), 'stream')} read, the one farthest behind: {farthest}")]
    behind.sort(key=lambda one: (one[0], one[1].stream_arn))
    named = ", ".join(
        f"{_table(row.table_arn)} for {(now - point) / timedelta(hours=1):,.0f} h" for point, row in behind[:_NAMED]
    )
    more = f" and {len(behind) - _NAMED} more" if len(behind) > _NAMED else ""
    dags = " and ".join(sorted({f"extract_{row.source}" for _, row in behind}))
    return [
        Finding(
            "streams",
            f"not read: {named}{more}",
            "A stream keeps 24 h; what is not read by then is lost to it (the alarm is stream_alarm_hours: "
            f"{watched.stream_alarm_hours:g}). Does {dags} run? Unpause or trigger it now. For a table that is gone "
            "nothing is to be done.",
        )
    ]


def _read(rows: Iterable[StreamShard], watched: Config) -> Iterator[tuple[datetime, StreamShard]]:
    """Every stream of a watched table that goes on, as one of its shards, and up to when it was read."""
    own: dict[str, list[StreamShard]] = {}
    for row in rows:
        if _is_watched(row, watched):
            own.setdefault(row.stream_arn, []).append(row)
    for shards in own.values():
        if any(row.status in ("open", "closed") for row in shards):
            yield streams.read_point(shards) or min(row.first_seen_at for row in shards), shards[0]


def _is_watched(row: StreamShard, watched: Config) -> bool:
    """Whether the configuration still has this table read from there; whether it exists only AWS knows."""
    account_id, region, name = place_of(row.table_arn)
    if watched.note(name).changes_from != _CHANGES_FROM[row.source]:
        return False
    return not watched.accounts or any(
        one.id == account_id and region in one.regions and any(fnmatchcase(name, each) for each in one.tables)
        for one in watched.accounts
    )


def _bounds(gap: StreamGap) -> tuple[str, str]:
    """The first and the last instant of what is still missing."""
    if not gap.remaining:
        return clock.iso(gap.starts_at), clock.iso(gap.ends_at)
    return gap.remaining[0].partition("/")[0], gap.remaining[-1].rpartition("/")[2]


def _table(arn: str) -> str:
    """`Patients (123456789012, eu-central-1)`."""
    account_id, region, name = place_of(arn)
    return f"{name} ({account_id}, {region})"


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"
