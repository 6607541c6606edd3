import gzip
import json

import pytest

from dynatrail.clock import HOUR
from dynatrail.integrity.operations import CONTROL_PLANE, operations
from dynatrail.integrity.trail_history import RELATION, relation
from dynatrail.integrity.words import Selection
from dynatrail.privacy.tokens import Tokenizer
from dynatrail.settings import Settings
from dynatrail.sources.cloudtrail.parse import Parser
from dynatrail.warehouse.schema import COVERAGE

from .trails_kept import (
    ACCOUNT,
    BATCH,
    BUCKET,
    MEMBER,
    REGION,
    SECOND,
    START,
    TRAIL,
    WITHOUT_BATCH,
    Kept,
    at,
    selectors,
    table,
)

FULL, PARTIAL, NONE, UNKNOWN = Selection.FULL, Selection.PARTIAL, Selection.NONE, Selection.UNKNOWN
ORDERS = table("Orders")


@pytest.fixture
def kept(tmp_path):
    return Kept.under(tmp_path)


def over(kept, *hours, arn=ORDERS, operation="GetItem"):
    """What is selected in these hours."""
    history = kept.history()
    return [history.at(arn, operation, at(hour)).selection for hour in hours]


def test_a_look_tells_what_was_before_it_as_far_as_events_reach(kept):
    kept.call(30)
    kept.look(50)

    assert over(kept, 23, 24, 30, 49, 50, 99) == [UNKNOWN, FULL, FULL, FULL, FULL, FULL]


def test_without_events_before_it_a_look_tells_only_what_comes_after(kept):
    kept.look(10)

    assert over(kept, 9, 10, 11) == [UNKNOWN, FULL, FULL]


def test_an_account_whose_trails_nobody_looked_at_is_unknown(kept):
    kept.call(0, MEMBER)
    kept.look(0)

    assert over(kept, 1, arn=table("Orders", MEMBER)) == [UNKNOWN]


def test_events_between_looks_change_the_selection_to_the_second(kept):
    kept.call(0)
    kept.event(5.5, "PutEventSelectors", asked=WITHOUT_BATCH)
    kept.event(8.25, "PutEventSelectors", asked=selectors())
    kept.look(0)
    kept.look(12)

    history = kept.history()

    assert over(kept, 4, 5, 6, 8, 9) == [FULL, PARTIAL, PARTIAL, PARTIAL, FULL]
    assert history.at(ORDERS, "GetItem", at(5)).changed == (at(5.5),)
    assert history.at(ORDERS, "GetItem", at(5)).excluded == (f"calls by {BATCH} from 2026-11-02T05:30:00Z",)
    assert history.at(ORDERS, "GetItem", at(6)).excluded == (f"calls by {BATCH}",)
    assert history.at(ORDERS, "GetItem", at(8)).excluded == (f"calls by {BATCH} until 2026-11-02T08:15:00Z",)


def test_before_the_first_event_nothing_is_known_without_an_older_look(kept):
    kept.call(0)
    kept.event(5.5, "PutEventSelectors", asked=selectors())
    kept.look(12)

    assert over(kept, 4, 5, 6) == [UNKNOWN, UNKNOWN, FULL]


def test_a_look_and_an_event_that_say_the_same_in_another_order_agree(kept):
    kept.call(0)
    said = selectors(userIdentity_arn={"NotEquals": [BATCH, "arn:aws:iam::123456789012:user/a"]})
    turned = {
        "AdvancedEventSelectors": [
            {"FieldSelectors": one["FieldSelectors"][::-1]} for one in said["AdvancedEventSelectors"]
        ][::-1]
    }
    turned["AdvancedEventSelectors"][0]["FieldSelectors"][0]["NotEquals"].reverse()
    kept.event(2, "PutEventSelectors", asked=said)
    kept.look(4, said=turned)

    assert over(kept, 1, 3, 5) == [UNKNOWN, PARTIAL, PARTIAL]


def test_masking_leaves_what_a_change_of_a_trail_sets_in_clear(kept):
    """`equals` may name anybody, and a value may look like a name that is masked elsewhere."""
    narrow = selectors(
        userIdentity_arn={"NotEquals": [BATCH], "NotStartsWith": ["arn:aws:sts::1:assumed-role/password"]}
    )
    kept.event(2, "PutEventSelectors", asked=narrow)
    kept.event(3, "UpdateTrail", asked={"S3BucketName": "keys", "S3KeyPrefix": "statement", "IsMultiRegionTrail": True})
    rows = kept.rows["api_event"]
    records = [
        {
            "eventVersion": "1.11",
            "userIdentity": {"type": "IAMUser", "arn": row["principal_arn"], "accountId": ACCOUNT},
            "eventTime": f"{row['event_time']:%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": row["event_source"],
            "eventName": row["event_name"],
            "awsRegion": REGION,
            "requestParameters": json.loads(row["request_parameters"]),
            "responseElements": json.loads(row["response_elements"]),
            "eventID": row["event_id"],
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": ACCOUNT,
            "eventCategory": "Management",
        }
        for row in rows
    ]
    parser = Parser(Tokenizer(bytes(range(32))), {}, max_bytes=1 << 20)
    read = parser.read(
        "s3://logs/one.json.gz", gzip.compress(json.dumps({"Records": records}).encode()), account_id=ACCOUNT
    )

    masked = parser.tables()[0].to_pylist()

    assert read.rejected == ()
    for row, came in zip(rows, masked, strict=True):
        assert json.loads(row["request_parameters"]) == json.loads(came["request_parameters"])
        assert json.loads(row["response_elements"]) == json.loads(came["response_elements"])


def test_a_denied_change_changes_nothing(kept):
    kept.call(0)
    kept.event(5.5, "StopLogging", error="AccessDenied")
    kept.look(12)

    assert over(kept, 5, 6) == [FULL, FULL]


def test_nothing_is_selected_while_logging_is_stopped(kept):
    kept.call(0)
    kept.look(0)
    kept.event(5.5, "StopLogging", answered=False)
    kept.event(7.5, "StartLogging", answered=False)

    history = kept.history()

    assert over(kept, 4, 5, 6, 7, 8) == [FULL, NONE, NONE, NONE, FULL]
    assert history.at(ORDERS, "GetItem", at(6)).excluded == ("all calls", "trail audit is not logging")


def test_the_status_of_a_trail_tells_when_logging_was_switched(kept):
    kept.call(0)
    kept.look(
        12,
        logging={
            "IsLogging": True,
            "StopLoggingTime": "2026-11-02T03:00:00Z",
            "StartLoggingTime": "2026-11-02T04:00:00Z",
        },
    )

    assert over(kept, 2, 3, 4) == [UNKNOWN, NONE, FULL]


def test_an_event_and_the_time_in_the_status_are_one_change(kept):
    kept.call(0)
    kept.look(0)
    event = kept.event(5.5, "StopLogging")
    kept.look(12, logging={"IsLogging": False, "StopLoggingTime": "2026-11-02T05:29:58Z"})

    history = kept.history()

    assert history.at(ORDERS, "GetItem", at(5)).changed == (at(5.5),)
    assert [one.event_id for segment in history.segments(ACCOUNT, REGION) for one in segment.causes] == [event]


def test_between_two_looks_that_differ_without_an_event_nothing_is_known(kept):
    kept.call(0)
    kept.look(2)
    kept.look(10, said=WITHOUT_BATCH)

    assert over(kept, 1, 2, 9, 10) == [FULL, UNKNOWN, UNKNOWN, PARTIAL]


def test_a_look_that_saw_nothing_new_tells_too(kept):
    kept.call(0)
    kept.look(2)
    kept.nothing_new(8)
    kept.look(10, said=WITHOUT_BATCH)

    assert over(kept, 2, 7, 8, 10) == [FULL, FULL, UNKNOWN, PARTIAL]


def test_a_trail_that_was_made_counts_from_when_it_logs(kept):
    kept.call(0)
    kept.event(3, "CreateTrail", asked={"S3BucketName": BUCKET})
    kept.event(3.1, "PutEventSelectors", asked=selectors())
    kept.event(3.5, "StartLogging")
    kept.look(12)

    assert over(kept, 2, 3, 4) == [NONE, NONE, FULL]


def test_a_trail_that_was_deleted_counts_no_more(kept):
    kept.call(0)
    kept.look(1)
    kept.event(4, "DeleteTrail")

    assert over(kept, 3, 4) == [FULL, NONE]


def test_a_trail_that_a_look_does_not_find_any_more_is_gone_by_then(kept):
    kept.call(0)
    kept.look(1)
    kept.seen(6, TRAIL, "DescribeTrails", None, status="gone")

    assert over(kept, 0, 1, 6) == [FULL, UNKNOWN, NONE]


def test_a_trail_may_make_up_for_another(kept):
    kept.call(0)
    kept.look(1, said=WITHOUT_BATCH)
    kept.look(1, SECOND)

    history = kept.history()

    assert history.at(ORDERS, "GetItem", at(1)).selection is FULL
    assert history.at(ORDERS, "GetItem", at(1)).trails == (TRAIL, SECOND)


def test_a_trail_of_one_region_counts_there_alone(kept):
    kept.call(0)
    kept.look(1)

    assert over(kept, 1, arn=table("Orders", region="us-east-1")) == [NONE]


def test_a_trail_of_all_regions_counts_in_each_once(kept):
    kept.call(0)
    kept.look(1, IsMultiRegionTrail=True)

    assert over(kept, 1, arn=table("Orders", region="us-east-1")) == [FULL]


def test_a_shadow_of_a_trail_in_another_region_is_the_same_trail(kept):
    kept.call(0)
    kept.look(1, IsMultiRegionTrail=True)
    kept.look(1, IsMultiRegionTrail=True, account=MEMBER)
    history = kept.history()

    assert list(history.rows.lines) == [TRAIL]


def test_an_organizations_trail_counts_for_an_account_that_sees_it(kept):
    kept.call(0, MEMBER)
    kept.look(1, IsOrganizationTrail=True)
    kept.look(1, IsOrganizationTrail=True, account=MEMBER)

    assert over(kept, 1, arn=table("Orders", MEMBER)) == [FULL]


def test_an_organizations_trail_counts_for_an_account_whose_logs_lie_in_its_folder(kept):
    kept.call(0, MEMBER, folder="AWSLogs/o-abcdefghij")
    kept.look(1, IsOrganizationTrail=True)
    kept.nothing_new(1, MEMBER)

    assert over(kept, 1, arn=table("Orders", MEMBER)) == [FULL]


def test_an_idle_account_of_an_organization_is_known_as_far_back_as_its_trail(kept):
    kept.call(0)
    kept.call(30, MEMBER, folder="AWSLogs/o-abcdefghij")
    kept.look(40, IsOrganizationTrail=True)
    kept.nothing_new(40, MEMBER)

    assert over(kept, 1, arn=table("Orders", MEMBER)) == [FULL]


def test_whether_an_account_is_in_the_organization_may_be_unknown(kept):
    kept.look(1, IsOrganizationTrail=True)
    kept.nothing_new(1, MEMBER)

    assert over(kept, 1, arn=table("Orders", MEMBER)) == [UNKNOWN]


def test_a_trail_of_another_account_alone_does_not_count(kept):
    kept.call(0, MEMBER)
    kept.look(1)
    kept.nothing_new(1, MEMBER)

    assert over(kept, 1, arn=table("Orders", MEMBER)) == [NONE]


def test_what_is_logged_where_dynatrail_does_not_read_is_named(kept, tmp_path, monkeypatch):
    monkeypatch.setenv("DYNATRAIL_HOME", str(tmp_path))
    monkeypatch.setenv("DYNATRAIL_WAREHOUSE", str(tmp_path))
    monkeypatch.setenv("DYNATRAIL_TRAIL_BUCKET", BUCKET)
    kept.call(0)
    kept.look(1, said=WITHOUT_BATCH)
    kept.look(1, SECOND, S3BucketName="elsewhere", S3KeyPrefix="team")

    found = kept.history(Settings()).at(ORDERS, "GetItem", at(1))

    assert found.selection is PARTIAL
    assert found.excluded == (
        f"calls by {BATCH}",
        "trail second delivers to s3://elsewhere/team, which Dynatrail does not read",
    )


def test_the_control_plane_is_selected_as_management_events(kept):
    kept.call(0)
    kept.look(1, said={"EventSelectors": [{"ReadWriteType": "All", "IncludeManagementEvents": True}]})

    assert over(kept, 1, operation=CONTROL_PLANE) == [FULL]
    assert over(kept, 1, operation="GetItem") == [NONE]


def test_a_selector_change_whose_parameters_are_missing_leaves_the_selection_unknown(kept):
    kept.call(0)
    kept.look(1)
    kept.event(4, "PutEventSelectors")
    kept.rows["api_event"][-1]["request_parameters"] = None

    assert over(kept, 3, 5) == [FULL, UNKNOWN]


def test_the_relation_says_the_same_as_each_hour_alone(kept):
    kept.call(0)
    kept.look(1, said=selectors(resources_ARN={"NotStartsWith": [table("Log")]}))
    kept.event(5.5, "PutEventSelectors", asked=WITHOUT_BATCH)
    tables = [table(name) for name in ("Orders", "Log", "LogArchive")] + [table("Orders", MEMBER)]
    names = sorted(operations())
    hours = [START + number * HOUR for number in range(8)]
    history = kept.history()

    found = relation(history, tables, names, hours)

    expected = [
        (
            *(arn.split(":")[4], arn.split(":")[3], arn.rpartition("/")[2], name, hour),
            str(one.selection),
            list(one.excluded) or None,
        )
        for arn in tables
        for name in names
        for hour in hours
        for one in [history.at(arn, name, hour)]
    ]
    assert [tuple(row.values()) for row in found.to_pylist()] == expected
    assert {row[5] for row in expected} == {"FULL", "PARTIAL", "NONE", "UNKNOWN"}


def test_the_relation_has_the_columns_of_coverage(kept):
    kept.look(1)

    found = relation(kept.history(), [ORDERS], ["GetItem"], [at(1)])

    assert tuple(found.schema.names) == RELATION
    for name in ("event_hour", "excluded"):
        assert found.schema.field(name).type == COVERAGE.schema.field(name).type


def test_nothing_asked_gives_no_rows(kept):
    kept.look(1)

    assert relation(kept.history(), [], ["GetItem"], [at(1)]).num_rows == 0


def test_a_history_of_a_window_says_the_same_within_it(kept):
    kept.call(0)
    kept.look(0)
    kept.event(5.5, "PutEventSelectors", asked=WITHOUT_BATCH)
    whole = kept.history()
    part = type(whole).load(kept.warehouse, at(4), at(7))

    for hour in (4, 5, 6):
        assert part.at(ORDERS, "GetItem", at(hour)) == whole.at(ORDERS, "GetItem", at(hour))
