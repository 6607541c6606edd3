import json
from datetime import UTC, datetime, timedelta

import pytest

from dynatrail.clock import HOUR
from dynatrail.errors import SettingsError
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.trail import items
from dynatrail.warehouse import engine
from dynatrail.warehouse.schema import TABLES

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ACCOUNT = "123456789012"
ARN = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/Patients"
SLOTS = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/Slots"
SECOND = timedelta(seconds=1)
TOKENS = Tokenizer(b"k" * 32)
ITEM = items.Item(ARN, TOKENS.item([("patient_id", "P-1")]))
ANNA = f"arn:aws:iam::{ACCOUNT}:user/ward/nurse-anna"


@pytest.fixture
def fill(warehouse, write):
    """Writes rows of several tables, each of which may have none; returns an engine over them."""

    def run(**tables):
        for name, rows in tables.items():
            if rows:
                write(name, rows)
        return engine.connect(warehouse)

    return run


@pytest.fixture
def change(make_row):
    def make(change_id, at=NOON, **overrides):
        values = {"change_id": change_id, "event_time": at, "sequence_number": change_id, "time_precision": "SECOND"}
        return make_row("item_change", **values | {"item_key_token": ITEM.item_key_token} | overrides)

    return make


@pytest.fixture
def made_by(make_row):
    def make(change_id, event_id, at=NOON, **overrides):
        values = {"change_id": change_id, "event_id": event_id, "ordinal": 0, "event_time": at, "rivals": []}
        return make_row("attribution", **values | {"item_key_token": ITEM.item_key_token} | overrides)

    return make


@pytest.fixture
def call(make_event, make_item):
    """A request that names the item: (event, item)."""

    def make(event_id, name="GetItem", operation="Get", at=NOON, item=ITEM, **overrides):
        table = {"table_arn": item.table_arn, "table_name": item.table_name}
        key = {"item_key_token": item.item_key_token, "key_attributes": ["patient_id"]}
        event = {"table_arns": [item.table_arn], "table_names": [item.table_name]}
        return (
            make_event(event_id, event_name=name, event_time=at, **event | overrides),
            make_item(event_id, event_time=at, operation=operation, **table | key),
        )

    return make


@pytest.fixture
def query(make_event):
    """A read of a table that lists no items."""

    def make(event_id, attributes=None, token=None, arn=ARN, name="Query", **overrides):
        bound = {"key_condition_attributes": attributes, "key_condition_token": token, "table_arns": [arn]}
        return make_event(event_id, event_name=name, **bound | {"request_parameters": "{}"} | overrides)

    return make


def of(life, *columns):
    return [tuple(row[name] for name in columns) for row in life.happenings.to_pylist()]


def lived(connection, item=ITEM):
    with connection:
        return items.life(connection, item, NOON - HOUR, NOON + HOUR)


def test_changes_of_one_second_are_in_the_order_of_the_stream(fill, change):
    life = lived(fill(item_change=[change("10"), change("9"), change("11", NOON + SECOND)]))
    assert of(life, "change_id") == [("9",), ("10",), ("11",)]


def test_a_change_says_who_made_it_and_what_differs(fill, change, made_by, call):
    event, item = call("e-1", "UpdateItem", "Update")
    images = {"old_image": '{"a":{"S":"x"}}', "new_image": '{"a":{"S":"y"}}'}
    life = lived(
        fill(
            item_change=[change("1", **images)],
            attribution=[made_by("1", "e-1", rivals=["e-7", "e-8"], confidence="identity_certain")],
            api_event=[event],
            api_event_item=[item],
        )
    )
    (row,) = life.happenings.to_pylist()
    assert (row["first_principal_arn"], row["principal_class"]) == (ANNA, "person")
    assert (row["confidence"], row["rivals"], row["source_ip_address"]) == ("identity_certain", 2, "192.0.2.10")
    assert row["differences"] == [{"path": "a", "before": '{"S":"x"}', "after": '{"S":"y"}'}]


def test_a_change_without_images_has_no_differences_and_says_why(fill, change):
    life = lived(fill(item_change=[change("1", view_type="KEYS_ONLY")]))
    assert of(life, "differences", "view_type", "method") == [(None, "KEYS_ONLY", "not_attributed")]


def test_a_change_by_a_statement_that_names_no_item_still_has_its_caller(fill, change, made_by, call):
    event, item = call("e-1", "ExecuteStatement", "Put")
    life = lived(
        fill(
            item_change=[change("1", change_type="INSERT", new_image="{}")],
            attribution=[made_by("1", "e-1")],
            api_event=[event],
            api_event_item=[item | {"item_key_token": None}],
        )
    )
    assert of(life, "kind", "event_id", "source_ip_address") == [("change", "e-1", "192.0.2.10")]


def test_reads_and_writes_without_effect_are_told(fill, call):
    calls = [
        call("read"),
        call("failed", "PutItem", "Put", NOON + SECOND, error_code="ConditionalCheckFailedException"),
        call("idle", "UpdateItem", "Update", NOON + 2 * SECOND),
    ]
    life = lived(fill(api_event=[event for event, _ in calls], api_event_item=[item for _, item in calls]))
    assert of(life, "kind", "event_id", "outcome") == [
        ("read", "read", "success"),
        ("no_change", "failed", "failure"),
        ("no_change", "idle", "success"),
    ]
    assert "condition" in life.happenings["reason"][1].as_py()


def test_a_write_that_made_a_change_is_told_once(fill, change, made_by, call):
    event, item = call("e-1", "UpdateItem", "Update")
    life = lived(
        fill(item_change=[change("1")], attribution=[made_by("1", "e-1")], api_event=[event], api_event_item=[item])
    )
    assert of(life, "kind") == [("change",)]


def test_records_of_forged_files_are_left_out_and_counted(fill, call):
    event, item = call("e-1", attestation="forged")
    life = lived(fill(api_event=[event], api_event_item=[item]))
    assert (life.happenings.num_rows, life.unbelieved) == (0, 1)


@pytest.fixture
def forged_copy(call):
    """A write, and a forged record in another region that has its id and another caller: (events, items)."""
    event, item = call("e-1", "UpdateItem", "Update", request_parameters='{"returnValues":"ALL_NEW"}')
    elsewhere = {"region": "aa-forged-1"}
    bob = {"principal_arn": f"arn:aws:iam::{ACCOUNT}:user/bob", "access_key_id": "AKIABOB", "attestation": "forged"}
    return [event, event | elsewhere | bob], [item, item | elsewhere]


def test_a_forged_record_with_a_real_events_id_is_nothing_in_the_life(fill, change, made_by, forged_copy):
    events, named = forged_copy
    life = lived(
        fill(item_change=[change("1")], attribution=[made_by("1", "e-1")], api_event=events, api_event_item=named)
    )
    told = of(life, "kind", "event_id", "first_principal_arn", "attestation", "returned_image")
    assert told == [("change", "e-1", ANNA, "attested", "ALL_NEW")]


def test_a_forged_record_with_a_real_events_id_reads_nothing(fill, forged_copy):
    events, named = forged_copy
    with fill(api_event=events, api_event_item=named) as connection:
        found = items.readers(connection, [ITEM], NOON - HOUR, NOON + HOUR)
    assert [(row["first_principal_arn"], row["event_id"]) for row in found.reads.to_pylist()] == [(ANNA, "e-1")]
    assert [row["returned_by_writes"] for row in found.exact.to_pylist()] == [1]


def test_the_whole_tables_are_there_afterwards(fill, call):
    calls = [call("mine"), call("other", item=items.Item(ARN, "tok-other"))]
    connection = fill(api_event=[event for event, _ in calls], api_event_item=[item for _, item in calls])
    items.life(connection, ITEM, NOON - HOUR, NOON + HOUR)
    assert connection.sql("SELECT event_id FROM api_event_item").fetchall() == [("mine",), ("other",)]
    views = connection.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    assert {name for (name,) in views} == set(TABLES)
    connection.close()


def test_queries_of_the_items_partition_are_likely_and_of_others_excluded(fill, query):
    slot = items.of_key(SLOTS, {"clinic": "C-1", "at": "10:00"}, items.KeySchema(()), TOKENS)
    mine, other = (TOKENS.item([("clinic", clinic)]) for clinic in ("C-1", "C-2"))
    events = [
        query("mine", ["clinic"], mine, SLOTS),
        query("other", ["clinic"], other, SLOTS),
        query("index", ["patient"], "t1:x", SLOTS, index_name="PatientIndex"),
        query("scan", arn=SLOTS, name="Scan"),
        query("elsewhere", name="Scan"),
    ]
    life = lived(fill(api_event=events), slot)
    found = {row["event_id"]: row["bound"] for row in life.possible_reads.to_pylist()}
    assert found == {"mine": "likely", "index": "possible", "scan": "possible"}
    assert life.excluded == 1
    assert life.happenings.num_rows == 0


def test_a_token_learns_its_partition_from_a_request_that_names_it(fill, call, query):
    whole = {"clinic": "C-1", "at": "10:00"}
    token = TOKENS.item(whole.items())
    event, item = call("e-1", item=items.Item(SLOTS, token))
    values = {name: TOKENS.value(text) for name, text in whole.items()}
    event["request_parameters"] = json.dumps({"key": values})
    item["key_attributes"] = ["at", "clinic"]
    asked = [("mine", "C-1"), ("other", "C-2")]
    queries = [
        query(
            name, ["clinic"], TOKENS.item([("clinic", clinic)]), SLOTS,
            request_parameters=json.dumps({"key": {"clinic": TOKENS.value(clinic)}}),
        )
        for name, clinic in asked
    ]  # fmt: skip
    life = lived(fill(api_event=[event, *queries], api_event_item=[item]), items.of_token(SLOTS, token))
    assert [row["event_id"] for row in life.possible_reads.to_pylist()] == ["mine"]
    assert life.excluded == 1


def test_without_such_a_request_all_queries_are_possible_and_it_is_said(fill, query):
    token = TOKENS.item([("clinic", "C-1"), ("at", "10:00")])
    life = lived(fill(api_event=[query("q", ["clinic"], "t1:x", SLOTS)]), items.of_token(SLOTS, token))
    assert life.possible_reads["bound"].to_pylist() == ["possible"]
    assert any("Give the key itself" in said for said in life.unknown)


def test_exports_are_copies_that_say_where_to(fill, query):
    export = query("x", name="ExportTableToPointInTime", request_parameters='{"s3Bucket":"example-exports"}')
    (row,) = lived(fill(api_event=[export])).possible.to_pylist()
    assert (row["kind"], row["copied_to"], row["calls"]) == ("copy", "example-exports", 1)


def test_denied_calls_of_the_table_are_listed(fill, make_event):
    denied = make_event(
        "d", event_name="GetItem", error_code="AccessDenied", denied_action="dynamodb:GetItem", denied_resource_arn=ARN
    )
    assert lived(fill(api_event=[denied])).denied["event_id"].to_pylist() == ["d"]


def test_the_same_table_elsewhere_is_named(fill, make_row):
    there = ARN.replace("eu-west-1", "us-east-1")
    described = [make_row("table_config", resource_arn=arn, region=arn.split(":")[3]) for arn in (ARN, there)]
    assert lived(fill(table_config=described)).elsewhere == (there,)


def test_readers_tell_reads_from_answers_to_writes(fill, call):
    calls = [
        call("get"),
        call("delete", "DeleteItem", "Delete", request_parameters='{"returnValues":"ALL_OLD"}'),
        call("put", "PutItem", "Put", request_parameters='{"returnValues":"NONE"}'),
    ]
    connection = fill(api_event=[event for event, _ in calls], api_event_item=[item for _, item in calls])
    with connection:
        found = items.readers(connection, [ITEM, ITEM], NOON - HOUR, NOON + HOUR)
    (row,) = found.exact.to_pylist()
    assert (row["first_principal_arn"], row["reads"], row["returned_by_writes"], row["items"]) == (ANNA, 1, 1, 1)


def test_a_read_is_of_the_table_whose_item_was_asked_for(fill, call):
    """One key has one token in every table."""
    event, item = call("e", item=items.Item(SLOTS, ITEM.item_key_token))
    with fill(api_event=[event], api_event_item=[item]) as connection:
        assert items.readers(connection, [ITEM], NOON - HOUR, NOON + HOUR).exact.num_rows == 0


def test_reach_of_a_key_has_what_the_sessions_did_that_it_issued(fill, call):
    names = TABLES["session"].schema.names
    session = dict.fromkeys(names) | {
        "started_at": NOON, "event_hour": NOON, "event_date": NOON.date(), "account_id": ACCOUNT, "region": "eu-west-1",
        "access_key_id": "ASIACHILD0001", "parent_access_key_id": "ASIAPARENT001", "principal_class": "person",
        "issued_event_id": "i",
    }  # fmt: skip
    calls = [call("parent", access_key_id="ASIAPARENT001"), call("child", access_key_id="ASIACHILD0001"), call("other")]
    connection = fill(
        session=[session], api_event=[event for event, _ in calls], api_event_item=[item for _, item in calls]
    )
    with connection:
        found = items.reach(connection, "ASIAPARENT001", NOON - HOUR, NOON + HOUR)
        outside = items.reach(connection, "ASIACHILD0001", NOON + HOUR, NOON + 2 * HOUR)
    assert found.events == 2
    assert found.sessions["access_key_id"].to_pylist() == ["ASIAPARENT001", "ASIACHILD0001"]
    assert [row["reads"] for row in found.items.to_pylist()] == [2]
    assert any("people are not counted" in said for said in found.unknown)
    assert (outside.events, outside.first) == (0, None)


def test_most_telling_of_nothing_is_nothing(fill):
    with fill() as connection:
        assert items.most_telling(connection, NOON, NOON + HOUR) is None


@pytest.fixture
def two_regions(fill, make_row):
    there = ARN.replace("eu-west-1", "us-east-1")
    described = [
        make_row("table_config", resource_arn=arn, resource_name=arn.split("/")[1], region=arn.split(":")[3])
        for arn in (ARN, there, SLOTS)
    ]
    with fill(table_config=described) as connection:
        yield connection


def test_a_table_is_found_by_name_and_by_arn(two_regions):
    assert items.table_arn(two_regions, "Slots") == SLOTS
    assert items.table_arn(two_regions, ARN) == ARN


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("Patients", "There are 2 tables named Patients"),
        ("Slosts", "did you mean Slots?"),
        ("slots", "did you mean Slots?"),
        ("Zzzzzzz", "It knows Patients, Slots."),
    ],
)
def test_a_table_that_is_not_one_is_told_with_what_there_is(two_regions, named, said):
    with pytest.raises(SettingsError) as refused:
        items.table_arn(two_regions, named)
    assert said in str(refused.value)


def test_the_candidates_of_a_name_are_listed(two_regions):
    with pytest.raises(SettingsError, match=ARN):
        items.table_arn(two_regions, "Patients")


def test_a_description_tells_which_attributes_are_numbers(fill, make_row):
    document = json.dumps(
        {
            "KeySchema": [{"AttributeName": "visit", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "visit", "AttributeType": "N"}],
        }
    )
    with fill(table_config=[make_row("table_config", document=document)]) as connection:
        schema = items.key_schema(connection, ARN, NOON, NOON + HOUR)
    assert items.of_key(ARN, {"visit": "1042.0"}, schema, TOKENS).item_key_token == TOKENS.item([("visit", "1042")])


def test_a_key_of_other_attributes_than_the_tables_is_refused():
    schema = items.KeySchema(("at", "clinic"))
    with pytest.raises(SettingsError, match="The key of Slots is at and clinic, but clinic was given"):
        items.of_key(SLOTS, {"clinic": "C-1"}, schema, TOKENS)


@pytest.mark.parametrize("token", ["", "t1:xyz", "t1:" + "A" * 32, "P-000007"])
def test_what_is_no_token_is_refused(token):
    with pytest.raises(SettingsError, match="is no token"):
        items.of_token(ARN, token)
