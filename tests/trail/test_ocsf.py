import subprocess
import sys
from collections import Counter

import pytest

from dynatrail.errors import SettingsError
from dynatrail.trail.ocsf import (
    CATEGORY_NAMES,
    CLASS_NAMES,
    OTHER,
    activities,
    activity_table,
    class_uid,
    read_activities,
)

DYNAMODB = "dynamodb.amazonaws.com"


@pytest.mark.parametrize(
    ("event_source", "event_name", "category", "management", "expected"),
    [
        (DYNAMODB, "PutItem", "Data", False, 6005),
        (DYNAMODB, "GetRecords", "Data", False, 6005),
        (DYNAMODB, "CreateTable", "Management", True, 6003),
        ("s3.amazonaws.com", "GetObject", "Data", False, 6003),
        ("iam.amazonaws.com", "CreateUser", "Management", True, 3001),
        ("iam.amazonaws.com", "CreateGroup", "Management", True, 3004),
        ("iam.amazonaws.com", "ListUsers", "Management", True, 6003),
        ("signin.amazonaws.com", "ConsoleLogin", "Management", True, 3002),
        ("sts.amazonaws.com", "AssumeRole", "Management", True, 3002),
        ("sts.amazonaws.com", "GetCallerIdentity", "Management", True, 6003),
    ],
)
def test_class_follows_from_what_the_record_says(event_source, event_name, category, management, expected):
    assert class_uid(event_source, event_name, category, management) == expected


def test_unknown_data_event_of_dynamodb_is_datastore_activity():
    assert class_uid(DYNAMODB, "TeleportItem", "Data", False) == 6005


def test_record_that_says_management_is_no_data_event_whatever_its_name():
    assert class_uid(DYNAMODB, "PutItem", "Management", True) == 6003
    assert class_uid(DYNAMODB, "PutItem", None, True) == 6003


def test_old_record_without_category_is_classified_by_its_name():
    assert class_uid(DYNAMODB, "PutItem", None, None) == 6005
    assert class_uid(DYNAMODB, "PutItem", None, False) == 6005
    assert class_uid(DYNAMODB, "DescribeTable", None, None) == 6003


def test_event_of_any_other_service_is_api_activity():
    assert class_uid("new.amazonaws.com", "Frobnicate", None, None) == 6003


def test_names_of_classes_and_categories_are_the_published_ones(published):
    classes = {c["uid"]: c for c in published.raw["classes"].values()}
    assert {uid: classes[uid]["caption"] for uid in CLASS_NAMES} == CLASS_NAMES
    categories = {c["uid"]: c["caption"] for c in published.raw["categories"]["attributes"].values()}
    assert {uid: categories[uid] for uid in CATEGORY_NAMES} == CATEGORY_NAMES


def test_every_mapped_activity_has_its_published_id(published):
    classes = {c["uid"]: c["attributes"]["activity_id"]["enum"] for c in published.raw["classes"].values()}
    for row in activities():
        assert classes[row.class_uid][str(row.activity_id)]["caption"] == row.activity, row


def test_no_two_rows_name_the_same_calls():
    named = Counter((r.event_source, r.event_name, r.is_prefix, r.operation, r.class_uid) for r in activities())
    assert [key for key, count in named.items() if count > 1] == []


def test_each_name_has_one_class_of_its_own():
    classes = {}
    for row in activities():
        if not row.is_prefix and not row.operation:
            classes.setdefault((row.event_source, row.event_name), set()).add(row.class_uid)
    assert {call: found for call, found in classes.items() if len(found) > 1} == {}


def test_every_row_decides_the_class_of_the_call_that_it_names():
    for row in activities():
        if row.operation:
            continue
        name = row.event_name + ("Zzz" if row.is_prefix else "")
        source = "any.amazonaws.com" if row.event_source == "*" else row.event_source
        data = row.class_uid == 6005
        assert class_uid(source, name, "Data" if data else "Management", not data) == row.class_uid, row


def test_relation_has_the_rows_of_the_file():
    assert activity_table().num_rows == len(activities()) > 0
    assert set(activity_table().column("activity_id").to_pylist()) >= {1, OTHER}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x.amazonaws.com,Get,,6001,1,Read,,", "class_uid"),
        ("x.amazonaws.com,Get,,6003,one,Read,,", "one"),
        ("x.amazonaws.com,,,6003,1,Read,,", "event_name"),
        ("x.amazonaws.com,Get,,6003,1,Read,got it,", "to_do"),
        ("x.amazonaws.com,Get", "mapping"),
    ],
)
def test_wrong_row_is_named_by_its_line(tmp_path, row, reason):
    header = "event_source,event_name,operation,class_uid,activity_id,activity,did,to_do"
    path = tmp_path / "activities.csv"
    path.write_text(f"{header}\nx.amazonaws.com,List,,6003,2,Read,,\n{row}\n")
    with pytest.raises(SettingsError, match=f"activities.csv line 3.*{reason}"):
        read_activities(path)


def test_missing_mapping_says_what_to_do(tmp_path):
    with pytest.raises(SettingsError, match="Restore it from the repository"):
        read_activities(tmp_path / "activities.csv")


def test_classifying_loads_no_heavy_module():
    heavy = ["pyarrow", "duckdb", "deltalake", "pandas", "numpy", "msgspec"]
    code = (
        "import sys; from dynatrail.trail.ocsf import class_uid; class_uid('a', 'b', None, None); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
