import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynatrail.clock import HOUR, hour_of
from dynatrail.trail import timeline
from dynatrail.warehouse.schema import AUDIT_RECORD
from dynatrail.warehouse.store import Warehouse

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def table_arn(name):
    return f"arn:aws:dynamodb:eu-west-1:123456789012:table/{name}"


def digest(warehouse, at=NOON):
    return warehouse.digest(AUDIT_RECORD.name, hour_of(at))


def records(warehouse):
    return warehouse.dataset(AUDIT_RECORD.name).to_table().to_pylist()


def test_build_twice_gives_the_same_digest_and_commits_once(warehouse, write, make_event, make_item):
    write("api_event", [make_event("e-1", table_names=["Patients"], table_arns=[table_arn("Patients")])])
    write("api_event_item", [make_item("e-1")])
    assert timeline.build(warehouse, [NOON]) == 1
    first = digest(warehouse), warehouse.versions([AUDIT_RECORD.name])
    assert timeline.build(warehouse, [NOON]) == 0
    assert (digest(warehouse), warehouse.versions([AUDIT_RECORD.name])) == first


def test_digest_does_not_depend_on_the_order_of_arrival(tmp_path, make_event, make_item, rows_of):
    events = [make_event(f"e-{n}", event_time=NOON + timedelta(minutes=n)) for n in range(8)]
    items = [make_item(e["event_id"], ordinal, event_time=e["event_time"]) for e in events for ordinal in range(3)]
    found = set()
    for name, step in (("forward", 1), ("backward", -1)):
        warehouse = Warehouse(str(tmp_path / name))
        warehouse.replace("api_event", rows_of("api_event", events[::step]), hours=[NOON])
        warehouse.replace("api_event_item", rows_of("api_event_item", items[::step]), hours=[NOON])
        timeline.build(warehouse, [NOON])
        found.add(digest(warehouse))
    assert len(found) == 1


def test_only_the_named_hours_are_rebuilt(warehouse, write, make_event):
    hours = [NOON, NOON + HOUR, NOON + 2 * HOUR]
    write("api_event", [make_event(f"e-{h.hour}", event_time=h) for h in hours])
    timeline.build(warehouse, [NOON, NOON + 2 * HOUR])
    assert {record["event_hour"] for record in records(warehouse)} == {NOON, NOON + 2 * HOUR}


def test_any_instant_names_its_hour(warehouse, write, make_event):
    write("api_event", [make_event()])
    assert timeline.build(warehouse, [NOON + timedelta(minutes=59)]) == 1


def test_hours_of_many_days_are_rebuilt(warehouse, write, make_event):
    hours = [NOON + timedelta(days=day) for day in (0, 1, 40)]
    write("api_event", [make_event(f"e-{h.isoformat()}", event_time=h) for h in hours])
    assert timeline.build(warehouse, [*hours, NOON + timedelta(days=2)]) == 3


def test_no_hours_do_nothing(warehouse):
    assert timeline.build(warehouse, []) == 0
    assert warehouse.versions() == {}


def test_late_event_joins_its_hour_and_leaves_the_other_records(warehouse, write, make_event):
    write("api_event", [make_event("e-1")])
    timeline.build(warehouse, [NOON])
    (before,) = records(warehouse)
    write("api_event", [make_event("e-1"), make_event("e-late", event_time=NOON + timedelta(seconds=1))])
    timeline.build(warehouse, [NOON])
    after = records(warehouse)
    assert len(after) == 2
    assert before in after


def test_event_that_was_superseded_leaves_no_record(warehouse, write, make_event):
    write("api_event", [make_event("e-wrong")])
    timeline.build(warehouse, [NOON])
    write("api_event", [make_event("e-corrected")])
    timeline.build(warehouse, [NOON])
    assert [record["event_id"] for record in records(warehouse)] == ["e-corrected"]


def test_build_that_is_overtaken_by_a_fuller_one_does_not_undo_it(warehouse, write, make_event, monkeypatch):
    """The first build reads one event and is slow; meanwhile a second event arrives and is built."""
    write("api_event", [make_event("e-1")])
    timeline.build(warehouse, [NOON + HOUR])  # so that the table exists
    read_old, may_write, derive = threading.Event(), threading.Event(), timeline.derive

    def slow(*args, **options):
        rows = derive(*args, **options)
        read_old.set()
        assert may_write.wait(30)
        return rows

    monkeypatch.setattr(timeline, "derive", slow)
    first = threading.Thread(target=timeline.build, args=(warehouse, [NOON]))
    first.start()
    assert read_old.wait(30)
    monkeypatch.setattr(timeline, "derive", derive)
    write("api_event", [make_event("e-1"), make_event("e-2")])
    timeline.build(warehouse, [NOON])
    may_write.set()
    first.join(30)
    assert sorted(record["event_id"] for record in records(warehouse)) == ["e-1", "e-2"]


_TABLES = st.lists(st.sampled_from(["Patients", "Visits", "Wards"]), unique=True, max_size=3)
_ITEMS = st.lists(st.sampled_from(["Patients", "Visits", "Beds"]), max_size=4)
_EVENTS = st.lists(st.tuples(_TABLES, _ITEMS, st.sampled_from(["123456789012", "210987654321"])), max_size=20)


@given(events=_EVENTS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_records_are_items_then_tables_without_items_then_the_event(events, make_event, make_item, derived):
    made, items, expected = [], [], 0
    for number, (tables, of_items, account) in enumerate(events):
        # One event id in two accounts is two events.
        owner = {"recipient_account_id": account, "region": f"region-{number}"}
        arns = [table_arn(name) for name in tables]
        made.append(make_event("e-1", table_names=sorted(tables), table_arns=sorted(arns), **owner))
        items += [
            make_item("e-1", ordinal, table_name=name, table_arn=table_arn(name), **owner)
            for ordinal, name in enumerate(of_items)
        ]
        expected += len(of_items) + len(set(tables) - set(of_items)) or 1
    found = derived(made, items)
    assert len(found) == expected
    assert len({row["record_id"] for row in found}) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"recipient_account_id": "1", "region": "23"}, {"recipient_account_id": "12", "region": "3"}),
        ({"event_id": "e 4:item"}, {"event_id": "e"}),
        ({"event_id": "e-1", "region": "us-east-1"}, {"event_id": "e-1", "region": "us-east-2"}),
    ],
)
def test_different_keys_have_different_record_ids(one, other, make_event, derived):
    assert len({row["record_id"] for row in derived([make_event(**one), make_event(**other)], [])}) == 2


def test_hours_with_many_events_are_rebuilt_apart(warehouse, write, make_event, monkeypatch):
    monkeypatch.setattr(timeline, "ROWS_AT_ONCE", 3)
    per_hour = {0: 2, 1: 1, 2: 1, 3: 9, 5: 1}
    write(
        "api_event",
        [make_event(f"e-{h}-{n}", event_time=NOON + h * HOUR) for h, count in per_hour.items() for n in range(count)],
    )
    together = []
    derive = timeline.derive
    monkeypatch.setattr(
        timeline, "derive", lambda w, hours, **options: together.append(hours) or derive(w, hours, **options)
    )
    assert timeline.build(warehouse, [NOON + h * HOUR for h in range(6)]) == 14
    assert [[(hour - NOON) // HOUR for hour in hours] for hours in together] == [[0, 1], [2], [3], [4, 5]]
