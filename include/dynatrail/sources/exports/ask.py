"""Which exports to ask for: for every recorded gap by itself, or for what an operator names.

A gap is asked for once: the request's ClientToken follows from table and window, an export that was asked for is noted
and waited for by every later run, and one that exists already is taken over instead of paid for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dynatrail import clock, window
from dynatrail.config import Target
from dynatrail.errors import DynatrailError, ExportError, SettingsError, SourceError
from dynatrail.settings import Settings
from dynatrail.sources import targets
from dynatrail.sources.aws import client_for
from dynatrail.sources.exports import calls, places, windows
from dynatrail.sources.exports.places import Place
from dynatrail.sources.exports.windows import LONGEST, Plan, Span
from dynatrail.sources.streams.lineage import LAG
from dynatrail.state import exports as state
from dynatrail.state import streams
from dynatrail.state.models import StreamGap

MOST_ATTEMPTS = 3
"""Exports of one window that are paid for without anybody looking, when the ones before were refused."""


@dataclass(slots=True)
class Asked:
    """What a run waits for; small enough for XCom.

    Attributes:
        exports: ARNs of exports that are to be loaded.
        left: what stays as it is for now and why, a sentence each.
        failed: what could not be asked for, a sentence each.
    """

    exports: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Form:
    """What an operator filled in.

    Attributes:
        table: ARN or name.
        window: None where `export_arn` says it.
        requested_by: who triggered the run.
    """

    table: str
    account_id: str | None
    region: str | None
    window: Span | None
    export_arn: str | None
    reason: str
    requested_by: str

    @classmethod
    def read(cls, params: Mapping[str, Any], requested_by: str) -> "Form | None":
        """From the run's params; None when the form is empty.

        Raises:
            SettingsError: something is missing or wrong.
        """
        given = {name: str(value).strip() for name, value in params.items() if value not in (None, "")}
        if not given:
            return None
        arn = given.get("export")
        table = given.get("table") or (calls.table_of(arn) if arn else "")
        if not table:
            raise SettingsError("Name the table, by ARN or by name, or give the ARN of an export of it.")
        if not given.get("reason"):
            raise SettingsError("Give a reason: it is kept with the export, which costs money and copies data.")
        span = None
        if not arn or given.get("from") or given.get("to"):
            span = Span(*window.parse(given.get("from"), given.get("to")))
            if span.length > LONGEST:
                raise SettingsError(f"An export spans 24 hours at most, {span} is longer. Take it in parts.")
        return cls(
            table=table,
            account_id=given.get("account"),
            region=given.get("region"),
            window=span,
            export_arn=arn,
            reason=given["reason"],
            requested_by=requested_by,
        )


def for_gaps(settings: Settings) -> Asked:
    """Ask for exports of every gap that recovery reaches; also gives those that earlier runs asked for.

    One table's trouble does not keep another's gaps open.

    Raises:
        SettingsError: the configuration is wrong.
        SourceError: nothing at all can be reached.
    """
    asked = Asked(exports=[row.export_arn for row in state.of(purpose="repair", statuses=state.UNFINISHED)])
    by_table: dict[str, list[StreamGap]] = {}
    for gap in streams.gaps(unrepaired=True):
        by_table.setdefault(gap.table_arn, []).append(gap)
    if not by_table:
        return asked
    known = targets.of(settings)
    for table_arn, gaps in sorted(by_table.items()):
        try:
            _ask_for_gaps(settings, known, table_arn, gaps, asked)
        except (SettingsError, calls.TableGoneError) as error:
            # Nothing that trying again could change; a run that is red for ever tells nobody anything.
            asked.left.append(f"{table_arn}: {error}")
        except DynatrailError as error:
            asked.failed.append(f"{table_arn}: {error}")
    return asked


def for_form(settings: Settings, form: Form, purpose: str) -> Asked:
    """Ask for the exports of what an operator named, or take over the one that they named.

    Raises:
        SettingsError: table, account, region or bucket are not known.
        SourceError: AWS refuses, recovery does not reach the window, or the streams were not read so far yet.
        ExportError: the named export cannot show every change.
    """
    place = places.named(settings, form.table, form.account_id, form.region)
    if form.export_arn:
        described = calls.describe(place.dynamodb, form.export_arn)
        if reason := described.unfit(place.table_arn):
            raise ExportError(f"The export {form.export_arn} cannot be used. {reason}")
        assert described.window is not None
        span = form.window or described.window
        if not described.window.covers(span):
            raise SettingsError(f"The export spans {described.window}, not all of {span}.")
        _must_be_read(place.table_arn, described.window.end)
        known = [row for row in state.of(tables=[place.table_arn]) if row.export_arn == described.arn]
        # One that is loaded again for what it was asked for before stays asked for that.
        again = form.window is None and any(row.purpose == purpose for row in known)
        _note(place, purpose, described, [] if again else [span], form.reason, form.requested_by)
        return Asked(exports=[described.arn])
    assert form.window is not None
    if not place.bucket:
        raise SettingsError("No bucket is named for exports. Set `exports.bucket` in the configuration.")
    reach = _reach(place)
    plans, outside = windows.plan([form.window], reach)
    if outside:
        raise SourceError(
            f"Point-in-time recovery of {place.table_arn} reaches {reach}; {_listed(outside)} lies outside. The latest "
            "5 minutes come in reach by themselves; what is older than its period is gone."
        )
    _must_be_read(place.table_arn, plans[-1].window.end)
    return Asked(exports=[_ask(place, purpose, plan, form.reason, form.requested_by) for plan in plans])


def refresh(settings: Settings, export_arn: str) -> bool:
    """Whether AWS is done with an export, well or not; notes what it says.

    Raises:
        SourceError: AWS refuses or throttles.
    """
    target = places.target_of(settings, calls.table_of(export_arn))
    status = calls.describe(client_for("dynamodb", target, settings), export_arn).status
    if status == "IN_PROGRESS":
        state.seen(export_arn, "in_progress")
        return False
    if status == "COMPLETED":
        state.seen(export_arn, "completed")
    return True


def _ask_for_gaps(
    settings: Settings, known: Sequence[Target], table_arn: str, gaps: Sequence[StreamGap], asked: Asked
) -> None:
    place = places.of(settings, known, table_arn)
    missing = [Span.read(text) for gap in gaps for text in gap.remaining or ()]
    # What is asked for already is waited for; what was loaded with lines left out needs a person.
    underway = [
        Span(row.starts_at, row.ends_at)
        for row in state.of(tables=[table_arn])
        if row.purpose == "repair" and (row.status in state.UNFINISHED or (row.status == "loaded" and row.error))
    ]
    missing = windows.without(missing, underway)
    if not missing:
        return
    if not place.bucket:
        asked.left.append(
            f"{table_arn}: {_listed(missing)} is missing, and no bucket is named for exports. Set `exports.bucket`."
        )
        return
    reach = calls.reach(place.dynamodb, table_arn)
    if reach is None:
        asked.left.append(
            f"{table_arn}: {_listed(missing)} is missing, and point-in-time recovery is off, so nothing can give it. "
            "Turn it on for the next time."
        )
        return
    ready = [span for span in missing if span.end <= reach.end]
    if early := [span for span in missing if span.end > reach.end]:
        asked.left.append(f"{table_arn}: {_listed(early)} is not in reach of recovery yet; a later run asks for it.")
    plans, outside = windows.plan(ready, reach)
    if outside:
        asked.left.append(
            f"{table_arn}: {_listed(outside)} is older than recovery reaches ({reach}). It stays missing."
        )
    for plan in plans:
        if waits := _unread(table_arn, plan.window.end):
            asked.left.append(f"{table_arn}: {waits}")
            continue
        reasons = sorted({f"{gap.reason}: {gap.explanation}" for gap in gaps if _meets(gap, plan)})
        try:
            asked.exports.append(_ask(place, "repair", plan, " ".join(reasons), "automatic"))
        except ExportError as error:
            asked.failed.append(str(error))


def _ask(place: Place, purpose: str, plan: Plan, reason: str, requested_by: str) -> str:
    """The ARN of an export of the plan's window: one that is there, or a new one."""
    refused = state.of(tables=[place.table_arn], statuses=("refused",))
    same = [row for row in refused if (row.starts_at, row.ends_at) == (plan.window.start, plan.window.end)]
    if requested_by == "automatic" and len(same) >= MOST_ATTEMPTS:
        raise ExportError(
            f"{len(same)} exports of {place.table_arn} over {plan.window} were refused, the last because: "
            f"{same[-1].error} No further one is paid for by itself; trigger repair_changes with the window once the "
            "cause is gone."
        )
    described = calls.usable(
        place.dynamodb,
        place.table_arn,
        plan.window,
        bucket=place.bucket,
        besides={row.export_arn for row in refused},
    )
    token = None
    if described is None:
        token = calls.token(place.table_arn, plan.window, place.bucket, place.prefix, len(same))
        described = calls.request(place.dynamodb, place.table_arn, plan.window, place.bucket, place.prefix, token)
    _note(place, purpose, described, plan.spans, reason, requested_by, token)
    return described.arn


def _note(
    place: Place,
    purpose: str,
    described: calls.Described,
    spans: Iterable[Span],
    reason: str,
    requested_by: str,
    token: str | None = None,
) -> None:
    assert described.window is not None
    state.note(
        state.AskedExport(
            export_arn=described.arn,
            table_arn=place.table_arn,
            purpose=purpose,
            starts_at=described.window.start,
            ends_at=described.window.end,
            asked_for=[str(span) for span in spans],
            view_type=calls.VIEW,
            bucket=described.bucket,
            prefix=described.prefix,
            client_token=token,
            reason=reason,
            requested_by=requested_by[:250],
        )
    )


def _reach(place: Place) -> Span:
    reach = calls.reach(place.dynamodb, place.table_arn)
    if reach is None:
        raise SourceError(
            f"Point-in-time recovery of {place.table_arn} is off, so there is nothing to export. Turn it on for the "
            "next time: it reaches back to the moment when it was."
        )
    return reach


def _must_be_read(table_arn: str, until: datetime) -> None:
    if waits := _unread(table_arn, until):
        raise SourceError(waits)


def _unread(table_arn: str, until: datetime) -> str | None:
    """Why what the table's streams gave up to `until` is not all there yet, as a sentence; None if it is.

    What a stream is still to give must not be taken for missing.
    """
    by_stream: dict[str, list[Any]] = {}
    for row in streams.shards(tables=[table_arn]):
        by_stream.setdefault(row.stream_arn, []).append(row)
    for stream_arn, own in sorted(by_stream.items()):
        if not any(row.status in ("open", "closed") for row in own):
            continue
        point = streams.read_point(own)
        if point is None or point < until + LAG:
            so_far = f"up to {clock.iso(point)}" if point else "not at all"
            return (
                f"The stream {stream_arn} was read {so_far}, the export would end at {clock.iso(until)}. Let "
                "the DAG that reads it run first: what it will still give is not missing."
            )
    return None


def _meets(gap: StreamGap, plan: Plan) -> bool:
    return Span(gap.starts_at, gap.ends_at).meets(plan.window)


def _listed(spans: Sequence[Span]) -> str:
    shown = ", ".join(str(span) for span in spans[:3])
    return shown if len(spans) <= 3 else f"{shown} and {len(spans) - 3} more spans"  # noqa: PLR2004
