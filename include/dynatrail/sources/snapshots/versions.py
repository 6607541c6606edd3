"""What a snapshot table holds of each resource: read before a look, brought up to date after its rows are written.

A run at an instant decides by what was known before that instant, never by what it may have written itself before it
was killed or cleared. So the same run twice writes the same rows, and rows that are there but not noted are repeated.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dynatrail.errors import StateError
from dynatrail.sources.snapshots.pieces import Key
from dynatrail.state import pending
from dynatrail.state.database import session
from dynatrail.state.models import ResourceVersion


@dataclass(frozen=True, slots=True)
class Place:
    """One snapshot table's part of one account and region (`global` for IAM)."""

    snapshot: str
    account_id: str
    region: str


@dataclass(frozen=True, slots=True)
class Known:
    """What was known of one resource and aspect."""

    resource_type: str
    resource_name: str | None
    status: str
    sha256: str | None


class SupersededError(StateError):
    """A later look has been noted already, so what is seen now cannot be told as of an earlier instant."""


def before(place: Place, captured_at: datetime) -> dict[Key, Known]:
    """What was known before `captured_at`, by ARN and aspect.

    Raises:
        SupersededError: a later look has been noted.
    """
    found: dict[Key, Known] = {}
    with session() as opened:
        for row in opened.scalars(_of(place)):
            key = (row.resource_arn, row.aspect)
            if row.captured_at > captured_at:
                raise SupersededError(
                    f"{place.snapshot} of {place.account_id} in {place.region} was looked at after "
                    f"{captured_at:%Y-%m-%d %H:%M} UTC already. Nothing was written; later runs hold what is missing."
                )
            if row.captured_at < captured_at:
                found[key] = Known(row.resource_type, row.resource_name, row.status, row.sha256)
            elif row.previous_captured_at is not None:
                found[key] = Known(
                    row.resource_type, row.resource_name, row.previous_status or "present", row.previous_sha256
                )
    return found


def note(place: Place, captured_at: datetime, rows: Iterable[Mapping[str, Any]], hours: Collection[datetime]) -> None:
    """Note the rows that a look at `captured_at` has written, and the hours that the next stage has to be told of."""
    written = {(row["resource_arn"], row["aspect"]): row for row in rows}
    with session() as opened:
        for version in opened.scalars(_of(place)).all():
            key = (version.resource_arn, version.aspect)
            row = written.pop(key, None)
            if version.captured_at == captured_at and row is None:
                # An earlier attempt of this run had written a row that this one did not: it counts as before.
                if version.previous_captured_at is None:
                    opened.delete(version)
                    continue
                version.captured_at, version.previous_captured_at = version.previous_captured_at, None
                version.status, version.previous_status = version.previous_status or "present", None
                version.sha256, version.previous_sha256 = version.previous_sha256, None
            elif row is not None:
                if version.captured_at != captured_at:
                    version.previous_captured_at = version.captured_at
                    version.previous_status, version.previous_sha256 = version.status, version.sha256
                version.captured_at = captured_at
                version.status, version.sha256 = row["status"], row["sha256"]
                version.resource_type, version.resource_name = row["resource_type"], row["resource_name"]
        opened.add_all(
            ResourceVersion(
                snapshot=place.snapshot,
                account_id=place.account_id,
                region=place.region,
                captured_at=captured_at,
                **{name: row[name] for name in _TAKEN},
            )
            for row in written.values()
        )
        pending.mark(opened, stage(place.snapshot), hours)


def stage(snapshot: str) -> str:
    """Under which name the hours wait that a snapshot table's readers were not told of yet."""
    return f"announce {snapshot}"


_TAKEN = ("resource_arn", "aspect", "resource_type", "resource_name", "status", "sha256")


def _of(place: Place) -> sa.Select[ResourceVersion]:
    return sa.select(ResourceVersion).where(
        ResourceVersion.snapshot == place.snapshot,
        ResourceVersion.account_id == place.account_id,
        ResourceVersion.region == place.region,
    )
