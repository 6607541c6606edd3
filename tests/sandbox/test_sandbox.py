"""A running sandbox in which `tiny` was played."""

import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from dynatrail.errors import SandboxError
from dynatrail.sandbox.identities import Caller

if TYPE_CHECKING:
    from conftest import Tiny

pytestmark = pytest.mark.slow

Json = dict[str, Any]


def identity(record: Json) -> Json:
    found: Json = record["userIdentity"]
    return found


def code_of(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    found: str = caught.value.response["Error"]["Code"]
    return found


class TestRecords:
    def test_every_record_says_that_it_is_simulated(self, tiny: "Tiny"):
        assert all(record["additionalEventData"]["dynatrailSandbox"] is True for record in tiny.records())

    def test_no_value_of_a_non_key_attribute_is_in_any_record(self, tiny: "Tiny"):
        text = json.dumps(tiny.records())
        for value in ("Name withheld", "none known", "+1-555-0100", "ibuprofen", "1971-01-01"):
            assert value not in text

    def test_data_events_have_no_answer(self, tiny: "Tiny"):
        data = [record for record in tiny.records() if record["eventCategory"] == "Data"]
        assert {record["responseElements"] for record in data} == {None}

    def test_every_data_operation_is_there(self, tiny: "Tiny"):
        seen = {record["eventName"] for record in tiny.records() if record["eventCategory"] == "Data"}
        assert seen == {
            *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem"),
            *("TransactGetItems", "TransactWriteItems", "ExecuteStatement", "BatchExecuteStatement"),
            *("ExecuteTransaction", "GetRecords", "GetShardIterator"),
        }

    def test_every_data_operation_succeeds_at_least_once(self, tiny: "Tiny"):
        data = [line for line in tiny.truth() if line["event_source"] == "dynamodb.amazonaws.com"]
        assert {line["event_name"] for line in data} == {
            line["event_name"] for line in data if line["outcome"] == "success"
        }

    def test_the_request_id_is_the_one_the_client_got(self, tiny: "Tiny"):
        client = tiny.sandbox.client("dynamodb", tiny.sandbox.auditor)
        answer = client.describe_table(TableName="Patients")
        sent = answer["ResponseMetadata"]["RequestId"]
        found = tiny.sandbox.client("cloudtrail", tiny.sandbox.auditor).lookup_events(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "DescribeTable"}], MaxResults=1
        )
        assert json.loads(found["Events"][0]["CloudTrailEvent"])["requestID"] == sent

    def test_a_session_links_to_its_issuer_by_key_and_time(self, tiny: "Tiny"):
        issued = tiny.first("AssumeRoleWithSAML")
        given = issued["responseElements"]
        later = next(
            record
            for record in tiny.records()
            if identity(record).get("accessKeyId") == given["credentials"]["accessKeyId"]
        )
        assert identity(later)["principalId"] == given["assumedRoleUser"]["assumedRoleId"]
        assert identity(later)["sessionContext"]["attributes"]["creationDate"] == issued["eventTime"]
        assert identity(issued)["type"] == "SAMLUser"
        assert given["credentials"]["sessionToken"]
        assert "onBehalfOf" in identity(later)

    def test_an_assumed_role_loses_its_path_and_its_issuer_keeps_it(self, tiny: "Tiny"):
        issued = tiny.first("AssumeRoleWithSAML")
        session = identity(next(r for r in tiny.records() if "onBehalfOf" in identity(r) and "arn" in identity(r)))
        assert "/aws-reserved/" in issued["requestParameters"]["roleArn"]
        assert "/aws-reserved/" not in session["arn"]
        assert "/aws-reserved/" in session["sessionContext"]["sessionIssuer"]["arn"]

    def test_a_role_chain_keeps_its_source_identity(self, tiny: "Tiny"):
        chained = next(
            r for r in tiny.records() if r["eventName"] == "AssumeRole" and identity(r)["type"] == "AssumedRole"
        )
        assert identity(chained)["sessionContext"]["sourceIdentity"] == "tomas.developer"

    def test_a_cross_account_assume_role_is_in_both_accounts(self, tiny: "Tiny"):
        name = "ines.analyst"
        copies = {
            record["recipientAccountId"]: record
            for record in tiny.records()
            if record["eventName"] == "AssumeRole" and record["requestParameters"]["roleSessionName"] == name
        }
        own, other = copies["210987654321"], copies["123456789012"]
        assert identity(own)["userName"] == name
        assert identity(other) == {
            "type": "AWSAccount",
            "principalId": identity(own)["principalId"],
            "accountId": "210987654321",
        }
        assert own["eventID"] != other["eventID"]

    def test_copies_of_one_cross_account_call_share_an_id(self, tiny: "Tiny"):
        shared = Counter(
            record["sharedEventID"]
            for record in {record["eventID"]: record for record in tiny.records()}.values()
            if record["eventName"] == "AssumeRole" and "sharedEventID" in record and "addendum" not in record
        )
        assert 2 in shared.values()

    def test_a_service_takes_a_role_under_its_own_name(self, tiny: "Tiny"):
        taken = next(
            r for r in tiny.records() if r["eventName"] == "AssumeRole" and identity(r)["type"] == "AWSService"
        )
        assert identity(taken) == {"type": "AWSService", "invokedBy": taken["sourceIPAddress"]}

    def test_a_console_session_of_a_user_has_a_temporary_key_and_no_issue_event(self, tiny: "Tiny"):
        scan = next(r for r in tiny.records() if r.get("sessionCredentialFromConsole") and r["eventName"] == "Scan")
        assert scan["sessionCredentialFromConsole"] == "true"
        assert identity(scan)["type"] == "IAMUser"
        assert identity(scan)["accessKeyId"].startswith("ASIA")
        assert not [r for r in tiny.records() if r["eventName"] == "GetSessionToken"]
        assert tiny.first("ConsoleLogin")["eventType"] == "AwsConsoleSignIn"

    def test_a_denied_stop_logging_is_recorded_and_changes_nothing(self, tiny: "Tiny"):
        denied = tiny.first("StopLogging")
        assert denied["errorCode"] == "AccessDenied"
        assert denied["requestParameters"] is None
        client = tiny.sandbox.client("cloudtrail", tiny.sandbox.auditor)
        assert client.get_trail_status(Name=tiny.played.trail_arn)["IsLogging"] is True

    def test_event_versions_are_mixed_as_in_real_data(self, tiny: "Tiny"):
        assert {record["eventVersion"] for record in tiny.records()} >= {"1.08", "1.10", "1.11"}


class TestDelivery:
    def test_nothing_is_lost_and_nothing_added(self, tiny: "Tiny"):
        """Delivered records, de-duplicated and with corrections applied, are the ground truth's."""
        unique = {(r["recipientAccountId"], r["awsRegion"], r["eventID"]): r for r in tiny.records()}
        superseded = {
            r["addendum"]["originalEventID"] for r in unique.values() if "originalEventID" in r.get("addendum", {})
        }
        delivered = {record["eventID"] for record in unique.values()} - superseded
        truth = {line["correction_event_id"] or line["event_id"] for line in tiny.truth()}
        assert delivered == truth
        assert len(tiny.truth()) == tiny.played.summary["records"]

    def test_the_irregularities_asked_for_are_there(self, tiny: "Tiny"):
        records = tiny.records()
        ids = Counter((r["recipientAccountId"], r["eventID"]) for r in records)
        reasons = Counter(r["addendum"]["reason"] for r in records if "addendum" in r)
        assert max(ids.values()) == 2
        assert reasons["UPDATED_DATA"] > 0
        assert reasons["DELIVERY_DELAY"] > 0

    def test_everything_lies_where_the_organization_layout_puts_it(self, tiny: "Tiny"):
        places = {
            (record["recipientAccountId"], record["awsRegion"], key.rsplit("/", 5)[0].split("AWSLogs/")[1])
            for key, records in tiny.files.items()
            for record in records
        }
        assert {place[:2] for place in places} == {
            ("123456789012", "us-east-1"),
            ("123456789012", "eu-west-1"),
            ("210987654321", "us-east-1"),
        }
        for account, region, folder in places:
            assert folder.startswith(f"o-exampleorgid/{account}/CloudTrail")
            assert f"/{region}/" in f"/{folder}/" or folder.endswith("CloudTrail")

    def test_every_log_file_is_in_a_digest(self, tiny: "Tiny"):
        listed = [
            file["s3Object"]
            for key in tiny.keys("/CloudTrail-Digest/")
            for file in json.loads(tiny.get(key)[0])["logFiles"]
        ]
        assert sorted(listed) == sorted(tiny.files)

    def test_there_is_a_digest_an_hour_even_without_files(self, tiny: "Tiny"):
        digests = [json.loads(tiny.get(key)[0]) for key in tiny.keys("/CloudTrail-Digest/210987654321")] or [
            json.loads(tiny.get(key)[0]) for key in tiny.keys("210987654321_CloudTrail-Digest")
        ]
        assert len(digests) >= 23
        assert any(not digest["logFiles"] for digest in digests)

    def test_the_trail_status_tells_the_last_deliveries(self, tiny: "Tiny"):
        client = tiny.sandbox.client("cloudtrail", tiny.sandbox.auditor)
        status = client.get_trail_status(Name=tiny.played.trail_arn)
        start, end = tiny.played.window
        assert start < status["LatestDeliveryTime"] < end
        assert start < status["LatestDigestDeliveryTime"] <= end


class TestGroundTruth:
    def test_it_holds_typed_keys_of_the_items(self, tiny: "Tiny"):
        put = next(line for line in tiny.truth() if line["event_name"] == "PutItem" and line["region"] == "eu-west-1")
        assert list(put["items"][0]["key"]["patient_id"]) == ["S"]
        assert put["items"][0]["operation"] == "Put"

    def test_it_says_which_keys_the_trail_lost(self, tiny: "Tiny"):
        lost = [item for line in tiny.truth() for item in line["items"] if not item["in_record"]]
        assert lost

    def test_the_keys_it_says_are_recorded_are_in_the_record(self, tiny: "Tiny"):
        by_id = {record["eventID"]: json.dumps(record, ensure_ascii=False) for record in tiny.records()}
        checked = 0
        for line in tiny.truth():
            for item in line["items"]:
                if item["in_record"]:
                    for value in item["key"].values():
                        assert (
                            json.dumps(next(iter(value.values())), ensure_ascii=False)[1:-1] in by_id[line["event_id"]]
                        )
                        checked += 1
        assert checked > 40

    def test_every_incident_has_its_calls(self, tiny: "Tiny"):
        planted = {incident["id"] for incident in tiny.played.summary["incidents"]}
        assert planted == {line["incident"] for line in tiny.truth()} - {None}
        assert len(planted) == 6

    def test_the_summary_counts_the_lines(self, tiny: "Tiny"):
        counted = Counter(line["event_name"] for line in tiny.truth())
        assert tiny.played.summary["operations"] == dict(counted)


class TestAuditor:
    """The least-privilege policy of docs/reference/iam-policy.json."""

    def test_it_lists_and_reads_the_trail(self, tiny: "Tiny"):
        assert json.loads(tiny.get(tiny.keys()[0])[0])["Records"]
        client = tiny.sandbox.client("s3", tiny.sandbox.auditor)
        assert client.get_bucket_location(Bucket=tiny.played.trail_bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
        page = client.list_objects_v2(Bucket=tiny.played.trail_bucket, Prefix="AWSLogs/", Delimiter="/")
        assert [found["Prefix"] for found in page["CommonPrefixes"]] == ["AWSLogs/o-exampleorgid/"]

    def test_it_learns_what_the_trail_covers(self, tiny: "Tiny"):
        client = tiny.sandbox.client("cloudtrail", tiny.sandbox.auditor)
        (trail,) = client.describe_trails()["trailList"]
        assert trail["TrailARN"] == tiny.played.trail_arn
        assert trail["IsOrganizationTrail"] is True
        assert client.get_event_selectors(TrailName=trail["TrailARN"])["AdvancedEventSelectors"]
        (key,) = client.list_public_keys()["PublicKeyList"]
        assert len(key["Fingerprint"]) == 32
        assert client.lookup_events(MaxResults=5)["Events"]

    def test_it_describes_tables_and_itself(self, tiny: "Tiny"):
        dynamodb = tiny.sandbox.client("dynamodb", tiny.sandbox.auditor)
        assert dynamodb.describe_table(TableName="Patients")["Table"]["KeySchema"]
        sts = tiny.sandbox.client("sts", tiny.sandbox.auditor)
        assert sts.get_caller_identity()["Arn"].endswith(":user/dynatrail")

    @pytest.mark.parametrize(
        ("operation", "arguments"),
        [
            ("put_item", {"TableName": "Patients", "Item": {"patient_id": {"S": "x"}}}),
            ("get_item", {"TableName": "Patients", "Key": {"patient_id": {"S": "x"}}}),
            ("scan", {"TableName": "Patients"}),
            ("delete_resource_policy", {"ResourceArn": "arn:aws:dynamodb:us-east-1:123456789012:table/Patients"}),
        ],
    )
    def test_it_may_touch_no_item(self, tiny: "Tiny", operation: str, arguments: Json):
        client = tiny.sandbox.client("dynamodb", tiny.sandbox.auditor)
        assert code_of(getattr(client, operation), **arguments) == "AccessDeniedException"

    @pytest.mark.parametrize(
        ("operation", "arguments"),
        [
            ("get_object", {"Key": "elsewhere/secret.txt"}),
            ("put_object", {"Key": "AWSLogs/forged.json.gz", "Body": b""}),
            ("delete_object", {"Key": "AWSLogs/any"}),
            ("list_objects_v2", {"Prefix": "elsewhere/"}),
            ("list_objects_v2", {}),
            ("get_bucket_acl", {}),
        ],
    )
    def test_it_may_do_nothing_else_in_the_bucket(self, tiny: "Tiny", operation: str, arguments: Json):
        client = tiny.sandbox.client("s3", tiny.sandbox.auditor)
        assert code_of(getattr(client, operation), Bucket=tiny.played.trail_bucket, **arguments) == "AccessDenied"

    def test_it_may_not_stop_the_trail(self, tiny: "Tiny"):
        client = tiny.sandbox.client("cloudtrail", tiny.sandbox.auditor)
        assert code_of(client.stop_logging, Name=tiny.played.trail_arn) == "AccessDeniedException"


class TestAccount:
    def test_a_scenario_is_played_once(self, tiny: "Tiny"):
        again = tiny.sandbox.play("tiny", end=tiny.played.window[1] + timedelta(days=3))
        assert again is tiny.played

    def test_another_scenario_wants_another_folder(self, tiny: "Tiny"):
        with pytest.raises(SandboxError, match="another folder"):
            tiny.sandbox.play("clinic", end=tiny.played.window[1])

    def test_an_unknown_scenario_is_refused_with_the_known_ones(self, tiny: "Tiny"):
        with pytest.raises(SandboxError, match="clinic, tiny"):
            tiny.sandbox.play("hospital", end=tiny.played.window[1])

    def test_the_clock_runs_on_from_the_end_of_the_window(self, tiny: "Tiny"):
        end = tiny.played.window[1]
        assert end < tiny.sandbox.clock.now() < end + timedelta(hours=1)

    def test_a_wrong_secret_is_refused_and_leaves_no_record(self, tiny: "Tiny"):
        auditor = tiny.sandbox.auditor
        client = boto3.client(
            "dynamodb",
            endpoint_url=tiny.sandbox.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key=auditor.secret_access_key,
        )
        assert code_of(client.describe_table, TableName="Patients") == "UnrecognizedClientException"
        events = tiny.sandbox.client("cloudtrail", auditor).lookup_events(
            LookupAttributes=[{"AttributeKey": "AccessKeyId", "AttributeValue": "AKIAIOSFODNN7EXAMPLE"}]
        )
        assert events["Events"] == []

    def test_keys_lie_in_files_that_only_their_owner_reads(self, tiny: "Tiny"):
        folder = tiny.sandbox.folder
        assert folder.stat().st_mode & 0o777 == 0o700
        for name in ("root.secret", "digest-key.pem", "sandbox.state"):
            assert (folder / name).stat().st_mode & 0o777 == 0o600

    def test_live_calls_are_delivered_at_the_next_occasion(self, tiny: "Tiny"):
        before = set(tiny.keys())
        root = tiny.sandbox.root("123456789012")
        caller = Caller(source_ip_address="192.0.2.200", user_agent="live")
        tiny.sandbox.client("dynamodb", root, caller=caller).get_item(
            TableName="Patients", Key={"patient_id": {"S": "live"}}
        )
        tiny.sandbox.deliver(tiny.sandbox.clock.now() + timedelta(minutes=1))
        new = [json.loads(tiny.get(key)[0])["Records"] for key in set(tiny.keys()) - before]
        assert [r for records in new for r in records if r["sourceIPAddress"] == "192.0.2.200"]
