"""Hours that a stage still has to rebuild, kept until it has.

An asset event can be lost between the commit that touched an hour and its announcement (a killed worker). So the hours
are noted in the same transaction as the ledger entry that made them due; the event only wakes the next stage early.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dynatrail.state.database import session
from dynatrail.state.models import PendingHour

BUILD, PROVE = "build_trail", "prove_trail"
"""The stages that read what the sources wrote, by the names of their DAGs."""

TIMELINE = "build_audit_record"
"""The last step of `build_trail` alone: hours whose findings, alarms, throttling, snapshots or privacy events changed.
Sessions and attribution do not hang on those. Whoever writes such rows marks their hours before, lest a crash in
between leave the timeline behind, and again after, lest a build in between take what it did not see for done."""


def touched(hours: Collection[datetime]) -> dict[str, Collection[datetime]]:
    """Stage -> hours that it must rebuild, where rows of `api_event` or `item_change` of these hours changed."""
    return {BUILD: hours, PROVE: hours}


def mark(opened: Session, stage: str, hours: Collection[datetime]) -> None:
    """Note, within the caller's transaction, that `stage` must rebuild these hours."""
    if not hours:
        return
    insert = sqlite.insert if opened.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = insert(PendingHour).on_conflict_do_update(
        index_elements=["stage", "event_hour"], set_={"marks": insert(PendingHour).excluded.marks}
    )
    # Not a count: an hour that another worker finished and that became due again would have the count it had before.
    opened.execute(
        statement, [{"stage": stage, "event_hour": hour, "marks": secrets.randbits(31)} for hour in sorted(hours)]
    )


def make_due(stage: str, hours: Collection[datetime], url: str | None = None) -> dict[datetime, int]:
    """Note that `stage` must rebuild these hours; what to give to `done` for those that were not due already."""
    marked = {hour: secrets.randbits(31) for hour in sorted(hours)}
    with session(url) as opened:
        query = sa.select(PendingHour.event_hour).where(PendingHour.stage == stage)
        for hour in opened.scalars(query):
            marked.pop(hour, None)
        if marked:
            insert = sqlite.insert if opened.get_bind().dialect.name == "sqlite" else postgresql.insert
            rows = [{"stage": stage, "event_hour": hour, "marks": number} for hour, number in marked.items()]
            # Whoever marks the same hour meanwhile keeps their mark, so that `done` with this one leaves the hour due.
            opened.execute(insert(PendingHour).on_conflict_do_nothing(), rows)
    return marked


def hours(stage: str, url: str | None = None) -> list[datetime]:
    """The hours that `stage` still has to rebuild, in order."""
    with session(url) as opened:
        query = sa.select(PendingHour.event_hour).where(PendingHour.stage == stage).order_by(PendingHour.event_hour)
        return list(opened.scalars(query))


@contextmanager
def working(stage: str, named: Collection[datetime], url: str | None = None) -> Iterator[set[datetime]]:
    """Rebuild hours: yields the named ones and all pending ones; on success those are no longer pending.

    An hour that is marked again meanwhile stays pending, for its new rows may have come too late to be seen.
    """
    before = seen(stage, url)
    yield set(named) | before.keys()
    done(stage, before, url)


def seen(stage: str, url: str | None = None) -> dict[datetime, int]:
    """The hours that `stage` still has to rebuild, and what tells whether one became due again: for `done`."""
    with session(url) as opened:
        query = sa.select(PendingHour.event_hour, PendingHour.marks).where(PendingHour.stage == stage)
        return {row.event_hour: row.marks for row in opened.execute(query)}


def done(stage: str, before: Mapping[datetime, int], url: str | None = None) -> None:
    """Note that these hours are no longer due, as far as they were not marked again since `seen`."""
    with session(url) as opened:
        for hour, marks in before.items():
            opened.execute(
                sa.delete(PendingHour).where(
                    PendingHour.stage == stage, PendingHour.event_hour == hour, PendingHour.marks == marks
                )
            )
