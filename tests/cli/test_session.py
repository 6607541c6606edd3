"""`session`: a chain as a person reads it, as JSON, and what it says where nobody is known."""

import json
from datetime import timedelta

import pyarrow as pa
import pytest

from dynatrail.cli import screen, session
from dynatrail.trail import sessions
from dynatrail.trail.sessions_chain import REASONS
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import TABLES
from dynatrail.warehouse.store import Warehouse

from .conftest import HOSTILE, HOUR, event_row

ACCOUNT = "123456789012"
JANE = f"arn:aws:iam::{ACCOUNT}:user/jane"


def taken(number, key, role, caller, name="ticket-1"):
    """AssumeRole by `caller`, which issued `key`."""
    asked = {"roleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}", "roleSessionName": name, "transitiveTagKeys": ["team"]}
    answered = {
        "credentials": {"accessKeyId": key, "expiration": "Nov 1, 2026, 4:00:00 AM"},
        "assumedRoleUser": {"assumedRoleId": f"AROA{role}:{name}", "arn": _session_arn(role, name)},
        "sourceIdentity": "jane",
    }
    values = {
        "event_time": HOUR + timedelta(minutes=number),
        "event_source": "sts.amazonaws.com",
        "event_name": "AssumeRole",
        "source_ip_address": "192.0.2.10",
        "request_parameters": json.dumps(asked),
        "response_elements": json.dumps(answered),
    }
    return event_row(number, **(values | caller))


def _session_arn(role, name="ticket-1"):
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}"


def by_key(key, role, name="ticket-1"):
    return {
        "principal_type": "AssumedRole",
        "principal_arn": _session_arn(role, name),
        "principal_id": f"AROA{role}:{name}",
        "access_key_id": key,
        "session_issuer_arn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
        "session_name": name,
    }


def used(number, name, **columns):
    return event_row(number, event_time=HOUR + timedelta(minutes=number), event_name=name, **columns)


BY_JANE = {"principal_type": "IAMUser", "principal_arn": JANE, "principal_id": "AIDAJANE", "access_key_id": "AKIAJANE"}


@pytest.fixture
def warehouse(home):
    return Warehouse(str(home / "warehouse"))


@pytest.fixture
def put(warehouse):
    def put(*rows):
        table = pa.Table.from_pylist(list(rows), schema=TABLES["api_event"].schema)
        warehouse.replace("api_event", table, hours=[HOUR])
        sessions.build(warehouse, [HOUR])

    return put


@pytest.fixture
def chained(put):
    """Jane takes a role, with that another, and writes; the second session name is hostile."""
    put(
        taken(1, "ASIAONE", "One", BY_JANE),
        taken(2, "ASIATWO", "Two", by_key("ASIAONE", "One"), HOSTILE),
        used(3, "PutItem", table_names=["Patients"], **by_key("ASIATWO", "Two", HOSTILE)),
        used(4, "GetItem", error_code="AccessDenied", **by_key("ASIATWO", "Two", HOSTILE)),
    )


def test_chain_is_told_from_its_beginning(cli, chained):
    code, out, _ = cli("session", "e3")
    assert code == 0
    assert f"Begins with {JANE} (IAMUser, person); weakest proof: key" in out
    first, second = out.index("\n1. "), out.index("\n2. ")
    assert f"{JANE} from 192.0.2.10 called AssumeRole (e1), which issued ASIAONE" in out[first:second]
    assert "called AssumeRole (e2), which issued ASIATWO" in out[second:]
    assert "source identity: jane" in out
    assert "tags passed on: team" in out


def test_what_the_key_did_and_issued_is_told(cli, chained):
    _, out, _ = cli("session", "ASIATWO")
    assert "PutItem" in out
    assert "Issued further" not in out
    _, out, _ = cli("session", "ASIAONE")
    assert "Issued further" in out
    assert "ASIATWO for arn:aws:iam::123456789012:role/Two (AssumeRole)" in out


def test_names_of_logs_do_nothing_to_the_terminal(cli, chained):
    _, out, _ = cli("session", "ASIATWO")
    assert "\x1b]0;owned" not in out
    assert "[red]bold[/]" in out


def test_json_holds_the_same(cli, chained):
    _, out, _ = cli("session", "e3", "--json")
    told = json.loads(out)
    assert (told["first_principal_arn"], told["principal_class"], told["chain_proof"]) == (JANE, "person", "key")
    assert [(link["proof"], link["caller"], link["event"]["event_time"]) for link in told["links"]] == [
        ("key", JANE, "2026-11-01T03:01:00Z"),
        ("key", _session_arn("One"), "2026-11-01T03:02:00Z"),
    ]
    assert [(row["event_name"], row["calls"], row["denied"]) for row in told["activity"]] == [
        ("PutItem", 1, 0),
        ("GetItem", 1, 1),
    ]


def test_long_term_key_is_its_own_beginning(cli, chained):
    _, out, _ = cli("session", "AKIAJANE")
    assert "AKIAJANE, a long-term key: it is its own beginning" in out
    assert f"Begins with {JANE} (IAMUser, person)" in out
    assert "ASIAONE for arn:aws:iam::123456789012:role/One (AssumeRole)" in out


def test_unresolved_session_says_why_and_what_to_do(cli, put):
    put(event_row(1, **by_key("ASIALOST", "One")))
    _, out, _ = cli("session", "ASIALOST")
    assert "nobody proven (issuer_not_seen). No event that issued this key is in the warehouse" in out
    assert "python -m dynatrail run" in out


def test_contradiction_is_told(cli, put):
    put(taken(1, "ASIAONE", "One", BY_JANE), taken(2, "ASIAONE", "One", by_key("ASIATWO", "Two")))
    _, out, _ = cli("session", "ASIAONE")
    assert "Contradiction two events issued this key: e1 and e2." in out
    assert "nobody proven (contradiction)" in out


def test_event_without_a_key_is_told_by_its_caller(cli, put):
    put(event_row(1, principal_type="AWSService", invoked_by="backup.amazonaws.com"))
    _, out, _ = cli("session", "e1")
    assert "Begins with backup.amazonaws.com (AWSService, aws_service)" in out


@pytest.mark.parametrize("asked", ["e404", "ASIANOBODY", "AKIANOBODY"])
def test_what_the_warehouse_does_not_know_is_an_error_for_a_person(cli, chained, asked):
    code, out, err = cli("session", asked)
    assert (code, out) == (1, "")
    assert "The warehouse has no event" in err


def test_every_reason_of_the_documentation_has_a_sentence():
    page = (engine.sqlfiles.SQL.parent / "docs/reference/sessions.md").read_text()
    for reason in REASONS:
        assert f"`{reason}`" in page


def test_picked_write_is_shown_by_its_chain(warehouse, chained, capsys):
    with engine.connect(warehouse) as connection:
        picked = sessions.most_chained(connection, HOUR, HOUR + timedelta(hours=1))
        session.show_chain(screen.console(), connection, picked)
    out = capsys.readouterr().out
    assert (picked, f"Begins with {JANE}" in out, "What was done" in out) == ("e3", True, False)


def test_nothing_is_picked_where_nothing_is_chained(warehouse, put):
    put(event_row(1, event_name="PutItem", table_names=["Patients"], **BY_JANE))
    with engine.connect(warehouse) as connection:
        assert sessions.most_chained(connection, HOUR, HOUR + timedelta(hours=1)) is None
