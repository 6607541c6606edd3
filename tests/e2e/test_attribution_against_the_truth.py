"""The request behind each item change of `make run` over the tiny scenario, against the call that really made it."""

from collections import Counter
from decimal import Decimal

import pytest

from dynatrail.clock import iso, parse_instant
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


def number(text):
    plain = format(Decimal(text), "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


@pytest.fixture(scope="module")
def causes(home, truth, true_changes):
    """(table, item, second, kind) -> what made the change and the events of that call; only where it was one change.

    An addendum that CloudTrail delivered in place of an event is that call's event.
    """
    corrected = {call["event_id"]: call["correction_event_id"] for call in truth if call.get("correction_event_id")}
    tokens = Tokenizer(load_key(Settings(home=home)))
    found = {}
    for change in true_changes:
        texts = [(name, *typed.items()) for name, typed in change["key"].items()]
        token = tokens.item((name, number(text) if kind == "N" else text) for name, (kind, text) in texts)
        second = iso(parse_instant(change["event_time"]).replace(microsecond=0))
        place = (change["table_arn"], token, second, change["change_type"])
        events = [*change["event_ids"], *(corrected[event] for event in change["event_ids"] if event in corrected)]
        found.setdefault(place, []).append((change["cause"], events))
    return {place: made[0] for place, made in found.items() if len(made) == 1}


@pytest.fixture(scope="module")
def attributed(rows, causes):
    """Each row of `attribution` with what really made its change."""
    found = rows("SELECT a.*, c.change_type FROM attribution a JOIN item_change c USING (change_id)").to_pylist()
    places = [
        (r["table_arn"], r["item_key_token"], iso(r["event_time"].replace(microsecond=0)), r["change_type"])
        for r in found
    ]
    return [(row, causes[place]) for row, place in zip(found, places, strict=True) if place in causes]


def test_every_change_is_attributed_once(rows):
    ids = rows("SELECT change_id FROM attribution")["change_id"].to_pylist()
    assert sorted(ids) == sorted(rows("SELECT change_id FROM item_change")["change_id"].to_pylist())


def test_whatever_is_attributed_names_the_call_that_made_it(attributed):
    named = [(row, events) for row, (_, events) in attributed if row["event_id"]]
    assert len(named) > 20
    assert [row["event_id"] for row, events in named if row["event_id"] not in events] == []


def test_changes_that_no_call_made_have_no_request(attributed):
    without = Counter((cause, row["event_id"]) for row, (cause, _) in attributed if cause != "call")
    assert {event for _, event in without} == {None}


def test_expiry_and_replication_say_so(attributed):
    told = {(cause, row["method"]) for row, (cause, _) in attributed if cause in {"ttl", "replication"}}
    assert told == {("ttl", "expiry"), ("replication", "replication")}


def test_changes_of_calls_have_their_request(attributed, rows):
    """Unless the trail does not have it."""
    logged = set(rows("SELECT event_id FROM api_event")["event_id"].to_pylist())
    made = [(row, events) for row, (cause, events) in attributed if cause == "call" and logged & set(events)]
    assert [row["change_id"] for row, _ in made if row["event_id"] is None] == []
