"""`exceptions`: the two lists on a terminal and as JSON."""

import json
from datetime import timedelta

import pyarrow as pa
import pytest
from rich.console import Console

from dynatrail.cli import exceptions, screen
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

from .conftest import HOSTILE, HOUR, event_row

ARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/Patients"
WINDOW = ("--from", "2026-11-01T03:00:00Z", "--to", "2026-11-01T04:00:00Z")
PLACE = {"account_id": "123456789012", "region": "eu-central-1", "table_name": "Patients", "table_arn": ARN}


def row(table, at, **columns):
    when = {"event_time": at, "event_hour": HOUR, "event_date": HOUR.date()}
    return dict.fromkeys(TABLES[table].schema.names) | when | columns


@pytest.fixture
def put(home):
    warehouse = Warehouse(str(home / "warehouse"))

    def put(table, rows):
        warehouse.replace(table, pa.Table.from_pylist(rows, schema=TABLES[table].schema), hours=[HOUR])

    return put


@pytest.fixture
def leftovers(put):
    """Two changes that nobody explains, and a request of a hostile name that changed nothing."""
    times = [HOUR + timedelta(seconds=n) for n in range(2)]
    change = PLACE | {"item_key_token": "t1:" + "a" * 32, "change_type": "INSERT", "change_origin": "stream"}
    change |= {"key_attributes": ["id"], "view_type": "KEYS_ONLY", "reconstructed": False, "by_ttl": False}
    change |= {"source_uri": "s", "source_position": "1", "sequence_number": "1"}
    put("item_change", [row("item_change", at, change_id=f"c-{n}", **change) for n, at in enumerate(times)])
    left = PLACE | {"item_key_token": change["item_key_token"], "method": "no_request", "confidence": "none"}
    put("attribution", [row("attribution", at, change_id=f"c-{n}", candidates=0, **left) for n, at in enumerate(times)])
    put("api_event", [event_row(0, event_name="UpdateItem", principal_arn=HOSTILE, error_code="AccessDenied")])
    asked = {"event_id": "e0", "recipient_account_id": "123456789012", "region": "eu-central-1", "operation": "Update"}
    asked |= {"table_name": HOSTILE, "table_arn": ARN, "item_key_token": "t1:b", "ordinal": 0}
    asked |= {"source_uri": "s", "source_sha256": "0" * 64, "source_index": 0}
    put("api_event_item", [row("api_event_item", HOUR, **asked)])


def test_each_reason_is_counted_and_shown_by_an_example(cli, leftovers):
    code, out, _ = cli("exceptions", *WINDOW)
    assert code == 0
    assert "Changes without a request: 2" in out
    assert "Requests without a change: 1" in out
    assert "it was denied" in out
    assert "2026-11-01 03:00:00  INSERT Patients t1:aaaaaaaaaaa…" in out
    assert "ruled out: expiry, reconstruction, bulk load" in out


def test_lines_fit_the_page_and_nothing_in_them_does_anything(cli, leftovers):
    _, out, _ = cli("exceptions", *WINDOW)
    assert max(map(len, out.splitlines())) <= screen.WIDTH
    assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert "[red]bold" in out


def test_json_has_counts_and_every_row(cli, leftovers):
    code, out, _ = cli("exceptions", *WINDOW, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["counts"] == {"changes": 2, "requests": 1}
    assert [one["change_id"] for one in told["changes_without_request"]] == ["c-0", "c-1"]
    assert told["changes_without_request"][0]["not_ruled_out"] == [
        "replication: its configuration was not read",
        "missing record: nothing is stated of the hour",
    ]
    assert [one["event_id"] for one in told["requests_without_change"]] == ["e0"]


def test_limit_bounds_the_rows_and_says_how_many_more(cli, leftovers):
    _, out, _ = cli("exceptions", *WINDOW, "--json", "--limit", "1")
    assert [len(rows) for name, rows in json.loads(out).items() if name != "counts"] == [1, 1]
    _, out, _ = cli("exceptions", *WINDOW, "--limit", "1")
    assert "and 1 more: --limit N or --json of exceptions shows them" in out


def test_nothing_left_over_is_said(cli, home):
    code, out, _ = cli("exceptions", *WINDOW)
    assert code == 0
    assert "Changes without a request none" in out
    assert "Requests without a change none" in out


def test_list_of_many_reasons_shows_the_most_common_first_and_one_of_each():
    reasons = ["rare"] + ["common"] * 3
    rows = pa.table(
        {
            "reason": reasons,
            "event_time": [HOUR] * 4,
            "table_name": ["Patients"] * 4,
            "change_type": ["MODIFY"] * 4,
            "item_key_token": [None] * 4,
            "ruled_out": pa.array([[]] * 4, pa.list_(pa.string())),
            "not_ruled_out": pa.array([None] * 4, pa.list_(pa.string())),
        }
    )
    out = Console(record=True, width=screen.WIDTH, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    exceptions.show(out, rows, pa.table({}), examples=2)
    text = out.export_text()
    assert text.index("common") < text.index("rare")
    assert text.count("MODIFY Patients without key") == 2
