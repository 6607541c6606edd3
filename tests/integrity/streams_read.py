"""A stream as extract_streams leaves it: shards and gaps in the state database, rows and statements in Delta."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from dynatrail.clock import hour_of
from dynatrail.integrity import sequence_findings, sequences
from dynatrail.settings import Settings
from dynatrail.sources.streams import statements
from dynatrail.state import pending
from dynatrail.state import streams as state
from dynatrail.state.database import session
from dynatrail.state.models import StreamGap
from dynatrail.warehouse.schema import ITEM_CHANGE
from dynatrail.warehouse.store import Warehouse

ACCOUNT, REGION, NAME = "123456789012", "eu-central-1", "Patients"
START = datetime(2026, 11, 1, tzinfo=UTC)
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{NAME}"
STREAM = f"{TABLE}/stream/2026-10-01T00:00:00.000"
KINESIS = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/changes"
NUMBER = 10**20


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def number(n: int) -> str:
    return str(NUMBER + n)


@dataclass
class StreamsRead:
    home: Path
    asked: list[datetime] = field(default_factory=lambda: [at(n) for n in range(8)])

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.home, trail_bucket="audit-logs")
        self.warehouse = Warehouse.from_settings(self.settings)

    def split(self) -> "StreamsRead":
        """A shard that was split in hour 2, all of it read until hour 9; stated."""
        self.shard("a", seen=-1, numbers=(1, 49))
        self.read("a", {1: 0.5, 20: 1.5, 40: 1.9})
        self.shard("b", "a", seen=2, numbers=(50, None))
        self.shard("c", "a", seen=2, numbers=(50, None))
        self.read("b", {50: 2.5, 60: 4.5}, until=9)
        self.read("c", {55: 2.6}, until=9)
        self.state_hours()
        return self

    def shard(
        self,
        name: str,
        parent: str | None = None,
        *,
        seen: float = 0.0,
        numbers: tuple[int, int | None] = (0, None),
        stream: str = STREAM,
    ) -> None:
        """A description showed it, closed where its numbers have an end."""
        first, last = (None if n is None else number(n) for n in numbers)
        source = "kinesis" if "kinesis" in stream else "streams"
        state.observe([state.SeenShard(stream, name, source, TABLE, parent, first, last)], at(seen))

    def read(
        self,
        shard: str,
        changes: dict[int, float],
        *,
        until: float | None = None,
        stream: str = STREAM,
        **more: Any,
    ) -> None:
        """These changes (number -> when) were read of it and landed: up to `until`, or else to its end."""
        times = [at(hours) for hours in changes.values()]
        self.land(shard, changes, stream=stream, **more)
        state.advance(
            [
                state.Progress(
                    stream,
                    shard,
                    sequence_number=number(max(changes)) if changes else None,
                    newest_event_at=max(times, default=None),
                    read_until=None if until is None else at(until),
                    drained=until is None,
                    oldest_event_at=min(times, default=None) if "kinesis" in stream else None,
                )
            ],
            rebuild={state.STATEMENTS: {hour_of(time) for time in times}},
        )

    def land(self, shard: str, changes: dict[int, float], *, stream: str = STREAM, **more: Any) -> None:
        """Rows without their checkpoint."""
        self.change(lambda rows: rows + [row(shard, n, at(hours), stream, **more) for n, hours in changes.items()])

    def change(self, edit: Any) -> None:
        """Put other rows in the place of those that are there."""
        hours = [at(n) for n in range(-2, 30)]
        before = self.warehouse.dataset("item_change").to_table().to_pylist()
        self.warehouse.replace("item_change", pa.Table.from_pylist(edit(before), ITEM_CHANGE.schema), hours=hours)

    def remove(self, n: int) -> None:
        self.change(lambda rows: [row for row in rows if row["sequence_number"] != number(n)])

    def state_hours(self) -> None:
        with pending.working(state.STATEMENTS, ()) as hours:
            statements.rebuild_all(self.settings, hours)

    def gap(
        self, start: float, end: float, *, shard: str | None = None, reason: str = "trimmed", lost: bool = False
    ) -> state.Gap:
        made = state.Gap(
            "streams", TABLE, STREAM, shard, None, at(start), at(end), reason, "The shard was not read in time."
        )
        state.record(made, lost_shard=lost)
        return made

    def close(self, gap: state.Gap) -> None:
        self.narrow(gap)

    def narrow(self, gap: state.Gap, *remaining: str) -> None:
        values = {"status": "narrowed" if remaining else "closed", "remaining": list(remaining)}
        with session() as opened:
            opened.execute(sa.update(StreamGap).where(StreamGap.gap_id == gap.gap_id).values(**values))

    def prove(self, hours: Iterable[datetime] | None = None) -> int:
        return sequences.prove(self.settings, list(hours or self.asked))

    def find(self, hours: Iterable[datetime] | None = None) -> int:
        return sequence_findings.find(self.settings, list(hours or self.asked))

    def proofs(self, stream: str = STREAM) -> dict[int, tuple[str, list[str] | None]]:
        """Hours after START -> status and reasons."""
        rows = self.rows("sequence_proof")
        return {
            (row["event_hour"] - START) // timedelta(hours=1): (row["status"], row["reasons"])
            for row in rows
            if row["stream_arn"] == stream
        }

    def rows(self, table: str) -> list[dict[str, Any]]:
        found = self.warehouse.dataset(table).to_table().to_pylist()
        return sorted(found, key=lambda row: (row["event_hour"], str(row)))


def row(shard: str, n: int, time: datetime, stream: str = STREAM, **more: Any) -> dict[str, Any]:
    columns = {
        "change_id": f"{stream}{shard}{n}",
        "event_time": time,
        "event_hour": hour_of(time),
        "event_date": time.date(),
        "account_id": ACCOUNT,
        "region": REGION,
        "table_name": NAME,
        "table_arn": TABLE,
        "item_key_token": "t1:00",
        "key_attributes": ["PatientId"],
        "change_type": "MODIFY",
        "view_type": "NEW_AND_OLD_IMAGES",
        "change_origin": "kinesis" if "kinesis" in stream else "stream",
        "reconstructed": False,
        "by_ttl": False,
        "sequence_number": number(n),
        "shard_id": shard,
        "stream_arn": stream,
        "source_uri": f"{stream}/{shard}",
        "source_position": number(n),
    }
    return dict.fromkeys(ITEM_CHANGE.schema.names) | columns | more
