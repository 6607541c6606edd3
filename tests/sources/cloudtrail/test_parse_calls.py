"""Each DynamoDB call, in every shape that CloudTrail is known to give it, and what becomes of it."""

import json

import pytest

ARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/"


@pytest.fixture
def item(tokens):
    """The token of an item, by its key."""
    return lambda **key: tokens.item(key.items())


@pytest.fixture
def parameters(event_of):
    return lambda record, **options: json.loads(event_of(record, **options)["request_parameters"])


def test_every_column_of_a_get_item(event_of, make_record, tokens):
    row = event_of(make_record())
    identity = make_record()["userIdentity"]
    assert json.loads(row.pop("user_identity")) == identity
    assert json.loads(row.pop("request_parameters")) == {
        "tableName": "Patients",
        "key": {"patient_id": tokens.value("pat-4711")},
    }
    instants = {name: row.pop(name).isoformat() for name in ("event_time", "event_hour", "session_created_at")}
    assert instants == {
        "event_time": "2026-11-01T03:04:05+00:00",
        "event_hour": "2026-11-01T03:00:00+00:00",
        "session_created_at": "2026-11-01T02:58:00+00:00",
    }
    assert row.pop("event_date").isoformat() == "2026-11-01"
    assert len(row.pop("source_sha256")) == 64
    assert {name: value for name, value in row.items() if value is not None} == {
        "event_id": "00000000-0000-4000-8000-000000000001",
        "recipient_account_id": "123456789012",
        "region": "eu-central-1",
        "account_id": "123456789012",
        "event_source": "dynamodb.amazonaws.com",
        "event_name": "GetItem",
        "event_version": "1.11",
        "event_type": "AwsApiCall",
        "event_category": "Data",
        "management_event": False,
        "read_only": True,
        "api_version": "2012-08-10",
        "table_names": ["Patients"],
        "table_arns": [ARN + "Patients"],
        "resource_arns": [ARN + "Patients"],
        "principal_type": "AssumedRole",
        "principal_arn": "arn:aws:sts::123456789012:assumed-role/clinic/jane@example.com",
        "principal_id": "AROAEXAMPLEID:jane@example.com",
        "access_key_id": "ASIAEXAMPLE",
        "session_name": "jane@example.com",
        "session_issuer_arn": "arn:aws:iam::123456789012:role/path/clinic",
        "mfa_authenticated": False,
        "source_ip_address": "192.0.2.10",
        "user_agent": "aws-cli/2.31",
        "tls_version": "TLSv1.3",
        "request_id": "REQUESTVV4KQNSO5AEMVJF66Q9ASUAAJG",
        "source_uri": "s3://example-trail/AWSLogs/123456789012/CloudTrail/eu-central-1/2026/11/01/one.json.gz",
        "source_index": 0,
        "attestation": "not_yet_attested",
        "ocsf_class_uid": 6005,
    }


def test_every_column_of_the_item_that_a_get_item_names(items_of, make_record, item):
    (row,) = items_of(make_record())
    for name in ("event_time", "event_hour", "event_date", "source_sha256"):
        row.pop(name)
    assert row == {
        "event_id": "00000000-0000-4000-8000-000000000001",
        "recipient_account_id": "123456789012",
        "region": "eu-central-1",
        "table_name": "Patients",
        "table_arn": ARN + "Patients",
        "item_key_token": item(patient_id="pat-4711"),
        "key_attributes": ["patient_id"],
        "operation": "Get",
        "ordinal": 0,
        "attribute_names": None,
        "update_expression": None,
        "original_event_id": None,
        "source_uri": "s3://example-trail/AWSLogs/123456789012/CloudTrail/eu-central-1/2026/11/01/one.json.gz",
        "source_index": 0,
    }


def test_get_item_with_projection_names_the_attributes_read(event_of, make_call):
    asked = {
        "tableName": "Patients",
        "key": {"patient_id": "pat-4711"},
        "projectionExpression": "#n, address.city, visits[0]",
        "expressionAttributeNames": {"#n": "name"},
        "consistentRead": True,
    }
    assert event_of(make_call("GetItem", asked))["attribute_names"] == ["address", "name", "visits"]


@pytest.mark.parametrize("member", ["items", "item"])
def test_put_item_lists_attribute_names_in_either_spelling(member, parse, make_call, item):
    asked = {"tableName": "Patients", "key": {"patient_id": "pat-4711"}, member: ["ward", "patient_id", "name"]}
    (event,), (put,) = parse(make_call("PutItem", asked))
    assert event["attribute_names"] == ["name", "patient_id", "ward"]
    assert (put["operation"], put["item_key_token"]) == ("Put", item(patient_id="pat-4711"))
    assert put["attribute_names"] == ["name", "patient_id", "ward"]


def test_update_item_resolves_its_expression(parse, make_call):
    asked = {
        "tableName": "Patients",
        "key": {"patient_id": "pat-4711"},
        "updateExpression": "SET #w = :w, visits = if_not_exists(visits, :z) + :one REMOVE note ADD tags :t",
        "expressionAttributeNames": {"#w": "ward"},
        "conditionExpression": "attribute_exists(patient_id)",
        "returnConsumedCapacity": "TOTAL",
    }
    (event,), (updated,) = parse(make_call("UpdateItem", asked))
    assert event["attribute_names"] == ["note", "tags", "visits", "ward"]
    assert event["update_expression"] == (
        "SET ward = :w, visits = if_not_exists(visits, :z) + :one REMOVE note ADD tags :t"
    )
    assert (updated["operation"], updated["update_expression"]) == ("Update", event["update_expression"])


def test_legacy_update_item_names_its_attributes(event_of, make_call, parameters, tokens):
    asked = {
        "tableName": "Patients",
        "key": {"patient_id": "pat-4711"},
        "attributeUpdates": {"ward": {"action": "PUT"}, "note": {"action": "DELETE"}},
        "expected": {"ward": {}, "name": {"exists": False}},
    }
    record = make_call("UpdateItem", asked)
    assert event_of(record)["attribute_names"] == ["note", "ward"]
    assert parameters(record) == asked | {"key": {"patient_id": tokens.value("pat-4711")}}


def test_delete_item_names_its_item(items_of, make_call, item):
    asked = {"tableName": "Patients", "key": {"patient_id": "pat-4711", "visit": "2026-11-01"}}
    (row,) = items_of(make_call("DeleteItem", asked))
    assert (row["operation"], row["key_attributes"]) == ("Delete", ["patient_id", "visit"])
    assert row["item_key_token"] == item(visit="2026-11-01", patient_id="pat-4711")


def test_query_is_bound_by_a_key_condition_and_names_no_item(parse, make_call, item):
    asked = {
        "tableName": "Patients",
        "indexName": "by-ward",
        "key": {"ward": "ward-12"},
        "keyConditionExpression": "#w = :w",
        "expressionAttributeNames": {"#w": "ward"},
        "filterExpression": "age > :a",
    }
    (event,), items = parse(make_call("Query", asked, vpcEndpointId="vpce-0example"))
    assert items == []
    assert event["key_condition_token"] == item(ward="ward-12")
    assert event["key_condition_attributes"] == ["ward"]
    assert event["index_name"] == "by-ward"
    assert event["vpc_endpoint_id"] == "vpce-0example"


def test_a_page_of_a_query_masks_where_it_starts(parameters, make_call, tokens):
    asked = {"tableName": "Patients", "key": {"ward": "ward-12"}, "exclusiveStartKey": {"patient_id": "pat-4711"}}
    masked = parameters(make_call("Query", asked))
    assert masked["exclusiveStartKey"] == {"patient_id": tokens.value("pat-4711")}


def test_scan_names_its_table_only(parse, make_call):
    asked = {"tableName": "Patients", "limit": 100, "select": "ALL_ATTRIBUTES", "segment": 0, "totalSegments": 4}
    (event,), items = parse(make_call("Scan", asked))
    assert (event["table_names"], event["key_condition_token"], items) == (["Patients"], None, [])
    assert json.loads(event["request_parameters"]) == asked


def test_transaction_reads_either_casing_and_keeps_that_of_key_attributes(parse, make_call, item):
    asked = {
        "requestItems": [
            {
                "operation": "Put",
                "tableName": "Music",
                "key": {"Artist": "No One", "songTitle": "Today"},
                "items": ["Artist", "songTitle", "AlbumTitle"],
                "conditionExpression": "#AT = :A",
                "expressionAttributeNames": {"#AT": "AlbumTitle"},
                "returnValuesOnConditionCheckFailure": "ALL_OLD",
            },
            {
                "operation": "Update",
                "tableName": "Music",
                "key": {"Artist": "No One", "songTitle": "Tomorrow"},
                "updateExpression": "SET #AT = :newval",
                "ConditionExpression": "attribute_not_exists(Rating)",
                "ExpressionAttributeNames": {"#AT": "AlbumTitle"},
            },
            {"operation": "Delete", "TableName": "Charts", "Key": {"Artist": "No One", "songTitle": "Once"}},
            {"operation": "ConditionCheck", "TableName": "Music", "Key": {"Artist": "X", "songTitle": "Y"}},
        ]
    }
    (event,), items = parse(make_call("TransactWriteItems", asked, resources=None))
    assert event["table_names"] == ["Charts", "Music"]
    assert [(row["operation"], row["ordinal"], row["table_name"]) for row in items] == [
        ("Put", 0, "Music"),
        ("Update", 1, "Music"),
        ("Delete", 2, "Charts"),
        ("ConditionCheck", 3, "Music"),
    ]
    titles = [("No One", "Today"), ("No One", "Tomorrow"), ("No One", "Once"), ("X", "Y")]
    assert [row["item_key_token"] for row in items] == [item(Artist=a, songTitle=s) for a, s in titles]
    assert [row["key_attributes"] for row in items] == [["Artist", "songTitle"]] * 4
    assert items[1]["update_expression"] == "SET AlbumTitle = :newval"
    assert items[0]["attribute_names"] == ["AlbumTitle", "Artist", "songTitle"]


def test_failed_transaction_keeps_its_items_and_reasons(parse, make_call):
    message = (
        "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed, None]"
    )
    asked = {"requestItems": [{"operation": "Put", "tableName": "Patients", "key": {"patient_id": "pat-4711"}}] * 2}
    (event,), items = parse(
        make_call("TransactWriteItems", asked, errorCode="TransactionCanceledException", errorMessage=message)
    )
    assert (event["error_code"], event["error_message"], len(items)) == ("TransactionCanceledException", message, 2)


@pytest.mark.parametrize(
    ("statement", "operation", "written"),
    [
        ("UPDATE Patients SET ward = ***(Redacted) WHERE patient_id = 'pat-4711'", "Update", ["ward"]),
        ("""DELETE FROM "Patients" WHERE "patient_id" = 'pat-4711'""", "Delete", None),
        ("EXISTS(SELECT * FROM Patients WHERE patient_id='pat-4711')", "ConditionCheck", None),
    ],
)
def test_execute_statement_with_a_whole_key_names_its_item(statement, operation, written, parse, make_call, item):
    (event,), (row,) = parse(make_call("ExecuteStatement", {"statement": statement}, resources=None))
    assert (row["operation"], row["item_key_token"]) == (operation, item(patient_id="pat-4711"))
    assert (row["attribute_names"], event["table_names"]) == (written, ["Patients"])
    assert event["statement"] == json.loads(event["request_parameters"])["statement"]


def test_select_is_bound_by_its_key_and_names_its_index(parse, make_call, item):
    statement = """SELECT name FROM "Patients"."by-ward" WHERE ward = 'ward-12' AND age > ***(Redacted)"""
    (event,), items = parse(make_call("ExecuteStatement", {"statement": statement}))
    assert items == []
    assert event["index_name"] == "by-ward"
    assert (event["key_condition_token"], event["key_condition_attributes"]) == (item(ward="ward-12"), ["ward"])


def test_batch_of_statements_has_an_item_each_and_an_insert_an_unknown_key(parse, make_call, item):
    statements = [
        "UPDATE Music SET Album = ***(Redacted) WHERE Artist = 'No One' AND SongTitle = 'Today'",
        "INSERT INTO Music VALUE {'Artist' : ***(Redacted), 'SongTitle' : ***(Redacted)}",
    ]
    asked = {"requestItems": [{"statement": statement} for statement in statements]}
    (event,), (updated, inserted) = parse(make_call("BatchExecuteStatement", asked, resources=None))
    assert updated["item_key_token"] == item(Artist="No One", SongTitle="Today")
    assert (inserted["operation"], inserted["item_key_token"], inserted["key_attributes"]) == ("Put", None, None)
    assert inserted["attribute_names"] == ["Artist", "SongTitle"]
    assert event["statement"].split("; ")[1] == statements[1]


def test_execute_transaction_reads_its_statements(items_of, make_call, item):
    statements = [
        "EXISTS(SELECT * FROM Patients WHERE patient_id = 'pat-1')",
        "DELETE FROM Patients WHERE patient_id = 'pat-2'",
    ]
    rows = items_of(
        make_call("ExecuteTransaction", {"transactStatements": [{"statement": text} for text in statements]})
    )
    assert [(row["operation"], row["item_key_token"]) for row in rows] == [
        ("ConditionCheck", item(patient_id="pat-1")),
        ("Delete", item(patient_id="pat-2")),
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {"requestItems": [{"tableName": "Patients", "key": {"patient_id": f"pat-{n}"}} for n in (1, 2)]},
        {"requestItems": [{"tableName": "Patients", "keys": [{"patient_id": "pat-1"}, {"patient_id": "pat-2"}]}]},
        {"requestItems": {"Patients": {"keys": [{"patient_id": "pat-1"}, {"patient_id": "pat-2"}]}}},
        {"requestItems": {"Patients": {"Keys": [{"patient_id": {"S": "pat-1"}}, {"patient_id": {"S": "pat-2"}}]}}},
    ],
    ids=["list", "list of keys", "map by table", "as the API is called"],
)
def test_batch_get_item_names_its_items_in_any_shape(asked, parse, make_call, item):
    (event,), rows = parse(make_call("BatchGetItem", asked, resources=None))
    assert event["table_names"] == ["Patients"]
    assert [(row["operation"], row["item_key_token"], row["ordinal"]) for row in rows] == [
        ("Get", item(patient_id="pat-1"), 0),
        ("Get", item(patient_id="pat-2"), 1),
    ]


@pytest.mark.parametrize(
    "asked",
    [
        {
            "requestItems": [
                {"operation": "Put", "tableName": "Patients", "key": {"patient_id": "pat-1"}, "items": ["patient_id"]},
                {"operation": "Delete", "tableName": "Patients", "key": {"patient_id": "pat-2"}},
            ]
        },
        {
            "requestItems": {
                "Patients": [
                    {"putRequest": {"key": {"patient_id": "pat-1"}, "items": ["patient_id"]}},
                    {"deleteRequest": {"key": {"patient_id": "pat-2"}}},
                ]
            }
        },
    ],
    ids=["list", "map by table"],
)
def test_batch_write_item_names_its_items_in_any_shape(asked, parse, make_call, item):
    (event,), rows = parse(make_call("BatchWriteItem", asked, resources=None))
    assert event["table_names"] == ["Patients"]
    assert [(row["operation"], row["item_key_token"]) for row in rows] == [
        ("Put", item(patient_id="pat-1")),
        ("Delete", item(patient_id="pat-2")),
    ]


def test_batch_write_item_with_whole_items_has_unknown_keys(items_of, make_call, parameters):
    asked = {
        "requestItems": {"Patients": [{"PutRequest": {"Item": {"patient_id": {"S": "pat-1"}, "ward": {"S": "w"}}}}]}
    }
    record = make_call("BatchWriteItem", asked)
    (row,) = items_of(record)
    assert (row["operation"], row["item_key_token"], row["attribute_names"]) == ("Put", None, ["patient_id", "ward"])
    masked = parameters(record)["requestItems"]["Patients"][0]["PutRequest"]["Item"]
    assert masked == {"patient_id": "***", "ward": "***"}


@pytest.mark.parametrize(
    "asked",
    [
        {"requestItems": [{"tableName": "Patients", "key": {"patient_id": "pat-1"}}]},
        {"transactItems": [{"get": {"tableName": "Patients", "key": {"patient_id": "pat-1"}}}]},
        {"TransactItems": [{"Get": {"TableName": "Patients", "Key": {"patient_id": {"S": "pat-1"}}}}]},
    ],
    ids=["requestItems", "transactItems", "as the API is called"],
)
def test_transact_get_items_names_its_items_in_any_shape(asked, items_of, make_call, item):
    (row,) = items_of(make_call("TransactGetItems", asked))
    assert (row["operation"], row["table_name"]) == ("Get", "Patients")
    assert row["item_key_token"] == item(patient_id="pat-1")


def test_get_records_names_the_stream_of_its_iterator_and_not_its_secret(event_of, make_call):
    stream = ARN + "Music/stream/2026-11-01T04:02:47.428"
    event = event_of(make_call("GetRecords", {"shardIterator": f"{stream}|1|AAAAsecret"}, resources=None))
    assert (event["table_names"], event["table_arns"]) == (["Music"], [ARN + "Music"])
    assert json.loads(event["request_parameters"]) == {"shardIterator": f"{stream}|***"}


def test_an_iterator_that_names_no_stream_is_hidden_whole(parameters, event_of, make_call):
    record = make_call("GetRecords", {"shardIterator": "AAAAsecret"}, resources=None)
    assert parameters(record) == {"shardIterator": "***"}
    assert event_of(record)["table_names"] is None


def test_get_shard_iterator_names_its_stream(event_of, make_call):
    stream = ARN + "Music/stream/2026-11-01T04:02:47.428"
    asked = {"streamArn": stream, "shardId": "shardId-0001", "shardIteratorType": "TRIM_HORIZON"}
    event = event_of(make_call("GetShardIterator", asked, resources=None))
    assert event["table_names"] == ["Music"]
    assert json.loads(event["request_parameters"]) == asked


@pytest.mark.parametrize("extra", [{}, {"searchVector": [0.12345, 0.5]}], ids=["listed fields", "with the vector"])
def test_search_vectors_names_its_index(extra, event_of, make_call):
    asked = {"tableName": "Patients", "indexName": "by-meaning", "topK": 5, **extra}
    event = event_of(make_call("SearchVectors", asked))
    assert (event["table_names"], event["index_name"]) == (["Patients"], "by-meaning")
    assert "0.12345" not in event["request_parameters"]


def test_call_that_does_not_exist_yet_keeps_its_structure_without_values(parameters, make_call, tokens):
    asked = {"tableName": "Patients", "newThing": {"deep": [{"value": "pat-4711", "count": 7, "flag": True}, None]}}
    masked = {"value": tokens.value("pat-4711"), "count": tokens.value("7"), "flag": True}
    assert parameters(make_call("ReadItemsTwice", asked)) == asked | {"newThing": {"deep": [masked, None]}}


@pytest.mark.parametrize(
    ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-west-1", "aws")]
)
def test_table_given_by_name_gets_an_arn_of_its_regions_partition(region, partition, event_of, make_record):
    event = event_of(make_record(awsRegion=region, resources=None))
    assert event["table_arns"] == [f"arn:{partition}:dynamodb:{region}:123456789012:table/Patients"]


def test_table_given_by_arn_keeps_the_owners_account(parse, make_call):
    arn = "arn:aws:dynamodb:eu-central-1:210987654321:table/Patients"
    asked = {"tableName": arn, "key": {"patient_id": "pat-4711"}}
    (event,), (row,) = parse(make_call("GetItem", asked, resources=None))
    assert (event["table_names"], event["table_arns"]) == (["Patients"], [arn])
    assert (row["table_name"], row["table_arn"]) == ("Patients", arn)


def test_account_of_a_table_is_the_one_in_its_arn(event_of, make_record):
    resources = [{"accountId": "210987654321", "type": "AWS::DynamoDB::Table", "ARN": ARN + "Patients"}]
    assert event_of(make_record(resources=resources))["table_arns"] == [ARN + "Patients"]


def test_stream_and_index_among_the_resources_are_their_table(event_of, make_record):
    arns = [ARN + "Patients/stream/2026-11-01T04:02:47.428", ARN + "Patients/index/by-ward", ARN + "Patients"]
    event = event_of(make_record(resources=[{"ARN": arn} for arn in arns]))
    assert (event["table_names"], event["table_arns"]) == (["Patients"], [ARN + "Patients"])
    assert event["resource_arns"] == arns


def test_numbers_of_one_item_have_one_token_once_the_type_is_known(items_of, make_call, item):
    types = {"Orders": {"order": "N", "line": "S"}}
    keys = [{"order": text, "line": "7.0"} for text in ("7", "7.0", "70E-1", "+7")] + [{"order": 7.0, "line": "7.0"}]
    rows = [
        items_of(make_call("GetItem", {"tableName": "Orders", "key": key}), key_types=types)[0]["item_key_token"]
        for key in keys
    ]
    # A stream record's {"order": {"N": "7"}, "line": {"S": "7.0"}}.
    assert rows == [item(order="7", line="7.0")] * 5


def test_number_keys_in_statements_have_the_same_token(items_of, make_call, item):
    types = {"Orders": {"order": "N"}}
    (row,) = items_of(
        make_call("ExecuteStatement", {"statement": "DELETE FROM Orders WHERE order = 7.00"}), key_types=types
    )
    assert row["item_key_token"] == item(order="7")


def test_a_message_does_not_repeat_a_number_key_in_the_clients_notation(event_of, make_call, tokens):
    asked = {"tableName": "Orders", "key": {"order": "4711.50"}}
    record = make_call("GetItem", asked, errorCode="ValidationException", errorMessage="No item 4711.50 in there")
    event = event_of(record, key_types={"Orders": {"order": "N"}})
    assert event["error_message"] == f"No item {tokens.value('4711.5')} in there"
