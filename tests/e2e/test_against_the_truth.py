"""The whole way, as `make run` goes it, over the tiny scenario: what came out against what really happened."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from dynatrail.clock import parse_instant
from dynatrail.privacy.tokens import Tokenizer, canonical_number, load_key
from dynatrail.settings import Settings
from dynatrail.state import pending
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def of_the_window(home, warehouse):
    """Contents of the scenario's day; what lies after it (snapshots, statements) goes on with the clock."""
    summary = json.loads((home / "sandbox" / "truth" / "tiny.summary.json").read_text())
    day = parse_instant(summary["window"][0]).date()
    return {table: warehouse.digest(table, day=day) for table in warehouse.versions()}


def test_every_call_is_there_once_and_nothing_else(rows, truth):
    events = rows("SELECT coalesce(original_event_id, event_id) AS id, recipient_account_id FROM api_event")
    came = sorted(zip(events["id"].to_pylist(), events["recipient_account_id"].to_pylist(), strict=True))
    assert came == sorted((call["event_id"], call["recipient_account_id"]) for call in truth)


def test_outcomes_are_those_of_the_calls(rows, truth):
    told = rows(
        "SELECT DISTINCT coalesce(e.original_event_id, e.event_id) AS id, a.outcome "
        "FROM audit_record a JOIN api_event e ON a.event_id = e.event_id AND a.account_id = e.recipient_account_id",
    )
    came = {(row["id"], row["outcome"]) for row in told.to_pylist()}
    assert came == {(call["event_id"], call["outcome"]) for call in truth}


def test_every_item_has_the_token_of_its_typed_key(home, rows, truth):
    """CloudTrail lost the types of the keys; the tokens are those that a stream record's typed key gives."""
    tokenizer = Tokenizer(load_key(Settings(home=home)))

    def token(key):
        texts = [(name, *typed.items()) for name, typed in key.items()]
        return tokenizer.item((name, canonical_number(text) if kind == "N" else text) for name, (kind, text) in texts)

    came = {}
    query = (
        "SELECT coalesce(i.original_event_id, i.event_id) AS id, i.item_key_token AS token, "
        "e.statement IS NULL AS plain FROM api_event_item i JOIN api_event e USING (event_id, recipient_account_id)"
    )
    for row in rows(query).to_pylist():
        plain, tokens = came.setdefault(row["id"], (row["plain"], set()))
        tokens.add(row["token"])
    assert sum(plain for plain, _ in came.values()) > 20
    for call in truth:
        expected = {token(item["key"]) for item in call["items"] if item["key"]}
        plain, tokens = came.get(call["event_id"], (True, set()))
        if call["outcome"] == "denied":
            assert not tokens, call["event_name"]  # AWS leaves the request out of a denied call's record
        elif plain and tokens:
            assert tokens == expected, call["event_name"]
        else:
            assert tokens - {None} <= expected, call["event_name"]  # an INSERT's key is redacted by AWS


def test_no_item_key_is_anywhere_in_clear(home, truth, true_changes):
    changes = [change for change in true_changes if not change["table_arn"].endswith("/AuditConfig")]  # plain words
    keys = [item["key"] or {} for call in truth for item in call["items"]] + [change["key"] for change in changes]
    secrets = {
        str(text).encode()
        for key in keys
        for typed in key.values()
        for text in typed.values()
        if len(str(text)) >= 6 and not str(text).isdigit()
    }
    images = [image for change in changes for image in (change["old_image"], change["new_image"]) if image]
    secrets |= {image["email"]["S"].encode() for image in images if "email" in image}
    secrets |= {b"Name withheld", b"+1-555-01"}  # of patients, in images and log lines
    assert len(secrets) > 20
    with engine.connect(Warehouse(str(home / "warehouse"))) as connection:
        texts = {
            name: "\n".join(row[0] for row in connection.sql(f"SELECT to_json(t) FROM {name} t").fetchall()).encode()
            for name in Warehouse(str(home / "warehouse")).versions()
        }
    for path in home.rglob("*"):
        inside = path.relative_to(home).parts
        if path.is_file() and inside[0] not in ("sandbox", "warehouse") and path.suffix != ".parquet":
            texts["/".join(inside)] = path.read_bytes()
    leaks = {name: sorted(secret for secret in secrets if secret in text) for name, text in texts.items()}
    assert {name: found for name, found in leaks.items() if found} == {}


def test_a_second_run_takes_nothing_and_changes_nothing_of_the_past(home, warehouse, dynatrail):
    before = of_the_window(home, warehouse), tree(home / "evidence")
    again = dynatrail(home, "demo", "--scenario", "tiny")
    assert again.returncode == 0, again.stderr
    assert "no new log file" in again.stdout
    assert (of_the_window(home, warehouse), tree(home / "evidence")) == before


def test_a_second_run_writes_no_document_that_is_as_it_was(rows):
    """Whichever runs there were: a resource has two rows only where they differ."""
    for table in ("iam_snapshot", "table_config", "trail_config"):
        repeated = rows(
            f"SELECT resource_arn, aspect FROM {table} "
            "GROUP BY account_id, region, resource_type, resource_arn, aspect HAVING count(*) > count(DISTINCT sha256)"
        )
        assert repeated.num_rows == 0


def test_the_summary_says_where_things_are_and_what_to_try(home):
    said = (home / "said").read_text()
    for part in ("simulated", "Records per table and operation", "Who did what", "Quarantine", "Evidence", "query"):
        assert part in said


def test_the_summary_says_who_is_behind_a_write_with_a_chained_role(home):
    said = (home / "said").read_text()
    chain = said.partition("Who is behind one write")[2].partition("An item of")[0]
    assert "UpdateItem on Appointments" in chain
    assert "Begins with arn:aws:iam::123456789012:user/tomas.developer" in chain
    assert all(f"for arn:aws:iam::123456789012:role/{name}" in chain for name in ("DeveloperRole", "SupportRole"))
    assert "With what right: allowed by statement" in chain


def test_the_summary_tells_the_life_of_an_item_and_what_attribution_leaves_over(home):
    said = (home / "said").read_text()
    life = said.partition("An item of")[2].partition("What attribution leaves over")[0]
    assert all(word in life for word in ("INSERT", "MODIFY", "certain", "May have read or copied it"))
    left = said.partition("What attribution leaves over")[2]
    assert all(title in left for title in ("Changes without a request: ", "Requests without a change: "))


def test_published_sums_hold(home):
    for sums in (home / "evidence").rglob("SHA256SUMS"):
        checked = subprocess.run(["sha256sum", "-c", sums.name], cwd=sums.parent, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stdout


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_timeline_holds_each_change_alarm_and_finding_once_and_nothing_waits(home, rows):
    def told(kind, of):
        return sorted(rows(f"SELECT {of} AS id FROM audit_record WHERE kind = '{kind}'")["id"].to_pylist())

    for kind, table, of in (("item_change", "item_change", "change_id"), ("finding", "finding", "finding_id")):
        assert told(kind, of) == sorted(rows(f"SELECT {of} AS id FROM {table}")["id"].to_pylist())
    assert len(told("alarm", "record_id")) == rows("SELECT * FROM alarm_event").num_rows > 0
    assert told("item_change", "change_id")
    for stage in (pending.BUILD, pending.TIMELINE, pending.PROVE):
        assert pending.hours(stage, f"sqlite:///{home / 'state.db'}") == []
