"""Exports that were asked for, and the gaps that they close.

Order matters: rows are written to the warehouse first, then `loaded()` is told; it closes gaps, marks hours and notes
the export in one transaction. A run that dies before it loads the same export again, and its rows replace themselves.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from dynatrail.clock import now
from dynatrail.errors import StateError
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.models import PitrExport, StreamGap

UNFINISHED = ("requested", "in_progress", "completed")


@dataclass(frozen=True, slots=True)
class AskedExport:
    """An export that is to be waited for; the fields are those of `PitrExport`."""

    export_arn: str
    table_arn: str
    purpose: str
    starts_at: datetime
    ends_at: datetime
    asked_for: Sequence[str]
    view_type: str
    bucket: str
    prefix: str
    client_token: str | None
    reason: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class LoadedExport:
    """What came of an export; the fields are those of `PitrExport`.

    Attributes:
        error: what keeps it from closing a gap, None if nothing does.
    """

    export_arn: str
    item_count: int
    loaded_rows: int
    manifest_sha256: str
    error: str | None = None


def get(export_arn: str, *, url: str | None = None) -> PitrExport:
    """One export.

    Raises:
        StateError: it was never noted.
    """
    with session(url) as opened:
        row = opened.get(PitrExport, export_arn)
    if row is None:
        raise StateError(
            f"The state database does not know the export {export_arn}. Was the database replaced during the run? "
            "Trigger the DAG again with this export's ARN."
        )
    return row


def of(
    *,
    tables: Collection[str] = (),
    purpose: str | None = None,
    statuses: Collection[str] = (),
    url: str | None = None,
) -> list[PitrExport]:
    """The exports of these tables (ARNs; empty: all) in these states (empty: all), by ARN."""
    query = sa.select(PitrExport).order_by(PitrExport.export_arn)
    if tables:
        query = query.where(PitrExport.table_arn.in_(tables))
    if purpose:
        query = query.where(PitrExport.purpose == purpose)
    if statuses:
        query = query.where(PitrExport.status.in_(statuses))
    with session(url) as opened:
        return list(opened.scalars(query))


def note(asked: AskedExport, *, url: str | None = None) -> None:
    """Note an export that is to be waited for and used, also one that was used or refused before.

    What a repair asked for before stays part of it, so that a load taken again decides as the first one did. An export
    that repairs is not changed by being verified against.
    """
    with session(url) as opened:
        row = opened.get(PitrExport, asked.export_arn, with_for_update=True)
        if row is not None and (row.purpose, asked.purpose) == ("repair", "verify"):
            return
        before = row.asked_for if row is not None and row.purpose == asked.purpose else ()
        spans = sorted({*asked.asked_for, *before})
        if row is None:
            opened.add(
                PitrExport(
                    export_arn=asked.export_arn,
                    table_arn=asked.table_arn,
                    purpose=asked.purpose,
                    starts_at=asked.starts_at,
                    ends_at=asked.ends_at,
                    asked_for=spans,
                    view_type=asked.view_type,
                    bucket=asked.bucket,
                    prefix=asked.prefix,
                    client_token=asked.client_token,
                    status="requested",
                    reason=asked.reason,
                    requested_by=asked.requested_by,
                    requested_at=now(),
                )
            )
            return
        row.asked_for = spans
        row.purpose = asked.purpose
        row.status = "requested"
        row.reason, row.requested_by = asked.reason, asked.requested_by


def seen(export_arn: str, status: str, *, url: str | None = None) -> None:
    """Note what AWS says of an export that is waited for: `in_progress` or `completed`."""
    with session(url) as opened:
        opened.execute(
            sa.update(PitrExport)
            .where(PitrExport.export_arn == export_arn, PitrExport.status.in_(UNFINISHED))
            .values(status=status)
        )


def refused(export_arn: str, error: str, *, url: str | None = None) -> None:
    """Note why an export is not used; no gap changes. `error` must carry no item's value."""
    with session(url) as opened:
        opened.execute(
            sa.update(PitrExport)
            .where(PitrExport.export_arn == export_arn)
            .values(status="refused", error=error[:4000])
        )


def loaded(
    done: LoadedExport,
    *,
    closes: Mapping[str, Callable[[Sequence[str]], Sequence[str]]] | None = None,
    rebuild: Mapping[str, Collection[datetime]] | None = None,
    url: str | None = None,
) -> None:
    """Note that the rows of an export are in the warehouse, in one transaction with all that follows from it.

    Args:
        done: what was loaded.
        closes: gap -> from what of it is missing to what still is, both as `StreamGap.remaining`. It is asked here, as
            a gap may have grown while its export was loaded.
        rebuild: stage -> hours that it must rebuild.
        url: of the state database.
    """
    with session(url) as opened:
        for gap_id, rest in sorted((closes or {}).items()):
            gap = opened.get(StreamGap, gap_id, with_for_update=True)
            if gap is None:
                continue
            gap.repaired_by = [*dict.fromkeys([*(gap.repaired_by or ()), done.export_arn])]
            gap.remaining = list(rest(gap.remaining or ()))
            if gap.remaining:
                gap.status = "narrowed"
            elif gap.status != "closed":
                gap.status, gap.closed_at = "closed", now()
        values = {name: value for name, value in asdict(done).items() if name != "export_arn"}
        opened.execute(
            sa.update(PitrExport).where(PitrExport.export_arn == done.export_arn).values(status="loaded", **values)
        )
        for stage, hours in sorted((rebuild or {}).items()):
            pending.mark(opened, stage, hours)
