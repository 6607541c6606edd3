"""Builds `session`: who stands behind each temporary access key, from CloudTrail's events alone.

An hour's rows depend on events of other hours: the key of a console sign-in shows only when it is used, a chain of
roles may have begun days before, and an issuing event that comes late gives keys used since another beginning. So a
build reads a margin on both sides, and writes the neighbours of its hours too where their rows have become others.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dynatrail.clock import DAY, HOUR, by_date, hour_of
from dynatrail.trail import sessions_findings, sessions_issuing
from dynatrail.trail.sessions_issuing import CALLER, CALLER_PRINCIPAL
from dynatrail.warehouse import engine
from dynatrail.warehouse.digest import digest_batches
from dynatrail.warehouse.schema import SESSION

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from dynatrail.warehouse.store import Warehouse

SERVICE_USER = (
    r"(:user/(.*/)?(service|services|service-accounts|svc|machine|ci)/)|(/(svc|service|bot|ci)[-_.][^/]*$)"
    r"|([-_.](svc|service|bot|ci)$)"
)
"""IAM users that are programs: by a segment of their path, or how their name begins or ends. Only their class hangs on
it, never who they are."""

PUBLIC_PROVIDER = r"(accounts\.google\.com|graph\.facebook\.com|www\.amazon\.com|cognito-identity\.amazonaws\.com)/"
"""OpenID Connect providers of people at large; any other vouches for programs: build services, clusters."""

__all__ = [
    "CALLER",
    "CALLER_PRINCIPAL",
    "build",
    "caller_principals",
    "derive",
    "first_principals",
    "most_chained",
]

LONGEST = timedelta(hours=36)
"""No temporary credential lives longer: GetSessionToken and GetFederationToken, up to 36 hours (STS API reference)."""

CHAIN = timedelta(hours=72)
"""How far a chain is followed back: 36 hours of a first session, 12 of a role taken with it, and from then on one hour
each, as STS limits chained roles: room for 24 more links."""

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

AT_ONCE = timedelta(days=7)
"""Hours further apart than the margins are built by themselves, and long spans in parts of this length."""


def build(
    warehouse: "Warehouse",
    hours: Iterable[datetime],
    *,
    break_glass: Sequence[str] = (),
    about_to_change: Callable[[Collection[datetime]], None] = lambda _hours: None,
) -> int:
    """Replace the rows of `session` of these hours, and of neighbours in reach that have become others.

    What contradicts itself in them is stated as findings of the producer `sessions`.

    Args:
        warehouse: read and written.
        hours: instants; the UTC hour of each is rebuilt. Any order, gaps and repetitions allowed.
        break_glass: ARN patterns of roles and users for emergencies, with `*` and `?`.
        about_to_change: told the neighbours before they are written, and the hours in which keys made requests that
            begin with others now, so that what is derived from them is rebuilt.

    Returns:
        Rows written to `session`; 0 if every hour already held exactly these rows.

    Raises:
        WarehouseError: a table cannot be read or written. Run again; hours already done come out the same.
    """
    named = sorted({hour_of(hour) for hour in hours})
    written = 0
    for together in _spans(named):
        start, end = together[0] - LONGEST, together[-1] + HOUR + CHAIN
        rows = derive(warehouse, start, end, break_glass=break_glass)
        changed = _changed(warehouse, rows, start, end)
        # Who is behind a request hangs on the session of its key, which may have begun hours before.
        if neighbours := (changed | _used(warehouse, rows, changed)) - set(together):
            about_to_change(neighbours)
        for of_date in by_date(changed):
            written += _write(warehouse, rows, of_date, break_glass)
        # Of hours that came out the same too: a build that was killed in between has left its findings behind.
        sessions_findings.write(warehouse, changed.union(together))
    return written


def derive(warehouse: "Warehouse", start: datetime, end: datetime, *, break_glass: Sequence[str] = ()) -> pa.Table:
    """The rows of `session` that began in [start, end), whole hours; computed and not written, in the table's order."""
    with engine.connect(warehouse) as connection:
        back = {"start": start - CHAIN, "end": end + LONGEST}
        issuing = engine.run_file(connection, "trail/session_issuing.sql", **back)
        used = engine.run_file(connection, "trail/session_use.sql", **back)
        connection.register("issuing", sessions_issuing.issuing(issuing))
        connection.register("key_use", sessions_issuing.key_use(used))
        connection.register("break_glass", sessions_issuing.patterns(break_glass))
        rows = engine.run_file(
            connection,
            "trail/session.sql",
            start=start,
            end=end,
            service_user=SERVICE_USER,
            public_provider=PUBLIC_PROVIDER,
        )
    return rows.select(SESSION.schema.names).cast(SESSION.schema)


def first_principals(
    connection: "DuckDBPyConnection",
    callers: pa.Table,
    *,
    break_glass: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
) -> pa.Table:
    """Whom the callers of requests begin with: `sql/trail/first_principal.sql`, one row per row of `callers`.

    Args:
        connection: an engine over the warehouse.
        callers: `access_key_id`, `principal_type`, `principal_arn`, `session_issuer_arn`, `invoked_by` and
            `on_behalf_of_user_id` as in `api_event`, and a `caller_id` of your own that comes back; distinct ones are
            enough, as a key is one principal's for good.
        break_glass: as for `build`.
        start: of the half-open window in which all of them made requests, where it is known: no older session than one
            that may last until then is read. None: all are.
        end: of that window.

    Raises:
        WarehouseError: a column is missing.
    """
    connection.register("caller", callers)
    connection.register("break_glass", sessions_issuing.patterns(break_glass))
    try:
        return engine.run_file(
            connection,
            "trail/first_principal.sql",
            service_user=SERVICE_USER,
            sessions_from=hour_of(start - LONGEST) if start else EARLIEST,
            sessions_until=end or LATEST,
        )
    finally:
        connection.unregister("caller")
        connection.unregister("break_glass")


def caller_principals(
    connection: "DuckDBPyConnection", hours: Collection[datetime], *, break_glass: Sequence[str] = ()
) -> pa.Table:
    """The relation `CALLER_PRINCIPAL`: who signed the requests of hours of one date, and of an hour around each.

    Args:
        connection: an engine over the warehouse, with the relation `touched_hour` of these hours.
        hours: UTC hours, all of one date.
        break_glass: as for `build`.

    Raises:
        WarehouseError: a table cannot be read.
    """
    callers = engine.run_file(connection, "trail/callers.sql", start=min(hours) - HOUR, end=max(hours) + 2 * HOUR)
    # By the whole date, so that what is found does not depend on which of its hours are asked about together.
    midnight = min(hours).replace(hour=0)
    start, end = midnight - HOUR, midnight + DAY + HOUR
    found = first_principals(connection, callers, break_glass=break_glass, start=start, end=end)
    place = pc.index_in(callers["caller_id"], value_set=found["caller_id"].combine_chunks())
    named = found.select(["first_principal_arn", "first_principal_type", "principal_class"]).take(place)
    columns = {name: callers[name] for name in callers.column_names} | dict(zip(named.column_names, named, strict=True))
    return pa.table([columns[name] for name in CALLER_PRINCIPAL.names], schema=CALLER_PRINCIPAL)


def most_chained(connection: "DuckDBPyConnection", start: datetime, end: datetime) -> str | None:
    """Event id of the write in [start, end) by the session with the longest chain that keys prove from end to end.

    People's come before programs', then the first in time; None: no session that wrote anything has such a chain.

    Raises:
        WarehouseError: a table cannot be read.
    """
    rows = engine.run_file(
        connection, "report/most_chained_write.sql", start=start, end=end, sessions_from=hour_of(start - LONGEST)
    ).to_pylist()
    return rows[0]["event_id"] if rows else None


def _spans(hours: Sequence[datetime]) -> Iterator[list[datetime]]:
    """Hours whose margins meet, at most `AT_ONCE` long."""
    span: list[datetime] = []
    for hour in hours:
        if span and (hour - span[-1] > LONGEST or hour - span[0] >= AT_ONCE):
            yield span
            span = []
        span.append(hour)
    if span:
        yield span


def _changed(warehouse: "Warehouse", rows: pa.Table, start: datetime, end: datetime) -> set[datetime]:
    """The hours of [start, end) whose rows are not those of the table."""
    hour = pc.field("event_hour")
    present = warehouse.dataset(SESSION.name).to_table(filter=(hour >= start) & (hour < end))
    found = set(pc.unique(present["event_hour"]).to_pylist()) | set(pc.unique(rows["event_hour"]).to_pylist())
    return {one for one in found if _digest(present, one) != _digest(rows, one)}


def _used(warehouse: "Warehouse", rows: pa.Table, hours: Collection[datetime]) -> set[datetime]:
    """The hours in which keys made requests whose sessions, begun in `hours`, begin with others than the table has."""
    if not hours:
        return set()
    hour, began = pc.field("event_hour"), pc.field("event_hour").isin(sorted(hours))
    told = ["access_key_id", "first_principal_arn", "first_principal_type", "principal_class"]
    present = warehouse.dataset(SESSION.name).to_table(columns=told, filter=began)
    before, after = (
        {tuple(row.values()) for row in one.to_pylist()} for one in (present, rows.filter(began).select(told))
    )
    keys = sorted({key for key, *_ in before ^ after})
    span = (hour >= min(hours)) & (hour <= max(hours) + LONGEST)
    of_keys = pc.field("access_key_id").isin(pa.array(keys, pa.string()))
    used = warehouse.dataset("api_event").to_table(columns=["event_hour"], filter=span & of_keys) if keys else None
    return set(pc.unique(used["event_hour"]).to_pylist()) if used else set()


def _digest(rows: pa.Table, hour: datetime) -> str:
    return digest_batches(SESSION.name, rows.filter(pc.field("event_hour") == pa.scalar(hour)).to_batches())


def _write(warehouse: "Warehouse", rows: pa.Table, hours: list[datetime], break_glass: Sequence[str]) -> int:
    wanted = [rows]

    def current(_present: pa.Table) -> pa.Table:
        # When another build commits these hours first, the events are read again, so that the last commit is never
        # the one that saw the fewest.
        found = wanted.pop() if wanted else derive(warehouse, hours[0], hours[-1] + HOUR, break_glass=break_glass)
        return found.filter(pc.field("event_hour").isin(hours))

    return warehouse.replace(SESSION.name, current, hours=hours)
