"""What Dynatrail remembers between runs: small, transactional, mutable. Nothing analytic lives here.

After changing a model, write its migration: `alembic -c include/dynatrail/state/alembic.ini revision --autogenerate -m
"Say what changed"`; a test proves that models and migrations agree.
"""

from datetime import UTC, date, datetime
from typing import ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Index, MetaData, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite keeps no offset, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {
        datetime: Instant,
        dict[str, int]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
    }
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class SourceObject(Base):
    """The ledger: one object of an AWS source, from the moment it was seen.

    Attributes:
        uri: its s3:// address.
        source: `cloudtrail`, …
        delivered_at: from its name; to the minute for CloudTrail.
        size: compressed bytes, as last seen.
        etag: as last seen, without quotes.
        status: `discovered`, `taken` or `failed` (read again by the next run).
        sha256: of its uncompressed content, as taken; NULL where it could not be uncompressed.
        records: rows it gave; `quarantined`: pieces of it that went to quarantine.
        event_hours: hours of its events, ISO 8601, ascending.
        run_id: run that discovered it or that it was last assigned to, and `batch` within that run.
        changed_at: when another etag or size was first seen under the address of an object already taken. CloudTrail
            never rewrites an object, so this is a sign of tampering; `previous_sha256` is what had been taken.
        error: why it failed, for a person.
    """

    __tablename__ = "source_object"

    uri: Mapped[str] = mapped_column(String(1200), primary_key=True)
    source: Mapped[str] = mapped_column(String(40))
    account_id: Mapped[str] = mapped_column(String(12))
    region: Mapped[str] = mapped_column(String(40))
    delivered_at: Mapped[datetime]
    size: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(12))
    sha256: Mapped[str | None] = mapped_column(String(64))
    records: Mapped[int | None]
    quarantined: Mapped[int | None]
    event_hours: Mapped[list[str] | None]
    oldest_event_at: Mapped[datetime | None]
    newest_event_at: Mapped[datetime | None]
    run_id: Mapped[str] = mapped_column(String(250))
    batch: Mapped[int | None]
    discovered_at: Mapped[datetime]
    taken_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]
    previous_sha256: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index(None, "source", "status"),
        Index(None, "source", "delivered_at"),
        Index(None, "source", "oldest_event_at", "newest_event_at"),
        Index(None, "run_id", "batch"),
    )

    @property
    def changed(self) -> bool:
        """Whether another object than the one taken lies under this address, and was not taken yet."""
        return self.changed_at is not None and (self.taken_at is None or self.taken_at < self.changed_at)


class TableKey(Base):
    """One key attribute of a DynamoDB table: what CloudTrail leaves out, and a token of the key needs.

    Attributes:
        attribute_type: `S`, `N` or `B`.
        key_type: `HASH` or `RANGE`.
    """

    __tablename__ = "table_key"

    table_arn: Mapped[str] = mapped_column(String(300), primary_key=True)
    attribute_name: Mapped[str] = mapped_column(String(255), primary_key=True)
    attribute_type: Mapped[str] = mapped_column(String(1))
    key_type: Mapped[str] = mapped_column(String(5))
    learned_at: Mapped[datetime]


class PendingHour(Base):
    """An hour that a stage still has to rebuild (`state/pending.py`).

    Attributes:
        stage: the DAG that rebuilds it.
        marks: another number each time that it becomes due; who rebuilt the hour removes it if unchanged.
    """

    __tablename__ = "pending_hour"

    stage: Mapped[str] = mapped_column(String(60), primary_key=True)
    event_hour: Mapped[datetime] = mapped_column(primary_key=True)
    marks: Mapped[int]


class EvidenceSnapshot(Base):
    """One published snapshot of a day.

    Attributes:
        versions: per warehouse table, the version that it was made from; vacuum keeps these.
        manifest_sha256: of its manifest.
        folder: where it lies, relative to the evidence root.
    """

    __tablename__ = "evidence_snapshot"

    snapshot_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(index=True)
    made_at: Mapped[datetime]
    versions: Mapped[dict[str, int]]
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    folder: Mapped[str] = mapped_column(Text)


class StreamShard(Base):
    """How far one shard of a DynamoDB or Kinesis stream has been read: the checkpoint.

    Attributes:
        source: `streams` or `kinesis`.
        parent_shard_id: of a Kinesis shard that two were merged into both, with a space between.
        sequence_number: last record whose rows are in the warehouse; NULL before the first.
        starting_sequence_number, ending_sequence_number: as DescribeStream gives them; the latter once it is closed.
        status: `open`, `closed` (ends, still to be read to its end), `drained` (read to its end) or `lost` (trimmed or
            gone before it was read to its end: there is a gap).
        read_until: everything that had happened by then was read: the time of a GetRecords answer that had no more.
        oldest_event_at: time of the oldest record read; from Kinesis when it arrived.
        newest_event_at: time of the newest one.
    """

    __tablename__ = "stream_shard"

    stream_arn: Mapped[str] = mapped_column(String(300), primary_key=True)
    shard_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    source: Mapped[str] = mapped_column(String(10))
    table_arn: Mapped[str] = mapped_column(String(300), index=True)
    parent_shard_id: Mapped[str | None] = mapped_column(String(100))
    starting_sequence_number: Mapped[str | None] = mapped_column(String(60))
    ending_sequence_number: Mapped[str | None] = mapped_column(String(60))
    sequence_number: Mapped[str | None] = mapped_column(String(60))
    status: Mapped[str] = mapped_column(String(10))
    first_seen_at: Mapped[datetime]
    read_until: Mapped[datetime | None]
    oldest_event_at: Mapped[datetime | None]
    newest_event_at: Mapped[datetime | None]

    @property
    def parents(self) -> list[str]:
        """The shards that it goes on for."""
        return (self.parent_shard_id or "").split()


class StreamGap(Base):
    """A span of a table's changes that no source has given: never skipped over, closed only by a verified export.

    Attributes:
        gap_id: SHA-256 of table, stream, shard, `after_sequence_number`, reason and start: the same gap is recorded
            once.
        starts_at, ends_at: bounds of what is missing, as wide as they must be, half-open.
        reason: `trimmed`, `lineage_hole`, `stream_replaced`, `never_read`, …
        status: `open`, `narrowed` or `closed`.
        remaining: what is still missing, pairs of ISO 8601 instants joined by `/`, ascending; empty when closed.
        repaired_by: ARNs of the exports that closed or narrowed it.
    """

    __tablename__ = "stream_gap"

    gap_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(String(10))
    table_arn: Mapped[str] = mapped_column(String(300), index=True)
    stream_arn: Mapped[str] = mapped_column(String(300))
    shard_id: Mapped[str | None] = mapped_column(String(100))
    after_sequence_number: Mapped[str | None] = mapped_column(String(60))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(String(40))
    explanation: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(10))
    remaining: Mapped[list[str] | None]
    repaired_by: Mapped[list[str] | None]
    noticed_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class PitrExport(Base):
    """One incremental export that Dynatrail asked for or took over.

    Attributes:
        export_arn: as AWS gives it.
        purpose: `repair` or `verify`.
        asked_for: the spans for which it was asked for, pairs of ISO 8601 instants joined by `/`, ascending; its window
            from `starts_at` to `ends_at` may be wider, as AWS exports no less than 15 minutes.
        client_token: of the request; NULL where the export was found and taken over.
        status: `requested`, `in_progress`, `completed` (by AWS), `loaded` (verified and in the warehouse), `refused`
            (failed, filtered or not what its manifest says).
        item_count: net changes in it; `loaded_rows`: those that no other source had given.
        error: why it was refused; of a loaded one, what keeps it from closing the gap.
        reason: why it was asked for, in the operator's or the gap's words.
        requested_by: who triggered the run; `automatic` for a recorded gap.
    """

    __tablename__ = "pitr_export"

    export_arn: Mapped[str] = mapped_column(String(300), primary_key=True)
    table_arn: Mapped[str] = mapped_column(String(300), index=True)
    purpose: Mapped[str] = mapped_column(String(10))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    asked_for: Mapped[list[str]]
    view_type: Mapped[str] = mapped_column(String(30))
    bucket: Mapped[str] = mapped_column(String(255))
    prefix: Mapped[str] = mapped_column(String(1024))
    client_token: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(Text)
    requested_by: Mapped[str] = mapped_column(String(250))
    requested_at: Mapped[datetime]
    item_count: Mapped[int | None] = mapped_column(BigInteger)
    loaded_rows: Mapped[int | None] = mapped_column(BigInteger)
    manifest_sha256: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(Text)


class ResourceVersion(Base):
    """The newest row of one resource and aspect that a snapshot table holds, so that equal ones are not repeated.

    Attributes:
        snapshot: `iam_snapshot`, `table_config` or `trail_config`.
        resource_name: name that a person knows it by.
        status: `present`, `gone` or `unreadable`.
        sha256: of the document; NULL when the resource is gone or unreadable.
        captured_at: of the row that holds it.
        previous_status, previous_sha256, previous_captured_at: the one before, so that a run taken again decides as it
            did.
    """

    __tablename__ = "resource_version"

    snapshot: Mapped[str] = mapped_column(String(20), primary_key=True)
    account_id: Mapped[str] = mapped_column(String(12), primary_key=True)
    region: Mapped[str] = mapped_column(String(40), primary_key=True)
    resource_arn: Mapped[str] = mapped_column(String(1200), primary_key=True)
    aspect: Mapped[str] = mapped_column(String(60), primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(60))
    resource_name: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(12))
    sha256: Mapped[str | None] = mapped_column(String(64))
    captured_at: Mapped[datetime]
    previous_status: Mapped[str | None] = mapped_column(String(12))
    previous_sha256: Mapped[str | None] = mapped_column(String(64))
    previous_captured_at: Mapped[datetime | None]


class SubjectKey(Base):
    """The data key of one subject, under which what is said of them is encrypted.

    Attributes:
        subject: the subject's token.
        wrapped_key: AES key wrap (RFC 3394) of 64 bytes, base64; NULL: erased, for good.
        erased_by, approved_by, reason: of an erasure; who ran it, who agreed, and why.
    """

    __tablename__ = "subject_key"

    subject: Mapped[str] = mapped_column(String(40), primary_key=True)
    wrapped_key: Mapped[str | None] = mapped_column(Text)
    made_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]
    erased_by: Mapped[str | None] = mapped_column(String(250))
    approved_by: Mapped[str | None] = mapped_column(String(250))
    reason: Mapped[str | None] = mapped_column(Text)
