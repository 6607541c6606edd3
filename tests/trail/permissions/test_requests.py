import pytest

from dynatrail.trail.permissions.requests import Need, Request, needs, statements

ACCOUNT, REGION = "123456789012", "eu-west-1"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Music"
OTHER = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/Other"


def asked(event_name, **more):
    defaults = {"table_arns": (TABLE,), "table_names": ("Music",)}
    found = needs(Request(event_name, ACCOUNT, REGION, **(defaults | more)))
    return [(one.action.removeprefix("dynamodb:"), one.resource) for one in found]


@pytest.mark.parametrize(
    ("event_name", "more", "expected"),
    [
        ("GetItem", {}, [("GetItem", TABLE)]),
        ("Query", {}, [("Query", TABLE)]),
        ("Query", {"index_name": "ByYear"}, [("Query", f"{TABLE}/index/ByYear")]),
        ("Scan", {"index_name": "ByYear"}, [("Scan", f"{TABLE}/index/ByYear")]),
        ("BatchWriteItem", {"table_arns": (TABLE, OTHER)}, [("BatchWriteItem", TABLE), ("BatchWriteItem", OTHER)]),
        ("BatchGetItem", {"members": (f"Get {TABLE}",)}, [("BatchGetItem", TABLE)]),
        (
            "TransactWriteItems",
            {"members": (f"Put {TABLE}", f"ConditionCheck {OTHER}", f"Update {TABLE}", f"Delete {TABLE}")},
            [("ConditionCheckItem", OTHER), ("DeleteItem", TABLE), ("PutItem", TABLE), ("UpdateItem", TABLE)],
        ),
        ("TransactGetItems", {"members": (f"Get {TABLE}", f"Get {OTHER}")}, [("GetItem", TABLE), ("GetItem", OTHER)]),
        ("TransactGetItems", {}, [("GetItem", TABLE)]),
        ("TransactWriteItems", {}, [("TransactWriteItems", None)]),
        ("ListTables", {"table_arns": ()}, [("ListTables", "*")]),
        ("ListExports", {}, [("ListExports", "*")]),
        ("GetRecords", {"own_arn": f"{TABLE}/stream/2026"}, [("GetRecords", f"{TABLE}/stream/2026")]),
        ("DescribeStream", {"own_arn": None}, [("DescribeStream", TABLE)]),
        ("DeleteBackup", {"own_arn": f"{TABLE}/backup/01"}, [("DeleteBackup", f"{TABLE}/backup/01")]),
        ("ExportTableToPointInTime", {}, [("ExportTableToPointInTime", TABLE)]),
        ("GetItem", {"table_arns": (), "table_names": ("Music",)}, [("GetItem", TABLE)]),
        ("GetItem", {"table_arns": (), "table_names": (OTHER,)}, [("GetItem", OTHER)]),
        ("GetItem", {"table_arns": (), "table_names": ()}, [("GetItem", None)]),
        ("SomethingNew", {}, [("SomethingNew", TABLE)]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_a_call_needs(event_name, more, expected):
    assert asked(event_name, **more) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM Music WHERE k = 't1'", [("PartiQLSelect", TABLE)]),
        ('SELECT * FROM "Music"."ByYear" WHERE k = 1', [("PartiQLSelect", f"{TABLE}/index/ByYear")]),
        ("select a from Music.ByYear", [("PartiQLSelect", f"{TABLE}/index/ByYear")]),
        (f'SELECT * FROM "{OTHER}"', [("PartiQLSelect", OTHER)]),
        ("INSERT INTO Music VALUE {'k': ***(Redacted)}", [("PartiQLInsert", TABLE)]),
        ("UPDATE Music SET a = 'FROM Other' WHERE k = 't1'", [("PartiQLUpdate", TABLE)]),
        ("DELETE FROM Music WHERE k = 't1'", [("PartiQLDelete", TABLE)]),
        ("EXISTS(SELECT * FROM Music WHERE k = 't1')", [("PartiQLSelect", TABLE)]),
        (
            "UPDATE Music SET a = 'x; DELETE FROM Other' WHERE k = 't1'; INSERT INTO Other VALUE {'k': 't1'}",
            [("PartiQLInsert", OTHER), ("PartiQLUpdate", TABLE)],
        ),
        ("no PartiQL at all", [("BatchExecuteStatement", None)]),
        (None, [("BatchExecuteStatement", None)]),
    ],
    ids=str,
)
def test_partiql_needs_the_action_of_each_statement(text, expected):
    assert asked("BatchExecuteStatement", statement=text) == expected


def test_restoring_a_backup_needs_to_write_the_new_table():
    found = asked("RestoreTableFromBackup", own_arn=f"{TABLE}/backup/01")
    assert ("RestoreTableFromBackup", f"{TABLE}/backup/01") in found
    assert {("PutItem", TABLE), ("BatchWriteItem", TABLE), ("Scan", TABLE)} <= set(found)


def test_the_same_need_is_asked_for_once():
    members = (f"Put {TABLE}", f"Put {TABLE}")
    request = Request("TransactWriteItems", ACCOUNT, REGION, members=members)
    assert needs(request) == (Need("dynamodb:PutItem", TABLE),)


def test_semicolons_in_quotes_end_no_statement():
    assert list(statements("a ';' b; c \";\" d")) == ["a ';' b", ' c ";" d']
