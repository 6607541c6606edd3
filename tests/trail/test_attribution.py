from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from dynatrail.clock import HOUR, hour_of
from dynatrail.trail import attribution
from dynatrail.trail.attribution import Built
from dynatrail.warehouse.schema import ATTRIBUTION, TABLES

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/Patients"


@pytest.fixture
def make_change():
    def make(change_id, **overrides):
        values = {
            "change_id": change_id,
            "event_time": NOON,
            "account_id": "123456789012",
            "region": "eu-west-1",
            "table_name": "Patients",
            "table_arn": ARN,
            "item_key_token": "tok-0",
            "key_attributes": ["id"],
            "change_type": "MODIFY",
            "changed_attributes": ["status"],
            "view_type": "NEW_AND_OLD_IMAGES",
            "change_origin": "stream",
            "reconstructed": False,
            "by_ttl": False,
            "source_uri": "stream/shard",
            "source_position": change_id,
            "sequence_number": "1",
        } | overrides
        hour = hour_of(values["event_time"])
        names = dict.fromkeys(TABLES["item_change"].schema.names)
        return names | values | {"event_hour": hour, "event_date": hour.date()}

    return make


@pytest.fixture
def updated(make_event, make_item):
    """An update of tok-0, as (event, item)."""

    def make(event_id, *, at=NOON, names=("status",), **overrides):
        return (
            make_event(event_id, event_name="UpdateItem", event_time=at, **overrides),
            make_item(event_id, event_time=at, operation="Update", attribute_names=list(names)),
        )

    return make


@pytest.fixture
def attribute(warehouse, write):
    """The rows of `attribution` of the hours of some changes, by change id."""

    def run(changes, requests):
        write("item_change", changes)
        if requests:
            write("api_event", [event for event, _ in requests])
            write("api_event_item", [item for _, item in requests if item])
        attribution.build(warehouse, {change["event_time"] for change in changes})
        rows = warehouse.dataset(ATTRIBUTION.name).to_table().to_pylist()
        return {row["change_id"]: row for row in rows}

    return run


def test_change_gets_its_request_and_who_made_it(attribute, make_change, updated):
    row = attribute([make_change("c-1")], [updated("e-1", at=NOON + timedelta(seconds=1))])["c-1"]
    told = ("event_id", "ordinal", "method", "confidence", "candidates", "rivals", "time_delta_s")
    assert [row[name] for name in told] == ["e-1", 0, "alignment", "certain", 1, [], 1.0]
    assert row["first_principal_arn"] == row["principal_arn"] == "arn:aws:iam::123456789012:user/ward/nurse-anna"


def test_change_without_request_says_so(attribute, make_change):
    row = attribute([make_change("c-1")], [])["c-1"]
    assert [row[name] for name in ("event_id", "method", "confidence")] == [None, "no_request", "none"]


def test_request_that_writes_other_attributes_is_no_candidate(attribute, make_change, updated):
    row = attribute([make_change("c-1")], [updated("e-1", names=("address",))])["c-1"]
    assert (row["event_id"], row["candidates"]) == (None, 0)


def test_attribute_that_the_record_does_not_name_may_be_any(attribute, make_change, updated):
    row = attribute([make_change("c-1")], [updated("e-1", names=("#s",))])["c-1"]
    assert row["event_id"] == "e-1"


@pytest.mark.parametrize(
    ("overrides", "method"),
    [
        pytest.param({"by_ttl": True, "change_type": "REMOVE"}, "expiry", id="expiry"),
        pytest.param({"reconstructed": True}, "reconstructed", id="reconstructed"),
    ],
)
def test_origin_without_request_takes_none(attribute, make_change, updated, overrides, method):
    row = attribute([make_change("c-1", **overrides)], [updated("e-1")])["c-1"]
    assert [row[name] for name in ("event_id", "method", "confidence")] == [None, method, "none"]


def test_change_without_request_after_a_bulk_load_names_the_load(attribute, make_change, make_event):
    load = make_event("load", event_name="StartBulkPutItems", event_time=NOON - HOUR / 2, table_names=["Patients"])
    row = attribute([make_change("c-1")], [(load, None)])["c-1"]
    told = ("event_id", "method", "confidence", "candidates", "rivals")
    assert [row[name] for name in told] == [None, "bulk", "none", 0, ["load"]]


def test_change_with_a_request_keeps_it_during_a_bulk_load_and_is_not_certain(
    attribute, make_change, make_event, updated
):
    load = make_event("load", event_name="StartBulkPutItems", event_time=NOON - HOUR / 2, table_names=["Patients"])
    row = attribute([make_change("c-1")], [(load, None), updated("e-1")])["c-1"]
    assert [row[name] for name in ("event_id", "method", "confidence")] == ["e-1", "alignment", "probable"]


@pytest.fixture
def state(write):
    """States an hour of a table as the proof does."""

    def put(operation, reasons, **columns):
        names = dict.fromkeys(TABLES["coverage"].schema.names)
        what = {"operation": operation, "selection": "FULL", "statement": "incomplete", "reasons": reasons}
        place = {"account_id": "123456789012", "region": "eu-west-1", "table_name": "Patients"}
        write("coverage", [names | place | what | {"event_hour": NOON, "event_date": NOON.date()} | columns])

    return put


@pytest.mark.parametrize(
    ("operation", "reasons", "confidence"),
    [
        pytest.param("PutItem", ["count_shortfall: 1"], "probable", id="calls-missing"),
        pytest.param("*", ["selectors_partial"], "probable", id="selectors"),
        pytest.param("Query", ["count_shortfall: 1"], "certain", id="reads-missing"),
        pytest.param("*", ["stream_gap: 1"], "certain", id="stream-gap"),
    ],
)
def test_nothing_is_certain_in_an_hour_that_is_stated_to_lack_writes(
    attribute, make_change, updated, state, operation, reasons, confidence
):
    state(operation, reasons)
    assert attribute([make_change("c-1")], [updated("e-1")])["c-1"]["confidence"] == confidence


def in_table(name):
    return {"table_name": name, "table_arn": ARN.replace("Patients", name)}


@pytest.fixture
def beside_lost_calls(make_change, make_event, make_item, updated):
    """A change with its request, in Patients, while Visits has one change with a request and one without."""
    changes = [make_change("c-1")]
    changes += [make_change(f"c-{n}", item_key_token=f"tok-{n}", **in_table("Visits")) for n in (2, 3)]
    other = make_item("e-2", event_time=NOON, operation="Update", item_key_token="tok-2", **in_table("Visits"))
    return changes, [updated("e-1"), (make_event("e-2", event_name="UpdateItem", event_time=NOON), other)]


def test_table_whose_neighbour_lost_calls_is_not_certain(attribute, beside_lost_calls):
    found = attribute(*beside_lost_calls)
    assert [found[name]["confidence"] for name in ("c-1", "c-2", "c-3")] == ["probable", "probable", "none"]


def test_table_that_is_stated_to_be_whole_is_certain_although_its_neighbour_lost_calls(
    attribute, beside_lost_calls, state
):
    state("*", None, statement="complete")
    found = attribute(*beside_lost_calls)
    assert [found[name]["confidence"] for name in ("c-1", "c-2", "c-3")] == ["certain", "probable", "none"]


def test_table_without_any_request_says_nothing_of_others(attribute, make_change, updated):
    found = attribute([make_change("c-1"), make_change("c-2", **in_table("Unlogged"))], [updated("e-1")])
    assert [found[name]["confidence"] for name in ("c-1", "c-2")] == ["certain", "none"]


@pytest.fixture
def busy(make_change, make_event, make_item):
    """Two hours of inserts and updates by several people, some by PartiQL without a key, all within few seconds."""
    rng = np.random.default_rng(3)
    changes, events, items = [], [], []
    for number in range(240):
        at = NOON + timedelta(minutes=57, seconds=int(rng.integers(0, 300)))
        token, who = f"tok-{rng.integers(0, 60):02}", f"arn:aws:iam::123456789012:user/{rng.choice(['ben', 'anna'])}"
        kind = str(rng.choice(["INSERT", "MODIFY"]))
        hidden = kind == "INSERT" and rng.uniform() < 0.5
        table = in_table(str(rng.choice(["Patients", "Visits"])))
        names = [str(rng.choice(["a", "b"]))]
        values = {"change_type": kind, "changed_attributes": None if kind == "INSERT" else names}
        changes.append(
            make_change(
                f"c-{number:03}", event_time=at, item_key_token=token, sequence_number=str(number), **values, **table
            )
        )
        if rng.uniform() < 0.9:
            name = "ExecuteStatement" if hidden else "PutItem"
            events.append(make_event(f"e-{rng.integers(1 << 30)}", event_name=name, event_time=at, principal_arn=who))
            asked = {"operation": "Put", "item_key_token": None if hidden else token}
            items.append(make_item(events[-1]["event_id"], event_time=at, **asked, **table))
    return changes, events, items


def test_rows_do_not_depend_on_how_much_is_aligned_at_once(warehouse, write, busy):
    for table, rows in zip(("item_change", "api_event", "api_event_item"), busy, strict=True):
        write(table, rows)
    whole = attribution.derive(warehouse, [NOON, NOON + HOUR], rows_at_once=10**9)
    assert len(set(whole["confidence"].to_pylist())) > 2
    for rows_at_once in (1, 50):
        assert attribution.derive(warehouse, [NOON, NOON + HOUR], rows_at_once=rows_at_once).equals(whole)


def test_hour_is_the_same_alone_and_with_its_neighbour(warehouse, write, busy):
    for table, rows in zip(("item_change", "api_event", "api_event_item"), busy, strict=True):
        write(table, rows)
    together = attribution.derive(warehouse, [NOON, NOON + HOUR]).sort_by("change_id")
    alone = [attribution.derive(warehouse, [hour]) for hour in (NOON, NOON + HOUR)]
    assert pa.concat_tables(alone).sort_by("change_id").equals(together)


def test_rivals_are_named(attribute, make_change, updated):
    row = attribute([make_change("c-1")], [updated("e-2"), updated("e-1", at=NOON + timedelta(seconds=1))])["c-1"]
    assert [row[name] for name in ("event_id", "confidence", "candidates", "rivals")] == [
        *("e-2", "identity_certain", 2),
        ["e-1"],
    ]


def test_sequence_numbers_are_compared_as_numbers(attribute, make_change, updated):
    changes = [make_change("c-2", sequence_number="10"), make_change("c-1", sequence_number="9")]
    found = attribute(changes, [updated("e-1"), updated("e-2", at=NOON + timedelta(seconds=1))])
    assert [found[name]["event_id"] for name in ("c-1", "c-2")] == ["e-1", "e-2"]


def test_request_over_the_end_of_the_hour_is_found(attribute, make_change, updated):
    change = make_change("c-1", event_time=NOON + HOUR - timedelta(seconds=1))
    assert attribute([change], [updated("e-1", at=NOON + HOUR)])["c-1"]["confidence"] == "certain"


def test_hour_comes_out_the_same_alone_and_with_others_and_is_written_once(warehouse, attribute, make_change, updated):
    changes = [make_change(f"c-{n}", event_time=NOON + n * timedelta(minutes=10)) for n in range(20)]
    attribute(changes, [updated(f"e-{n}", at=NOON + n * timedelta(minutes=10)) for n in range(0, 20, 2)])
    hours = {change["event_hour"] for change in changes}
    digests = {hour: warehouse.digest(ATTRIBUTION.name, hour) for hour in hours}
    for hour in hours:
        assert attribution.build(warehouse, [hour]) == Built()
    assert {hour: warehouse.digest(ATTRIBUTION.name, hour) for hour in hours} == digests


def test_build_names_the_hours_whose_rows_became_others(warehouse, attribute, make_change, updated, write):
    half_past = NOON + HOUR / 2
    changes = [make_change(f"c-{n}", event_time=half_past + n * HOUR) for n in range(3)]
    attribute(changes, [updated("e-0", at=half_past)])
    event, item = updated("e-1", at=half_past + HOUR)
    write("api_event", [event])
    write("api_event_item", [item])
    hours = [NOON + n * HOUR for n in range(3)]
    assert attribution.build(warehouse, hours) == Built(3, frozenset({NOON + HOUR}))
    assert attribution.build(warehouse, hours) == Built()


def test_hour_that_lost_its_last_change_is_named(warehouse, attribute, make_change):
    attribute([make_change("c-1")], [])
    warehouse.replace("item_change", TABLES["item_change"].schema.empty_table(), hours=[NOON])
    assert attribution.build(warehouse, [NOON]) == Built(0, frozenset({NOON}))


def test_neighbours_of_an_hour_are_around_it():
    assert attribution.around([NOON]) == {NOON - HOUR, NOON, NOON + HOUR}


def test_no_hours_do_nothing(warehouse):
    assert attribution.build(warehouse, []) == Built()
