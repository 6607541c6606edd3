"""The command line: `python -m dynatrail COMMAND`. One module a command; heavy imports wait until one is chosen."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dynatrail.errors import DynatrailError

app = typer.Typer(
    name="dynatrail",
    help="The audit trail that Amazon DynamoDB lacks. Settings: DYNATRAIL_… variables, docs/reference/settings.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
export_app = typer.Typer(help="Write the trail in formats that others read.", no_args_is_help=True)
app.add_typer(export_app, name="export")

From = Annotated[str, typer.Option("--from", help="Start, UTC, inclusive: 2026-11-01 or 2026-11-01T03:00:00Z.")]
To = Annotated[str, typer.Option("--to", help="End, UTC, exclusive.")]


def main() -> None:
    """Run the command line; what Dynatrail raises on purpose is told in one sentence, with exit code 1."""
    try:
        app()
    except DynatrailError as error:
        from dynatrail.cli.text import harmless

        print(f"error: {harmless(str(error))}", file=sys.stderr)
        sys.exit(1)


@app.command()
def demo(
    days: Annotated[
        int | None,
        typer.Option(min=1, max=30, help="Days of history; default: those that were played here before, or 14."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="clinic or tiny; default: the one that was played here before, or clinic.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="SVG file that gets the summary too.")] = None,
) -> None:
    """Start the local AWS account, play a scenario through real API calls, run the DAGs over it, show what came out."""
    from dynatrail.cli import demo

    demo.run(scenario=scenario, days=days, picture=picture)


@app.command()
def run(
    first: From,
    last: To,
    retake: Annotated[bool, typer.Option(help="Take the window's objects again although they were taken.")] = False,
    evidence: Annotated[bool, typer.Option(help="Publish the evidence of the window's closed days.")] = True,
) -> None:
    """Run the DAGs for a window in this process, against the account that the Airflow connection names."""
    from dynatrail import window
    from dynatrail.cli import dag_runs, summary

    start, end = window.parse(first, last)
    dag_runs.prepare()
    dag_runs.dags(start, end, retake=retake, evidence=evidence)
    summary.show(start, end)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="One reading statement; every table of the warehouse is a view.")],
    as_format: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    limit: Annotated[int, typer.Option(min=1, help="Rows shown as a table.")] = 50,
) -> None:
    """Ask the warehouse in DuckDB's SQL, for instance: SELECT * FROM audit_record WHERE outcome = 'denied'."""
    from dynatrail.cli import query

    query.run(sql, as_format=as_format, limit=limit)


@app.command()
def session(
    key_or_event_id: Annotated[
        str, typer.Argument(metavar="KEY_OR_EVENT", help="Access key id (ASIA…, AKIA…), or id of an event.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Who is behind an access key or an event: each link of the chain, how it is proven, and what the key did."""
    from dynatrail.cli import session

    session.run(key_or_event_id, as_json=as_json)


@app.command()
def timeline(  # noqa: PLR0913, PLR0917 - one argument an option
    first: From,
    last: To,
    kind: Annotated[
        str, typer.Option(help="api_event, item_change, alarm, throttling, configuration, finding or privacy_event.")
    ] = "",
    actor: Annotated[str, typer.Option(help="ARN of an actor, or its last part; who cannot be named is Unknown.")] = "",
    table: Annotated[str, typer.Option(help="Name or ARN of a table.")] = "",
    after: Annotated[str, typer.Option(help="Cursor that the page before has printed.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Records of a page.")] = 50,
    as_format: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """All that happened in a window, in the order of time, page by page."""
    from dynatrail.cli import timeline
    from dynatrail.trail.timeline import Wanted

    wanted = Wanted(kind=kind, table=table, actor=actor)
    timeline.run(first, last, wanted=wanted, after=after, limit=limit, as_format=as_format)


@app.command()
def token(
    key: Annotated[
        list[str], typer.Argument(help="NAME=VALUE of each key attribute; NAME=- asks for the value, unseen.")
    ],
    number: Annotated[list[str] | None, typer.Option(help="Name of an attribute that is a number.")] = None,
) -> None:
    """The token of an item's key, to look for in the column item_key_token."""
    from dynatrail.cli import token

    print(token.of_key(key, frozenset(number or ())))


@app.command()
def item(  # noqa: PLR0913, PLR0917  each is an option of the command
    table: Annotated[str, typer.Argument(help="Name or ARN of the table.")],
    first: From,
    last: To,
    key: Annotated[
        list[str] | None, typer.Argument(help="NAME=VALUE of each key attribute; NAME=- asks for the value, unseen.")
    ] = None,
    item_token: Annotated[str | None, typer.Option("--token", help="Token of the item, in the key's place.")] = None,
    at: Annotated[str | None, typer.Option(help="Also what it was at this instant, UTC.")] = None,
    number: Annotated[list[str] | None, typer.Option(help="Name of an attribute that is a number.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """The life of an item: each change with who made it, each read, each write without effect; what it was when."""
    from dynatrail.cli import item, item_words

    named = item_words.Named(table, tuple(key or ()), item_token, frozenset(number or ()))
    item.run(named, first=first, last=last, at=at, as_json=as_json)


@app.command()
def readers(
    named: Annotated[
        list[str],
        typer.Argument(
            metavar="TABLE NAME=VALUE…", help="Items: TABLE NAME=VALUE…, or TABLE t1:…; any number of them."
        ),
    ],
    first: From,
    last: To,
    number: Annotated[list[str] | None, typer.Option(help="Name of an attribute that is a number.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Who read these items' data: exactly, and at most where AWS records no list of items."""
    from dynatrail.cli import readers

    readers.run(named, numbers=number or (), first=first, last=last, as_json=as_json)


@app.command()
def reach(
    who: Annotated[str, typer.Argument(help="Access key, or ARN of a principal, role or session.")],
    first: From,
    last: To,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """What a session or principal read, changed, and could have seen, with the sessions that it issued."""
    from dynatrail.cli import reach

    reach.run(who, first=first, last=last, as_json=as_json)


@app.command("exceptions")
def exceptions(
    first: From,
    last: To,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Rows of each list that are shown; default: a few, or all with --json.")
    ] = None,
) -> None:
    """Item changes that no request explains, and requests that no item change shows, each with the reason."""
    from dynatrail.cli import exceptions

    exceptions.run(first, last, as_json=as_json, limit=limit)


@export_app.command()
def ocsf(
    first: From,
    last: To,
    out: Annotated[Path | None, typer.Option(help="File to write; empty: standard output.")] = None,
) -> None:
    """OCSF 1.8 events of a window, one JSON object a line."""
    from dynatrail.cli import export

    export.ocsf(first, last, out)


@app.command()
def permission(
    event_id: Annotated[str, typer.Argument(help="CloudTrail eventID, as in api_event.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which permission decided a call: what AWS says of a denied one, else the statements that were in force."""
    from dynatrail.cli import permission

    permission.run(event_id, as_json=as_json)


@app.command()
def reveal(
    change_id: Annotated[str, typer.Argument(help="Change, as in item_change.")],
    reason: Annotated[str, typer.Option(help="Why; kept for good, so without a name or a value.")],
    ticket: Annotated[str, typer.Option(help="Ticket of the investigation; kept too.")],
    attribute: Annotated[
        list[str] | None, typer.Option(help="Path of a value, such as contact.email; any number. Default: all.")
    ] = None,
) -> None:
    """Show the encrypted values of one change. Recorded first; needs the key-wrapping key, a reason and a ticket."""
    from dynatrail.cli import reveal

    reveal.run(change_id, reason=reason, ticket=ticket, attributes=attribute or ())


@app.command()
def discover(
    table: Annotated[str | None, typer.Option(help="Name of one table; empty: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Which attributes were found to be sensitive, what the masking policy does with them, and what it should do."""
    from dynatrail.cli import discover

    discover.run(table, as_json=as_json)


@app.command()
def doctor() -> None:
    """Check settings, connection, permissions and stores, and say what to do about each problem."""
    from dynatrail.cli import doctor

    sys.exit(doctor.run())


@app.command("verify-logs")
def verify_logs(
    first: From,
    last: To,
    folder: Annotated[Path | None, typer.Option(help="Copy of the trail's bucket; empty: the bucket itself.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="What `aws cloudtrail list-public-keys` printed; empty: warehouse, then AWS.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Verify digests and log files of a window of delivery: exit code 0 clean, 1 problems, 2 wrong use."""
    from dynatrail.cli import verify_logs

    sys.exit(verify_logs.run(first, last, folder=folder, keys=keys, as_json=as_json))


@app.command()
def ui(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of the page; the next free one is taken when it is not free.")
    ] = 8080,
    sandbox: Annotated[bool, typer.Option(help="With the local AWS account and its traffic.")] = True,
) -> None:
    """Run a whole Airflow on this machine until Ctrl-C."""
    from dynatrail.cli import demo

    demo.ui(port=port, with_sandbox=sandbox)


@app.command("data-docs")
def data_docs() -> None:
    """Build Great Expectations' Data Docs from the results that the runs have kept."""
    from dynatrail.quality import docs
    from dynatrail.settings import settings

    home = settings().home
    print(docs.build(home / "quality", home / "data-docs"))
