"""Where chains begin, pause and end: how much is lost there, and what configuration explains."""

from datetime import datetime, timedelta
from itertools import pairwise

from dynatrail.clock import DAY, HOUR, iso
from dynatrail.integrity.digest_content import BACKFILL, Digest
from dynatrail.integrity.stretches import BEGINNING, Cover, Stretch
from dynatrail.integrity.trail_facts import TrailFacts
from dynatrail.integrity.walking import (
    OVERDUE,
    SLACK,
    ChainState,
    Walk,
    add,
    back,
    forward,
    lose,
    lose_named,
    span_at,
    switch_off,
)
from dynatrail.integrity.words import DigestStatus


def configured(state: Walk, first: datetime, last: datetime, shown_by: str | None) -> None:
    """A gap that configuration explains: what of it the trail logged in is lost all the same."""
    moment = first
    for span in state.spans:
        begin, end = max(span.start or BEGINNING, first), min(span.end or last, last)
        if end <= begin:
            continue
        if begin > moment:
            switch_off(state, moment, begin)
        if end >= last - SLACK and begin > first:
            dues = [(due, True) for due in back(last, begin)]
        else:
            dues = [(due, begin <= first) for due in forward(begin, end)]
            stopped = span.ended is not None and span.ended.event_name == "StopLogging"
            if stopped and end - (dues[-1][0] if dues else begin) > SLACK:
                dues.append((end, False))  # the last digest of a trail that stops; its name holds seconds not known
        lose_named(state, dues, "middle", shown_by)
        moment = max(moment, end)
    if last - moment > timedelta(0):
        switch_off(state, moment, last)


def tail(state: Walk, last: Digest) -> datetime:
    """What must have come after the newest digest; returns from when on nothing is due yet."""
    view = state.view
    if state.id.kind == BACKFILL:
        return last.end
    if view.named_elsewhere.get(last.uri or "", state.id) != state.id:
        _mark_off_elsewhere(state, last)
        return last.end
    facts = next(
        (f for f in view.facts if (f.trail_name, f.home_region) == (state.id.trail_name, state.id.home_region)), None
    )
    stop, resumed = _ending(state, last.end, facts)
    present = {one.uri for one in state.digests}
    dues, due = [], last.end + HOUR
    while due <= view.until and (stop is None or due <= stop):
        dues.append(due)
        due += HOUR
    absent = [due for due in dues if state.id.uri(due) not in present]
    if not absent or absent[0] + OVERDUE >= view.until:
        # The next one is not overdue; what is due but present was not valid, and is told of by itself.
        dues = [due for due in dues if state.id.uri(due) in present and due < (absent or [view.until])[0]]
        absent = []
    delivered = facts.latest_digest_delivery_time if facts else None
    # The time is that of any region's newest digest, so an hour of it is no proof of another region's.
    proven = facts is None or (delivered is not None and any(due + HOUR <= delivered for due in absent))
    certain = {
        due for due in absent if view.until - due >= DAY or (proven and (delivered is None or due <= delivered + SLACK))
    }
    lose(state, sorted(certain), "tail", last.uri, "tail_missing", await_=False)
    absent = [due for due in absent if due in certain or due + OVERDUE < view.until]
    for waiting in [due for due in absent if due not in certain]:
        add(state, waiting, state.id.uri(waiting), DigestStatus.PENDING, "awaited")
    if stop is not None and view.until > stop:
        span = span_at(state, stop - timedelta(microseconds=1))
        final = span is not None and span.ended is not None and span.ended.event_name == "StopLogging"
        newest = max([last.end, *dues])
        if final and stop - newest > SLACK and view.until - stop > 2 * HOUR:
            lose_named(state, [(stop, False)], "tail", last.uri)
        state.states.add(ChainState.GAP_BY_CONFIGURATION)
        switch_off(state, max(stop, newest), resumed)
    if resumed is None:
        return max([last.end, *absent])
    # The chain begins anew at a minute that nobody knows yet.
    anew = [due for due in forward(resumed, view.until) if due + OVERDUE < view.until]
    lose_named(state, [(due, False) for due in anew], "tail", last.uri)
    return max([resumed, *anew])


def _stop(state: Walk, after: datetime) -> datetime | None:
    """When the trail stopped to make digests for good, as far as is known; None: it goes on, or nobody knows."""
    if not state.spans or any(span.end is None for span in state.spans):
        return None
    stop = max(span.end for span in state.spans if span.end is not None)
    return max(stop, after) if after <= stop + HOUR + SLACK else None  # a digest after it: the trail logs again


def _ending(state: Walk, after: datetime, facts: TrailFacts | None) -> tuple[datetime | None, datetime | None]:
    """When the trail stopped to make digests at or after the newest one, and when it began anew since."""
    if again := _resumed(state, after):
        return max(again[0], after), again[1]
    stop = _stop(state, after)
    delivered = facts.latest_digest_delivery_time if facts is not None and facts.is_logging else None
    if stop is not None and delivered is not None and stop + 2 * HOUR < delivered <= state.view.until + 2 * HOUR:
        # Whoever deletes digests could forge the StopLogging that explains it. What AWS says is of now, and no word of
        # windows of long ago: the trail may have begun anew since.
        stop = None
    return (after if stop is None and facts is not None and facts.is_logging is False else stop), None


def _resumed(state: Walk, after: datetime) -> tuple[datetime, datetime] | None:
    """When the trail stopped at about the newest digest, and began anew since; None: it did not."""
    for one, other in pairwise(state.spans):
        if one.end is not None and other.start is not None and after - SLACK <= other.start:
            return one.end, other.start
    return None


def _mark_off_elsewhere(state: Walk, last: Digest) -> None:
    text = f"Trail {state.id.trail_name} delivers to another bucket or folder since {iso(last.end)}."
    state.marks.append(Stretch(last.end, None, Cover.OFF, "other_bucket", text))


def head_floor(state: Walk, last: datetime) -> datetime:
    """How far back a lost head reaches: to what configuration, or else the oldest known delivery or digest, tells."""
    span = span_at(state, last - timedelta(seconds=1))
    known = state.view.known_since.get((state.id.account_id, state.id.region))
    if span is not None and span.start is not None:
        floor = max(span.start - SLACK, state.view.since)  # the first digest may cover a few minutes only
    elif known is not None:
        floor = max(known, state.view.since)
    else:
        floor = last - HOUR
    return min([floor, *(one.end - HOUR for one in state.digests if one.status is DigestStatus.MISSING)])
