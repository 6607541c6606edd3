"""What stays of several deliveries depends on the deliveries, never on their order or batching."""

from datetime import UTC, datetime
from itertools import pairwise

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from dynatrail.sources.cloudtrail.merge import merge_events, merge_items
from dynatrail.warehouse.digest import digest_batches
from dynatrail.warehouse.schema import API_EVENT, API_EVENT_ITEM

START = datetime(2026, 11, 1, 3, tzinfo=UTC)
COMMON = {
    "event_time": START,
    "event_hour": START,
    "event_date": START.date(),
    "recipient_account_id": "123456789012",
    "region": "eu-central-1",
    "event_source": "dynamodb.amazonaws.com",
    "event_name": "GetItem",
    "source_sha256": "00",
    "attestation": "not_yet_attested",
    "ocsf_class_uid": 6005,
}


def rows_of(schema, found):
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | COMMON | row for row in found], schema=schema)


def event(number, uri, index=0, original=None, **columns):
    corrected = None if original is None else f"e{original}"
    position = {"source_uri": uri, "source_index": index, "original_event_id": corrected}
    return {"event_id": f"e{number}"} | position | columns


def files_of(deliveries):
    """The rows of each file: deliveries are (file, event number, original event number or None)."""
    files = {}
    for file, number, original in deliveries:
        rows = files.setdefault(f"s3://b/{file}", [])
        rows.append(event(number, f"s3://b/{file}", len(rows), original))
    return files


def taken_in(files, order):
    events, items = rows_of(API_EVENT.schema, []), rows_of(API_EVENT_ITEM.schema, [])
    for batch in order:
        found = [row for uri in batch for row in files[uri]]
        named = [row | {"ordinal": n, "operation": "Get"} for row in found for n in (0, 1)]
        events = merge_events(events, rows_of(API_EVENT.schema, found), batch)
        items = merge_items(items, rows_of(API_EVENT_ITEM.schema, named), batch)
    return events, items


def digest(table, rows):
    return digest_batches(table.name, rows.sort_by([(name, "ascending") for name in table.order_by]).to_batches())


def summary(events):
    columns = ("event_id", "source_uri", "source_index", "copies")
    return sorted(tuple(map(str, row)) for row in zip(*(events[name].to_pylist() for name in columns), strict=True))


deliveries = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.one_of(st.none(), st.none(), st.integers(0, 3))), max_size=14
)


@settings(max_examples=40)
@given(deliveries=deliveries, data=st.data())
def test_any_order_and_batching_gives_the_same_rows(deliveries, data):
    files = files_of(deliveries)
    expected = taken_in(files, [sorted(files)])
    order = data.draw(st.permutations(sorted(files)))
    cuts = data.draw(st.lists(st.integers(0, len(order)), max_size=4))
    bounds = [0, *sorted(cuts), len(order)]
    batches = [order[a:b] for a, b in pairwise(bounds)]
    again = data.draw(st.lists(st.sampled_from(sorted(files)), unique=True)) if files else []
    events, items = taken_in(files, [*batches, again, sorted(files)])
    assert digest(API_EVENT, events) == digest(API_EVENT, expected[0])
    assert digest(API_EVENT_ITEM, items) == digest(API_EVENT_ITEM, expected[1])


@settings(max_examples=40)
@given(deliveries=deliveries, data=st.data())
def test_batches_alone_give_the_same_rows_without_taking_again(deliveries, data):
    files = files_of(deliveries)
    order = data.draw(st.permutations(sorted(files)))
    events, items = taken_in(files, [[uri] for uri in order])
    expected_events, expected_items = taken_in(files, [sorted(files)])
    assert summary(events) == summary(expected_events)
    assert digest(API_EVENT, events) == digest(API_EVENT, expected_events)
    assert digest(API_EVENT_ITEM, items) == digest(API_EVENT_ITEM, expected_items)


@settings(max_examples=40)
@given(deliveries=deliveries)
def test_every_delivery_is_a_row_or_counted_as_a_copy(deliveries):
    files = files_of(deliveries)
    events, _ = taken_in(files, [sorted(files)])
    rows = events.to_pylist()
    own = [f"{row['source_uri']}#{row['source_index']}" for row in rows]
    copies = [position for row in rows for position in row["copies"] or ()]
    every = [f"{row['source_uri']}#{row['source_index']}" for found in files.values() for row in found]
    assert sorted(own + copies) == sorted(every)
    corrected = [row["original_event_id"] or row["event_id"] for row in rows]
    assert len(set(corrected)) == len(rows)


def test_addendum_supersedes_the_event_that_it_names_even_if_it_came_first():
    files = files_of([("a", 9, 1), ("b", 1, None)])
    for order in ([["s3://b/a"], ["s3://b/b"]], [["s3://b/b"], ["s3://b/a"]]):
        (row,) = taken_in(files, order)[0].to_pylist()
        assert (row["event_id"], row["copies"]) == ("e9", ["s3://b/b#0"])


def test_of_two_addenda_the_later_delivered_stays():
    files = files_of([("a", 8, 1), ("b", 9, 1)])
    (row,) = taken_in(files, [sorted(files)])[0].to_pylist()
    assert (row["event_id"], row["copies"]) == ("e9", ["s3://b/a#0"])


def test_of_two_copies_the_first_delivered_stays():
    files = files_of([("b", 1, None), ("a", 1, None)])
    (row,) = taken_in(files, [["s3://b/b"], ["s3://b/a"]])[0].to_pylist()
    assert (row["source_uri"], row["copies"]) == ("s3://b/a", ["s3://b/b#0"])


def test_taking_a_file_again_with_a_better_parser_replaces_its_rows_wholly():
    before = rows_of(API_EVENT.schema, [event(1, "s3://b/a"), event(2, "s3://b/a", 1), event(3, "s3://b/b")])
    better = rows_of(API_EVENT.schema, [event(1, "s3://b/a", user_agent="read now")])
    after = merge_events(before, better, ["s3://b/a"]).to_pylist()
    assert sorted((row["event_id"], row["user_agent"]) for row in after) == [("e1", "read now"), ("e3", None)]


def test_taking_a_file_again_forgets_the_copies_that_it_no_longer_has():
    files = files_of([("a", 1, None), ("b", 1, None)])
    events, _ = taken_in(files, [sorted(files)])
    (row,) = merge_events(events, rows_of(API_EVENT.schema, []), ["s3://b/b"]).to_pylist()
    assert (row["source_uri"], row["copies"]) == ("s3://b/a", None)


def test_event_whose_row_went_but_that_another_file_still_holds_is_not_lost():
    """The copy is only a position; its file must be taken again."""
    events, _ = taken_in(
        files_of([("a", 1, None), ("b", 1, None), ("c", 2, None)]), [["s3://b/a", "s3://b/b", "s3://b/c"]]
    )
    lost = set()
    merge_events(events, rows_of(API_EVENT.schema, []), ["s3://b/a"], lost)
    assert lost == {"s3://b/b"}
