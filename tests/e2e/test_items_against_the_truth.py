"""Lives of items, readers and reaches of `make run` over the tiny scenario, against what really happened."""

from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal

import pytest

from dynatrail.clock import iso, parse_instant
from dynatrail.privacy.tokens import Tokenizer, load_key
from dynatrail.settings import Settings
from dynatrail.trail import items
from dynatrail.warehouse import engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

READS = {"Get", "ConditionCheck"}
WITHOUT_LIST = {"Query", "Scan"}


def number(text):
    plain = format(Decimal(text), "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


@pytest.fixture(scope="module")
def day(truth):
    start = parse_instant(truth[0]["event_time"]).replace(hour=0, minute=0, second=0)
    return start, start + timedelta(days=1)


@pytest.fixture(scope="module")
def connection(warehouse):
    with engine.connect(warehouse) as found:
        yield found


@pytest.fixture(scope="module")
def token(home):
    tokens = Tokenizer(load_key(Settings(home=home)))

    def of(key):
        texts = [(name, *typed.items()) for name, typed in key.items()]
        return tokens.item((name, number(text) if kind == "N" else text) for name, (kind, text) in texts)

    return of


@pytest.fixture(scope="module")
def recorded(truth, token):
    """(call, table, token, operation) of each item that a record names."""
    return [
        (call, item["table_arn"], token(item["key"]), item["operation"])
        for call in truth
        for item in call["items"]
        if item["in_record"] and call["delivered"]
    ]


@pytest.fixture(scope="module")
def changed(true_changes, token):
    """(table, token) -> its changes, oldest first."""
    found = defaultdict(list)
    for change in true_changes:
        found[change["table_arn"], token(change["key"])].append(change)
    return found


@pytest.fixture(scope="module")
def lives(connection, day, recorded, changed):
    """The life of each item that a call, expiry or replication touched."""
    touched = {(arn, item) for _, arn, item, _ in recorded}
    touched |= {place for place, those in changed.items() if any(c["cause"] != "unrecorded" for c in those)}
    assert len(touched) > 30
    return {(arn, item): items.life(connection, items.of_token(arn, item), *day) for arn, item in sorted(touched)}


@pytest.fixture(scope="module")
def ids(rows):
    """The id of each event -> that of the call, which a corrected copy names."""
    found = rows("SELECT event_id, coalesce(original_event_id, event_id) AS call_id FROM api_event").to_pylist()
    return {row["event_id"]: row["call_id"] for row in found}


def of_kind(life, kind):
    return [row for row in life.happenings.to_pylist() if row["kind"] == kind]


def of_item(recorded, place):
    return [(call, operation) for call, arn, item, operation in recorded if (arn, item) == place]


def test_a_life_has_the_changes_of_the_item_in_their_order(lives, changed):
    for place, life in lives.items():
        expected = [
            (iso(parse_instant(change["event_time"]).replace(microsecond=0)), change["change_type"])
            for change in changed[place]
        ]
        came = [(iso(row["event_time"].replace(microsecond=0)), row["operation"]) for row in of_kind(life, "change")]
        assert came == expected, place


def test_differences_are_of_the_attributes_that_changed(lives, changed):
    compared = 0
    for place, life in lives.items():
        for row, change in zip(of_kind(life, "change"), changed[place], strict=True):
            old, new = change["old_image"] or {}, change["new_image"] or {}
            names = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
            assert {path["path"].partition(".")[0].partition("[")[0] for path in row["differences"]} == names, place
            compared += 1
    assert compared > 30


def test_changes_of_calls_name_the_call_and_no_other_does(lives, changed, ids):
    named = 0
    for place, life in lives.items():
        for row, change in zip(of_kind(life, "change"), changed[place], strict=True):
            if row["event_id"]:
                assert ids[row["event_id"]] in change["event_ids"], place
                assert row["first_principal_arn"]
                named += 1
    assert named > 20


def test_a_life_has_every_read_that_names_the_item(lives, recorded, ids):
    for place, life in lives.items():
        expected = Counter(call["event_id"] for call, operation in of_item(recorded, place) if operation in READS)
        assert Counter(ids[row["event_id"]] for row in of_kind(life, "read")) == expected, place


def test_a_life_has_every_write_that_changed_nothing(lives, recorded, changed, ids):
    found = 0
    for place, life in lives.items():
        effective = {event for change in changed[place] for event in change["event_ids"]}
        asked = {call["event_id"] for call, operation in of_item(recorded, place) if operation not in READS}
        came = [ids[row["event_id"]] for row in of_kind(life, "no_change")]
        assert sorted(came) == sorted(asked - effective), place
        found += len(came)
    assert found


def test_readers_are_those_who_read(connection, day, lives, recorded, ids):
    wanted = [items.of_token(*place) for place in lives]
    found = items.readers(connection, wanted, *day)
    expected = Counter((call["event_id"], arn, item) for call, arn, item, operation in recorded
                       if operation == "Get" and call["outcome"] == "success")  # fmt: skip
    reads = [row for row in found.reads.to_pylist() if row["way"] == "read"]
    assert Counter((ids[row["event_id"]], row["table_arn"], row["item_key_token"]) for row in reads) == expected
    assert sum(row["reads"] for row in found.exact.to_pylist()) == expected.total()
    actors = {call["event_id"]: call["actor"]["name"] for call, *_ in recorded}
    told = {(actors[ids[row["event_id"]]], row["first_principal_arn"]) for row in reads}
    assert None not in {arn for _, arn in told}
    assert len(told) == len({actor for actor, _ in told}) == len({arn for _, arn in told})


def test_reads_without_a_list_are_all_bounded_or_excluded(connection, day, truth, lives, ids):
    arns = {arn for arn, _ in lives}
    wanted = [items.of_token(*place) for place in lives]
    found = items.readers(connection, wanted, *day)
    expected = Counter(
        (call["event_id"], arn)
        for call in truth
        for arn in call["tables"]
        if call["event_name"] in WITHOUT_LIST and call["outcome"] == "success" and call["delivered"] and arn in arns
    )
    possible = [row for row in found.possible_reads.to_pylist() if row["event_name"] in WITHOUT_LIST]
    came = Counter((ids[row["event_id"]], row["table_arn"]) for row in possible)
    assert came.keys() <= expected.keys()
    whole = Counter((ids[row["event_id"]], row["table_arn"]) for row in found.reads.to_pylist()
                    if row["event_name"] in WITHOUT_LIST)  # fmt: skip
    assert expected.total() - (came | whole).total() <= found.excluded
    assert {row["event_name"] for row in possible} == WITHOUT_LIST
    for row in possible:  # a scan may have returned any item of the table
        if row["event_name"] == "Scan":
            assert row["items_possible"] == sum(arn == row["table_arn"] for arn, _ in lives)


def test_reach_is_what_the_person_did_through_all_roles(connection, day, truth, recorded, ids):
    user = "arn:aws:iam::123456789012:user/tomas.developer"
    own = [call for call in truth if call["actor"]["chain"][:1] == [user] and call["delivered"]]
    found = items.reach(connection, user, *day)
    assert found.events == len({call["call"] for call in own})
    calls = {call["event_id"] for call in own if call["outcome"] == "success"}
    read = {(arn, item) for call, arn, item, operation in recorded if operation == "Get" and call["event_id"] in calls}
    assert {(row["table_arn"], row["item_key_token"]) for row in found.items.to_pylist() if row["reads"]} == read
    assert read
    denied = sum(call["outcome"] == "denied" for call in own)
    assert sum(row["calls"] for row in found.calls.to_pylist() if row["outcome"] == "denied") == denied
    assert any(row["parent_access_key_id"] for row in found.sessions.to_pylist())


def test_reach_of_a_key_holds_that_of_the_sessions_it_issued(connection, day, rows):
    (issued,) = rows(
        "SELECT access_key_id, parent_access_key_id FROM session "
        "WHERE parent_access_key_id LIKE 'ASIA%' ORDER BY started_at LIMIT 1"
    ).to_pylist()
    found = items.reach(connection, issued["parent_access_key_id"], *day)
    keys = {row["access_key_id"]: row for row in found.sessions.to_pylist()}
    assert keys[issued["access_key_id"]]["calls"] > 0
    assert found.events == sum(row["calls"] for row in keys.values())


def test_most_telling_item_is_the_same_every_time(connection, day):
    first = items.most_telling(connection, *day)
    assert first is not None
    assert items.most_telling(connection, *day) == first
    changes = of_kind(items.life(connection, first, *day), "change")
    assert len(changes) > 1
