from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.clock import HOUR
from dynatrail.trail import items
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import TABLES

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/Patients"
ITEM = items.Item(ARN, "tok-1")
SECOND = timedelta(seconds=1)


@pytest.fixture
def change(make_row):
    def make(change_id, at=NOON, **overrides):
        values = {"change_id": change_id, "event_time": at, "time_precision": "SECOND", "sequence_number": change_id}
        return make_row("item_change", **values | overrides)

    return make


@pytest.fixture
def stated():
    """What the stream's reader says of hours: complete, unless said otherwise."""

    def make(hours, **overrides):
        named = {"account_id": "123456789012", "region": "eu-west-1", "source": "streams", "table_name": "Patients"}
        return [
            dict.fromkeys(TABLES["source_statement"].schema.names)
            | named
            | {"event_hour": hour, "event_date": hour.date(), "status": "complete"}
            | overrides
            for hour in hours
        ]

    return make


@pytest.fixture
def state(warehouse, rows_of, stated):
    """The state at an instant; by default the stream was read whole."""

    def run(at, changes, statements=None):
        hours = [NOON + number * HOUR for number in range(-3, 6)]
        said = stated(hours) if statements is None else statements
        extra = {"item_change": rows_of("item_change", changes), "source_statement": rows_of("source_statement", said)}
        with engine.connect(warehouse, extra=extra) as connection:
            return items.state_at(connection, ITEM, at)

    return run


def test_is_what_the_newest_change_before_left(state, change):
    found = state(NOON + HOUR, [change("1", new_image='{"a":{"S":"old"}}'), change("2", NOON + SECOND, new_image="{}")])
    assert (found.existed, found.image, found.basis, found.change_id) == (True, "{}", "change_before", "2")
    assert found.certain
    assert found.reasons == ()


def test_is_what_the_next_change_found_where_none_is_before(state, change):
    found = state(NOON - HOUR, [change("1", old_image="{}", new_image='{"a":{"S":"x"}}')])
    assert (found.existed, found.image, found.basis) == (True, "{}", "change_after")


def test_an_item_that_the_next_change_inserts_did_not_exist(state, change):
    found = state(NOON - HOUR, [change("1", change_type="INSERT", new_image="{}")])
    assert (found.existed, found.image, found.certain) == (False, None, True)


def test_an_item_that_was_removed_does_not_exist(state, change):
    found = state(NOON + HOUR, [change("1", change_type="REMOVE", old_image="{}")])
    assert (found.existed, found.image) == (False, None)


def test_nothing_is_known_of_an_item_without_changes(state):
    found = state(NOON, [])
    assert (found.existed, found.image, found.certain) == (None, None, False)
    assert "No change of it is in the warehouse" in found.reasons[0]


def test_another_items_changes_say_nothing(state, change):
    assert state(NOON, [change("1", item_key_token="tok-2", new_image="{}")]).existed is None


def test_an_image_that_the_stream_does_not_give_is_not_known(state, change):
    found = state(NOON + HOUR, [change("1", view_type="KEYS_ONLY")])
    assert (found.existed, found.image, found.certain) == (True, None, False)
    assert "KEYS_ONLY" in found.reasons[0]


def test_old_images_alone_tell_what_was_before_the_next_change(state, change):
    changes = [change("1", view_type="OLD_IMAGE"), change("2", NOON + 2 * HOUR, old_image="{}", view_type="OLD_IMAGE")]
    found = state(NOON + HOUR, changes)
    assert (found.existed, found.image, found.basis) == (True, "{}", "change_after")


def test_the_second_of_a_change_is_ambiguous(state, change):
    changes = [change("9", new_image='{"a":{"S":"x"}}'), change("10", new_image="{}")]
    found = state(NOON + SECOND / 2, changes)
    assert (found.image, found.certain) == ("{}", False)
    assert "2 changes of it are of 2026-11-01T12:00:00Z, told to the second" in found.reasons[0]


def test_the_second_after_is_not(state, change):
    assert state(NOON + SECOND, [change("1", new_image="{}")]).certain


def test_a_time_in_milliseconds_is_not_ambiguous_for_a_second(state, change):
    found = state(NOON + SECOND / 2, [change("1", new_image="{}", time_precision="MILLISECOND")])
    assert found.certain


def test_a_gap_between_change_and_instant_is_told(state, change, stated):
    hours = [NOON + number * HOUR for number in range(4)]
    statements = stated(hours[:1] + hours[2:]) + stated(hours[1:2], status="incomplete", reasons=["trimmed"])
    found = state(NOON + 2 * HOUR, [change("1", new_image="{}")], statements)
    assert (found.image, found.certain) == ("{}", False)
    assert "(trimmed) in the hours of 2026-11-01T13:00:00Z" in found.reasons[0]


def test_a_gap_elsewhere_does_not_matter(state, change, stated):
    hours = [NOON + number * HOUR for number in range(3)]
    statements = stated(hours) + stated([NOON - HOUR], status="incomplete", reasons=["trimmed"])
    assert state(NOON + 2 * HOUR, [change("1", new_image="{}")], statements).certain


def test_hours_of_which_nothing_is_stated_are_told(state, change, stated):
    found = state(NOON + 2 * HOUR, [change("1", new_image="{}")], stated([NOON]))
    assert "no source states anything of 2 of 3 hours" in found.reasons[0]


def test_changes_that_do_not_meet_show_a_missing_one(state, change):
    changes = [change("1", new_image="{}"), change("2", NOON + 2 * HOUR, old_image='{"a":{"S":"x"}}')]
    found = state(NOON + HOUR, changes)
    assert (found.image, found.certain) == ("{}", False)
    assert "do not fit" in found.reasons[0]


def test_a_net_change_that_spans_the_instant_is_told(state, change):
    net = change(
        "2", NOON + HOUR, old_image="{}", reconstructed=True, reconstructed_from=NOON - HOUR,
        reconstructed_to=NOON + 2 * HOUR, change_origin="export",
    )  # fmt: skip
    found = state(NOON, [net])
    assert (found.image, found.certain) == ("{}", False)
    assert "sums up what an export shows" in found.reasons[0]
