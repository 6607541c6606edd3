import getpass
import io
import json
from datetime import timedelta

import pyarrow as pa
import pytest
from rich.console import Console

from dynatrail import window
from dynatrail.cli import item as item_command
from dynatrail.cli import readers
from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.settings import Settings
from dynatrail.trail import items
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

WINDOW = ("--from", "2026-11-01", "--to", "2026-11-02")
ARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/Patients"
KEY = "ASIAEXAMPLE000001"
ANNA = "arn:aws:iam::123456789012:user/anna"


@pytest.fixture(scope="session")
def told_home(tmp_path_factory, make_event, hostile, hour):
    """A home with one item that was changed, read, and written without effect, and its token; only to be read."""
    home = tmp_path_factory.mktemp("told")
    token = Tokenizer(load_key(Settings(home=home))).item([("patient_id", "P-1")])
    place = {"account_id": "123456789012", "region": "eu-central-1", "table_name": "Patients", "table_arn": ARN}
    named = {"item_key_token": token, "key_attributes": ["patient_id"], "source_uri": "s", "source_position": "1"}
    change = place | named | {
        "change_type": "MODIFY", "old_image": f'{{"{hostile[:5]}":{{"S":"t1:a"}}}}', "new_image": "{}",
        "view_type": "NEW_AND_OLD_IMAGES", "change_origin": "stream", "reconstructed": False, "by_ttl": False,
        "time_precision": "SECOND",
    }  # fmt: skip
    made = place | {
        "item_key_token": token, "method": "alignment", "confidence": "certain", "candidates": 1, "rivals": [],
        "principal_arn": ANNA, "first_principal_arn": ANNA, "principal_class": "person", "ordinal": 0,
    }  # fmt: skip
    asked = named | {"recipient_account_id": "123456789012", "region": "eu-central-1", "table_name": "Patients"}
    asked |= {"table_arn": ARN, "ordinal": 0, "source_sha256": "0" * 64, "source_index": 0}
    user = {"principal_type": "IAMUser", "principal_arn": ANNA, "access_key_id": KEY, "table_arns": [ARN]}
    ten = timedelta(minutes=10)
    rows = {
        "api_event": [
            make_event(1, event_name="UpdateItem", **user),
            make_event(2, user_agent=hostile, session_name=hostile, source_ip_address=hostile, **user),
            make_event(3, event_name="PutItem", error_code="ConditionalCheckFailedException", **user),
            make_event(4, event_name="Scan", request_parameters="{}", **user),
        ],
        "api_event_item": [
            asked | {"event_id": f"e{number}", "event_time": hour + timedelta(seconds=number), "operation": operation}
            for number, operation in ((1, "Update"), (2, "Get"), (3, "Put"))
        ],
        "item_change": [
            change | {"change_id": "c1", "event_time": hour + timedelta(seconds=1), "sequence_number": "1"},
            change | {"change_id": "c2", "event_time": hour + ten, "sequence_number": "2", "old_image": None},
        ],
        "attribution": [made | {"change_id": "c1", "event_time": hour + timedelta(seconds=1), "event_id": "e1"}],
    }
    warehouse = Warehouse(str(home / "warehouse"))
    for name, of_table in rows.items():
        schema = TABLES[name].schema
        whole = [
            dict.fromkeys(schema.names) | row | {"event_hour": hour, "event_date": hour.date()} for row in of_table
        ]
        warehouse.replace(name, pa.Table.from_pylist(whole, schema=schema), hours=[hour])
    return home, token


@pytest.fixture
def told(told_home, home, monkeypatch):
    """The token of the item that the home of this test tells of."""
    monkeypatch.setenv("DYNATRAIL_HOME", str(told_home[0]))
    return told_home[1]


def test_life_of_an_item_is_told_in_order(cli, told):
    code, out, _ = cli("item", "Patients", "patient_id=P-1", *WINDOW)
    assert code == 0
    places = [out.index(part) for part in ("UpdateItem e1", "GetItem e2", "PutItem e3", "change c2")]
    assert places == sorted(places)
    for part in ("user/anna", "certain", "no change: its condition failed", "Scan: reads the table", told):
        assert part in out


def test_token_names_the_same_item_as_the_key(cli, told):
    by_key = cli("item", "Patients", "patient_id=P-1", *WINDOW, "--json")
    by_token = cli("item", ARN, "--token", told, *WINDOW, "--json")
    assert by_key == by_token


def test_value_can_be_typed_unseen(cli, told, monkeypatch):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "P-1")
    assert told in cli("item", "Patients", "patient_id=-", *WINDOW)[1]


def test_json_is_canonical_and_says_what_each_line_is(cli, told):
    _, out, _ = cli("item", "Patients", "--token", told, *WINDOW, "--at", "2026-11-01T03:05:00Z", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["record"] for line in lines] == ["item", *["happening"] * 4, "possible_read", "state"]
    assert out == "".join(
        json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines
    )
    assert lines[-1]["image"] == {}


def test_state_is_told_with_what_speaks_against_it(cli, told):
    _, out, _ = cli("item", "Patients", "--token", told, *WINDOW, "--at", "2026-11-01T03:05:00Z")
    assert "At 2026-11-01T03:05:00Z it existed: as after the change of 2026-11-01 03:00:01" in out
    assert "no source states that it read the table's changes" in " ".join(out.split())


def test_hostile_text_does_nothing_to_a_terminal(cli, told):
    _, out, _ = cli("item", "Patients", "--token", told, *WINDOW)
    assert r"\x1b]0;owned\x07" in out.replace("\n", "").replace(" ", "")
    for command in (("item", "Patients", "--token", told), ("readers", "Patients", told), ("reach", KEY)):
        _, out, _ = cli(*command, *WINDOW)
        assert not {"\x1b", "\x07", "\u202e"} & set(out)


@pytest.mark.parametrize("command", ["item", "readers", "reach"])
def test_lines_fit_a_page(command, cli, told):
    arguments = {"item": ("Patients", "--token", told), "readers": ("Patients", told), "reach": (KEY,)}[command]
    _, out, _ = cli(command, *arguments, *WINDOW)
    assert max(len(line.rstrip()) for line in out.splitlines() if "arn:" not in line) <= 118


def test_nothing_found_says_what_to_check(cli, told):
    code, out, _ = cli("item", "Patients", "patient_id=P-2", *WINDOW)
    assert code == 0
    assert "Nothing in this window names it" in out
    assert "--number" in " ".join(out.split())


def test_readers_are_told_apart_from_those_who_may_have_read(cli, told):
    code, out, _ = cli("readers", "Patients", "patient_id=P-1", "Patients", told, *WINDOW)
    assert code == 0
    exact, possible = out.split("May have read or copied some")
    assert "Readers of 1 item of Patients" in exact
    assert "user/anna" in exact
    assert "Scan: reads the table" in possible


def test_reach_of_a_key_counts_what_it_read_and_changed(cli, told, lines):
    _, out, _ = cli("reach", KEY, *WINDOW, "--json")
    found = lines(out)
    assert found[0]["events"] == 4
    (reached,) = [line for line in found if line["record"] == "item"]
    assert (reached["reads"], reached["changes_sure"], reached["failed"]) == (1, 1, 1)


def test_reach_without_events_says_so(cli, told):
    code, out, _ = cli("reach", "ASIAEXAMPLE000009", *WINDOW)
    assert code == 0
    assert "No event of it is in this window" in out


WRONG = {
    "table": (("item", "Patents", "patient_id=P-1", *WINDOW), "did you mean Patients?"),
    "no_key": (("item", "Patients", *WINDOW), "Name one item of Patients"),
    "key_and_token": (("item", "Patients", "a=b", "--token", "t1:" + "0" * 32, *WINDOW), "Name one item of Patients"),
    "token": (("item", "Patients", "--token", "P-1", *WINDOW), "is no token"),
    "attribute": (("item", "Patients", "id=P-1", *WINDOW), "The key of Patients is patient_id, but id was given"),
    "window": (("item", "Patients", "a=b", "--from", "2026-11-02", "--to", "2026-11-01"), "The window is empty"),
    "instant": (("item", "Patients", "patient_id=P-1", *WINDOW, "--at", "noon"), "--at is 'noon'"),
    "no_table": (("readers", "patient_id=P-1", *WINDOW), "Name the table before each key"),
    "no_item": (("readers", "Patients", *WINDOW), "Name an item of Patients"),
    "name": (("reach", "tomas", *WINDOW), "is neither an access key"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_in_a_sentence(arguments, said, cli, told):
    code, out, err = cli(*arguments)
    assert (code, out) == (1, "")
    assert said in " ".join(err.split())


def test_empty_warehouse_says_how_to_fill_it(cli, home):
    code, _, err = cli("item", "Patients", "patient_id=P-1", *WINDOW)
    assert code == 1
    assert "knows no table at all" in " ".join(err.split())


def test_items_of_readers_are_told_apart():
    token = "t1:" + "0" * 32
    named = list(readers.taken_apart(["A", "k=1", "s=2", "A", "k=3", "s=4", "B", token, token, "C", "k=5"]))
    assert [(one.table, one.key, one.token) for one in named] == [
        ("A", ("k=1", "s=2"), None),
        ("A", ("k=3", "s=4"), None),
        ("B", (), token),
        ("B", (), token),
        ("C", ("k=5",), None),
    ]


def test_key_after_a_token_needs_its_table_again():
    with pytest.raises(SettingsError, match="Name the table before each key"):
        list(readers.taken_apart(["A", "t1:" + "0" * 32, "k=1"]))


def test_long_life_is_cut_and_says_so(told_home):
    home, token = told_home
    with engine.connect(Warehouse(str(home / "warehouse"))) as connection:
        item = items.of_token(ARN, token)
        life = items.life(connection, item, *window.parse("2026-11-01", "2026-11-02"))
    out = Console(file=io.StringIO(), width=118)
    item_command.show(out, life, limit=1)
    assert "and 3 more; --json gives all" in out.file.getvalue()
