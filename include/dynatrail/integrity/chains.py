"""Chains of digests: how each hangs on the one before, which ones are missing, and what time is covered.

A digest is made every hour at the same minute, so a lost one's name is known. What is absent is lost, may still come
(for a day: CloudTrail redelivers, out of order), or was never made because the trail did not log with validation then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dynatrail.clock import HOUR, iso
from dynatrail.integrity.chain_ends import configured, head_floor, tail
from dynatrail.integrity.digest_content import REASONS, ChainId, Digest, place
from dynatrail.integrity.stretches import BEGINNING, Cover, Stretch, painted
from dynatrail.integrity.walking import (
    SLACK,
    ChainState,
    Lost,
    Off,
    View,
    Walk,
    backward,
    forward,
    lose,
    note_lost,
    told,
)
from dynatrail.integrity.words import DigestStatus, Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One chain as verified.

    Attributes:
        states: what is to be said of it, sorted; `(valid,)` where all is well.
        stretches: in order, without overlap, over all time.
        digests: count by `trail_digest.status`.
        lost: runs of digests that are gone.
        off: spans in which none were made, on purpose.
    """

    id: ChainId
    states: tuple[ChainState, ...]
    stretches: tuple[Stretch, ...]
    digests: Mapping[str, int]
    lost: tuple[Lost, ...] = ()
    off: tuple[Off, ...] = ()


def walk(id_: ChainId, digests: Sequence[Digest], view: View) -> tuple[Chain, list[Digest]]:
    """Link the digests of one chain (sorted by end), and find those that are missing.

    Sets `link` and reasons in `digests`; returns the chain and a digest for each missing one. A digest whose status is
    `missing` already is one that was there once.
    """
    state = Walk(id_, view, list(digests))
    state.spans = sorted(
        (
            span
            for span in view.spans
            if (span.trail_name, span.home_region) == (id_.trail_name, id_.home_region)
            and span.validation
            and (span.account_ids is None or id_.account_id in span.account_ids)
        ),
        key=lambda span: span.start or BEGINNING,
    )
    anchors = [one for one in digests if one.status in {DigestStatus.VALID, DigestStatus.MISSING}]
    before: Digest | None = None
    for one in anchors:
        if one.status is DigestStatus.VALID:
            _link(state, one, before)
        before = one
    # What nobody signed has no tail: anybody can put an object there that nobody may read.
    open_from = tail(state, before) if before else BEGINNING
    return _chain(state, anchors, open_from), state.missing


def _link(state: Walk, one: Digest, before: Digest | None) -> None:
    if one.previous_uri is None:
        _begin(state, one, before)
        return
    previous = state.view.by_uri.get(one.previous_uri)
    if previous is not None and previous.status is DigestStatus.VALID:
        if (previous.sha256, previous.signature) == (one.previous_sha256, one.previous_signature):
            one.link = Link.LINKED
            _bridge(state, one, previous)
        else:
            one.link = Link.BROKEN
            one.settle(DigestStatus.INVALID, "previous_differs")
        return
    if previous is not None and previous.status in {DigestStatus.INVALID, DigestStatus.UNREAD}:
        fits = previous.sha256 is not None and previous.sha256 == one.previous_sha256
        unread = previous.status is DigestStatus.UNREAD
        one.link = Link.LINKED if fits and unread else None if unread else Link.BROKEN
        _note(one, "previous_unread" if unread and not fits else None if unread else "previous_invalid")
        return
    named = place(one.previous_uri)
    if previous is None and named is not None and named[0] != state.id:
        one.link = Link.FIRST
        _note(one, "other_bucket")
        return
    if previous is None and named is not None and named[1] < state.view.since:
        if one.link is None:  # else it is known from when the one before was read
            _note(one, "previous_not_read")
        return
    older = [other.end for other in state.digests if other.status is DigestStatus.VALID and other.end < one.end]
    head = not older
    one.link = Link.TRUNCATED_HEAD if head else Link.BROKEN
    _note(one, "previous_missing" if previous is None else "removed")
    last = named[1] if named else one.start or one.end
    floor = max(older) if older else head_floor(state, last)
    lose(state, backward(state, last, floor), "head" if head else "middle", one.uri, "previous_missing")


def _begin(state: Walk, one: Digest, before: Digest | None) -> None:
    """A digest that names none before: CloudTrail began there, for a reason that configuration must tell."""
    start = one.start or one.end - HOUR
    if before is None:
        # AWS signed that none was before: an account or region may join a trail that logs since long.
        one.link = Link.FIRST
        began = next((s for s in state.spans if s.start and abs(s.start - start) <= HOUR), None)
        text = f"Trail {state.id.trail_name} makes digests since {iso(start)} only"
        text += f" ({told(began.began)})." if began and began.began else "."
        state.marks.append(Stretch(BEGINNING, start, Cover.OFF, "before_validation", text))
        return
    edges = [
        edge
        for span in state.spans
        for edge in (span.start, span.end)
        if edge is not None and before.end - HOUR - SLACK <= edge <= start + SLACK
    ]
    if not edges:
        one.link = Link.BROKEN
        _note(one, "restart_unexplained")
        dues = forward(before.end, start)
        lose(state, dues, "restart", one.uri, "restart_unexplained", at=(before.end, start))
        return
    one.link = Link.RESTARTED
    state.states.add(ChainState.GAP_BY_CONFIGURATION)
    configured(state, before.end, start, one.uri)


def _bridge(state: Walk, one: Digest, previous: Digest) -> None:
    """Between two linked digests nothing is open, even should their windows not touch."""
    if one.start is not None and previous.end < one.start:
        state.marks.append(Stretch(previous.end, one.start, Cover.VALID))


def _note(one: Digest, code: str | None) -> None:
    one.reason_code, one.reason = code, REASONS[code] if code else None


_COVER = {
    DigestStatus.VALID: Cover.VALID,
    DigestStatus.INVALID: Cover.INVALID,
    DigestStatus.MISSING: Cover.MISSING,
    DigestStatus.PENDING: Cover.PENDING,
    DigestStatus.UNREAD: Cover.UNREAD,
}


_CODE = {Cover.INVALID: "digest_invalid", Cover.MISSING: "digest_missing", Cover.PENDING: "digest_pending"}


def _chain(state: Walk, anchors: Sequence[Digest], open_from: datetime) -> Chain:
    for one in anchors:
        if one.status is DigestStatus.MISSING:
            one.link = None
            one.settle(DigestStatus.MISSING, "removed")
    _note_removed(state, anchors)
    everything = [*state.digests, *state.missing]
    marks = list(state.marks)
    for one in everything:
        cover = _COVER[one.status]
        code = one.reason_code if cover is Cover.UNREAD else _CODE.get(cover)
        where = one.uri or f"of {iso(one.end)}"
        reason = None if cover is Cover.VALID else f"Digest {where} is {one.status.value}: {one.reason}"
        marks.append(Stretch(one.start or one.end - HOUR, one.end, cover, code, reason))
    # What nobody signed does not tell how far the chain reaches.
    solid = [one.end for one in everything if one.status not in {DigestStatus.INVALID, DigestStatus.UNREAD}]
    stretches = painted(marks, max([open_from, *solid]))
    counts: dict[str, int] = {}
    for one in everything:
        counts[one.status.value] = counts.get(one.status.value, 0) + 1
    states = state.states | _states(state, everything)
    return Chain(
        id=state.id,
        states=tuple(sorted(states)) or (ChainState.VALID,),
        stretches=stretches,
        digests=dict(sorted(counts.items())),
        lost=tuple(sorted(state.lost, key=lambda lost: (lost.start, lost.end, lost.where))),
        off=tuple(state.off),
    )


def _note_removed(state: Walk, anchors: Sequence[Digest]) -> None:
    """Runs of digests that were there once and that no other digest misses."""
    runs: list[list[Digest]] = []
    for one in anchors:
        if one.status is not DigestStatus.MISSING or any(lost.start < one.end <= lost.end for lost in state.lost):
            continue
        if runs and one.end - runs[-1][-1].end <= HOUR + SLACK:
            runs[-1].append(one)
        else:
            runs.append([one])
    for run in runs:
        note_lost(state, [(one.end, one.uri) for one in run], _place_of(run[0], anchors), None, None)


def _place_of(one: Digest, anchors: Sequence[Digest]) -> str:
    valid = [other.end for other in anchors if other.status is DigestStatus.VALID]
    if not valid or one.end > max(valid):
        return "tail"
    return "head" if one.end < min(valid) else "middle"


def _states(state: Walk, everything: Sequence[Digest]) -> set[ChainState]:
    found = set()
    where = {lost.where for lost in state.lost}
    broken = any(one.link is Link.BROKEN and one.reason_code != "previous_missing" for one in everything)
    if broken or where & {"middle", "restart"}:
        found.add(ChainState.BROKEN)
    if any(one.status is DigestStatus.PENDING for one in everything):
        found.add(ChainState.PENDING_REDELIVERY)
    if "head" in where:
        found.add(ChainState.TRUNCATED_HEAD)
    if "tail" in where:
        found.add(ChainState.TRUNCATED_TAIL)
    if any(one.status is DigestStatus.INVALID for one in everything):
        found.add(ChainState.INVALID)
    return found


__all__ = ["Chain", "ChainState", "Cover", "walk"]
