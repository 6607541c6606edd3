"""`discover`: what the last looks found to be sensitive, and what the masking policy should say of it; no value."""

import sys
from typing import Any

import msgspec
from rich.table import Table

from dynatrail import clock
from dynatrail.cli.screen import console, shown
from dynatrail.cli.text import escaped
from dynatrail.errors import WarehouseError
from dynatrail.privacy import policy, proposals, sensitive_rows
from dynatrail.privacy.sensitive_rows import Row
from dynatrail.settings import settings
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

_COLOURS = {"hidden": "green", "weak": "yellow", "clear": "red"}


def run(table: str | None, *, as_json: bool) -> None:
    """Print what was found last, and what is proposed; nothing is asked of AWS, and nothing is changed.

    Raises:
        WarehouseError: the table was never looked at.
        SettingsError: the masking policy is wrong.
    """
    chosen = settings()
    with engine.connect(Warehouse.from_settings(chosen)) as connection:
        rows = engine.run_file(connection, "report/sensitive_attributes.sql", table_name=table).to_pylist()
    if table and not rows:
        raise WarehouseError(
            f"Nothing is known of a table {table}. Run the DAG discover_sensitive_data, or look at its log: a table "
            "without changes is seen only where its note allows a Scan (sample_scan)."
        )
    masked = policy.load(chosen)
    for row in rows:  # as the policy is now, not as it was then
        row["action"], row["protection"] = sensitive_rows.protected_by(masked, row)
    proposed = proposals.propose(chosen, table or "")
    if as_json:
        found = [{name: _plain(value) for name, value in row.items()} for row in rows]
        document = {"found": found, "proposed": [proposals.as_document(one) for one in proposed]}
        sys.stdout.buffer.write(msgspec.json.encode(document, order="sorted") + b"\n")
        return
    out = console()
    if not rows:
        out.print("Nothing sensitive is known. Run the DAG discover_sensitive_data.")
        return
    for those in _by_table(rows):
        first = those[0]
        of = f"{first['table_name']} in {first['region']} ({first['account_id']})"
        out.print(f"[bold]{escaped(of)}[/], as of {clock.iso(first['captured_at'])}", highlight=False)
        out.print(_shown(those))
    folder = shown(chosen.masking_folder)
    for one in proposed:
        where = one.by_hand or f"{folder}/{one.file_name}, by commit or as approved in Airflow."
        out.print(f"\n[bold]Proposed for {escaped(one.table_name)}[/]: {escaped(where)}", soft_wrap=True)
        out.print(escaped(one.text.rstrip("\n")), highlight=False, soft_wrap=True)
    if not proposed:
        out.print("The masking policy hides all of it: nothing is proposed.")


def _by_table(rows: list[Row]) -> list[list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["table_arn"], []).append(row)
    return list(found.values())


def _shown(rows: list[Row]) -> Table:
    table = Table()
    table.add_column("path", overflow="fold")
    table.add_column("holds", overflow="fold")
    for name in ("sure", "values", "different"):
        table.add_column(name, justify="right")
    for name in ("since", "policy"):
        table.add_column(name)
    for row in rows:
        colour = _COLOURS[row["protection"]]
        table.add_row(
            escaped(row["path"] + (" (names)" if row["in_names"] else "")),
            escaped(row["detected_class"]),
            "" if row["confidence"] is None else f"{row['confidence']:.2f}",
            f"{row['matched']:,} of {row['sampled']:,}",
            f"{row['distinct_values']:,}",
            row["status"],
            f"[{colour}]{row['action']}[/]" + ("" if row["protection"] == "hidden" else f" ({row['protection']})"),
        )
    return table


def _plain(value: Any) -> Any:
    return clock.iso(value) if hasattr(value, "tzinfo") else str(value) if hasattr(value, "isoformat") else value
